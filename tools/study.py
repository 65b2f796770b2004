"""Run a study: trainings over seeds, to a result file, its table and its charts.

    python tools/study.py transfer --seeds 0 1 2       heads and starts on the mini set
    python tools/study.py curves --seeds 0 1 2         lengths of the pre-training, on nuclei
    python tools/study.py starts --seeds 0 1 2 3 4     starts, each with its best learning rate
    python tools/study.py labels --seeds 0 1 2         numbers of labelled images
    python tools/study.py lengths --seeds 0 1 2        lengths of the detector
    python tools/study.py ablations --seeds 0 1 2      one change of the pre-training a row
    python tools/study.py adapt --seeds 0 1 2          weights from elsewhere, adapted or not
    python tools/study.py losses --seeds 0             loss curves of these pre-trainings

Finished runs are kept: the same command resumes a study that was interrupted. On another machine,
--known takes over the runs that a result file records.
"""

from pathlib import Path

from benchmarks import arms, charts, losses, nuclei, rows, transfer
from benchmarks.report import check_out, provenance, write_result
from benchmarks.runs import Runs
from benchmarks.settings import DEFAULTS, read_settings
from benchmarks.stages import ensure_data

from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError

NUCLEI = dict(
    curves=('AP after pre-trainings of several lengths', dict(pretrain_iters=[300, 1000, 3000])),
    starts=('every start with its best learning rate and layer decay', {}),
    labels=('AP over the number of labelled images', dict(labels=list(nuclei.LABELS))),
    lengths=('AP over the length of the detector', dict(detect_iters=[500, 1600])),
    ablations=('one change of the pre-training a row', {}),
    adapt=('weights from elsewhere, adapted to nuclei or not', {}),
    losses=('loss curves of the pre-trainings of the ablations', {}),
)
# lists of numbers, by the one study that has a row for each
VARIED = dict(pretrain_iters='curves', labels='labels', detect_iters='lengths')


def parse_args():
    parser = argument_parser(__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    mini = commands.add_parser('transfer', help='heads x starts x seeds on the mini data set')
    mini.add_argument(
        '--heads', nargs='+', choices=transfer.HEADS, default=list(transfer.DEFAULT_HEADS)
    )
    for name, head in (('segment', 'UPerNet'), ('knn', 'k-NN')):
        mini.add_argument(
            f'--{name}-options',
            nargs='+',
            default=[],
            metavar='KEY=VALUE',
            help=f'--cfg-options of {head}',
        )
    mini.add_argument(
        '--detect-epochs', type=int, metavar='N', help="epochs of detectors (default: the configs')"
    )
    add_common(mini, 'transfer', transfer.STARTS, list(transfer.DEFAULT_STARTS), 'data/mini')
    add_digits(mini)
    for name, (text, defaults) in NUCLEI.items():
        command = commands.add_parser(name, help=f'{text}, on nuclei')
        add_common(command, name, rows.STARTS, ['scratch', 'um_mae', 'two_stages'], 'data/nuclei')
        command.add_argument(
            '--labels',
            type=int,
            nargs='+',
            choices=nuclei.LABELS,
            default=[50],
            help='numbers of labelled images',
        )
        command.add_argument(
            '--pretrain-iters', type=int, nargs='+', default=[3000], help='steps of pre-trainings'
        )
        command.add_argument(
            '--detect-iters', type=int, nargs='+', default=[1000], help='steps of detectors'
        )
        if name in ('starts', 'adapt'):
            add_digits(command)
        if name in ('starts', 'lengths'):
            command.add_argument(
                '--longer',
                type=int,
                default=0,
                help='steps of one more detector from scratch, for example as long as pre-training '
                'and detector together (default: 0, none)',
            )
        if name not in ('starts', 'losses'):
            command.add_argument(
                '--settings',
                metavar='FILE.json',
                help='a result of starts: learning rate and layer decay of every start (default: '
                'those of the configs)',
            )
        if name in ('ablations', 'losses'):
            command.add_argument(
                '--rows',
                nargs='+',
                choices=list(rows.ABLATIONS),
                default=list(rows.ABLATIONS),
                metavar='ROW',
                help=f'of: {", ".join(rows.ABLATIONS)} (default: all)'.replace('%', '%%'),
            )
        command.set_defaults(**defaults)
    return parser.parse_args()


def add_common(command, name, starts, chosen, data):
    """Arguments of every study."""
    command.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0, 1, 2],
        help='random seeds; every run is made with each (default: 0 1 2)',
    )
    command.add_argument('--starts', nargs='+', choices=list(starts), default=chosen)
    command.add_argument(
        '--jobs', type=int, default=1, help='runs at a time, sharing the cores (default: 1)'
    )
    command.add_argument(
        '--pretrain-once',
        action='store_true',
        help='pre-train with the first seed only, and start the heads of all seeds from it',
    )
    made = ', made if missing' if name == 'transfer' else ' of prepare_data.py'
    command.add_argument('--data', default=data, help=f'the data set{made} (default: {data})')
    command.add_argument(
        '--work-dir',
        default='work_dirs/study',
        help='folder of runs and logs (default: work_dirs/study)',
    )
    command.add_argument(
        '--known',
        nargs='+',
        default=[],
        metavar='FILE.json',
        help='result files of other studies, maybe of other machines: a run that one of them '
        'records is not made again',
    )
    for option, what in (
        ('--pretrain-options', 'pre-trainings'),
        ('--detect-options', 'detectors'),
    ):
        command.add_argument(
            option, nargs='+', default=[], metavar='KEY=VALUE', help=f'--cfg-options of {what}'
        )
    command.add_argument(
        '--out', metavar='FILE.json', help=f'result file (default: WORK_DIR/{name}.json)'
    )


def add_digits(command):
    """The argument of studies that need images by class."""
    command.add_argument(
        '--digits',
        default='data/mini_classes',
        help='the data set of prepare_data.py mini-classes, made if missing (default: '
        'data/mini_classes)',
    )


def show(line):
    print(line, flush=True)


def run_transfer(args, runs, chart):
    """The study on the mini set: its result and its table."""
    kinds = {transfer.HEADS[head].partition('/')[0] for head in args.heads}
    for option, kind in (
        ('detect_epochs', 'detection'),
        ('detect_options', 'detection'),
        ('segment_options', 'segmentation'),
        ('knn_options', 'classification'),
    ):
        if getattr(args, option) and kind not in kinds:
            raise InputError(
                f'--{option.replace("_", "-")} is for heads of {kind}: none is among --heads '
                f'{" ".join(args.heads)}'
            )
    ensure_data('mini', args.data, Path(args.work_dir, 'data.log'), show)
    if 'knn' in args.heads:
        ensure_data('mini-classes', args.digits, Path(args.work_dir, 'data.log'), show)
    found = transfer.run_transfer(
        runs,
        args.data,
        args.seeds,
        args.starts,
        args.heads,
        pretrain_options=args.pretrain_options,
        detect_options=args.detect_options,
        once=args.pretrain_once,
        segment_options=args.segment_options,
        knn_options=args.knn_options,
        digits=args.digits,
        detect_epochs=args.detect_epochs,
    )
    result = dict(provenance=provenance(), **found)
    transfer.picture(result, chart)
    if first := transfer.loss_rows(result):
        losses.picture(first, chart.with_stem(f'{chart.stem}_loss'))
    return result, transfer.table(result)


def run_nuclei(args, runs, chart):
    """A study on nuclei: its result and its table."""
    if not Path(args.data, 'annotations', 'val_report.json').is_file():
        raise InputError(
            f'{args.data} is not the data set: write it with tools/prepare_data.py nuclei '
            f'stage1_train.zip --out {args.data}'
        )
    digits = getattr(args, 'digits', None)
    if digits and (args.command == 'adapt' or 'supervised' in args.starts):
        ensure_data('mini-classes', digits, Path(args.work_dir, 'data.log'), show)
    file = getattr(args, 'settings', None)
    chosen = read_settings(file) if file else DEFAULTS
    study = nuclei.NucleiStudy(
        data=args.data,
        digits=digits,
        seeds=args.seeds,
        starts=args.starts,
        labels=args.labels,
        pretrain_iters=args.pretrain_iters,
        detect_iters=args.detect_iters,
        runs=runs,
        once=args.pretrain_once,
        pretrain_options=args.pretrain_options,
        detect_options=args.detect_options,
        rows=getattr(args, 'rows', ()),
        settings={} if args.command == 'starts' else chosen,
        longer=getattr(args, 'longer', 0),
    )
    run = dict(
        curves=study.curves,
        starts=study.starts_chosen,
        labels=study.label_curve,
        lengths=study.lengths,
        ablations=study.ablations,
        adapt=study.adapting,
        losses=study.losses,
    )[args.command]
    result = dict(provenance=provenance(), **study.result(*run()))
    if args.command == 'losses':
        losses.picture(result['rows'], chart)
        return result, losses.table(result)
    if args.command == 'labels' and len(args.labels) > 1:
        charts.ap_over(result, rows.NAMES, chart, 'labels', 'labelled images')
    elif args.command == 'lengths' and len(args.detect_iters) > 1:
        charts.ap_over(result, rows.NAMES, chart, 'detect_iters', 'steps of the detector')
    elif args.command == 'curves':
        charts.ap_over(result, rows.NAMES, chart, 'pretrain_iters', 'steps of pre-training')
    else:
        charts.ap_bars(result, rows.NAMES, chart)
    if any('curve' in start for row in result['rows'] for start in row['pretraining']):
        charts.loss_curves(result, rows.NAMES, chart.with_stem(f'{chart.stem}_loss'))
    return result, arms.table(result)


def main():
    args = parse_args()
    if min(args.seeds) < 0 or len(set(args.seeds)) < len(args.seeds):
        raise InputError(
            f'--seeds {" ".join(map(str, args.seeds))} should be different numbers, none negative'
        )
    for name in ('jobs', 'pretrain_iters', 'detect_iters', 'detect_epochs'):
        given = getattr(args, name, None)
        for number in given if isinstance(given, list) else [given]:
            if number is not None and number < 1:
                raise InputError(f'--{name.replace("_", "-")} {number} should be at least 1')
    for name, command in VARIED.items():
        given = getattr(args, name, None)
        if given and len(given) > 1 and args.command != command:
            raise InputError(
                f'--{name.replace("_", "-")} {" ".join(map(str, given))}: several are for '
                f'`study.py {command}`; give one'
            )
    if args.command == 'lengths' and 'scratch' in args.starts and args.longer in args.detect_iters:
        raise InputError(f'--longer {args.longer} is one of --detect-iters: a row of it is there')
    out = Path(args.out or f'{args.work_dir}/{args.command}.json')
    check_out(out)
    run = run_transfer if args.command == 'transfer' else run_nuclei
    runs = Runs(args.work_dir, args.jobs, show, args.known)
    result, table = run(args, runs, out.with_suffix('.png'))
    write_result(out, result, table)
    print(f'\n{table}\nwritten to {out}, and {out.with_suffix(".png")}')


if __name__ == '__main__':
    run_command(main)
