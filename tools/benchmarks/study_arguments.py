"""Arguments of ``tools/study.py``: what each study varies, and nothing that it would not use."""

import math

from benchmarks import nuclei, rows, transfer
from mmum.cli.command import argument_parser
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
WITH_STARTS = ('curves', 'starts', 'labels', 'lengths')  # have rows for the starts asked for
# lists of numbers, by the studies that have rows for each
VARIED = dict(pretrain_iters=('curves', 'adapt'), labels=('labels',), detect_iters=('lengths',))


def read_arguments(doc):
    """Read the arguments of the command.

    Raises:
        InputError: If they contradict each other.
    """
    parser = argument_parser(doc)
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
    add_common(mini, 'transfer', 'data/mini')
    add_starts(mini, transfer.STARTS, list(transfer.DEFAULT_STARTS))
    add_detectors(mini)
    add_digits(mini)
    for name, (text, defaults) in NUCLEI.items():
        command = commands.add_parser(name, help=f'{text}, on nuclei')
        add_common(command, name, 'data/nuclei')
        command.add_argument(
            '--pretrain-iters', type=int, nargs='+', default=[3000], help='steps of pre-trainings'
        )
        if name in WITH_STARTS:
            add_starts(command, rows.STARTS, ['scratch', 'um_mae', 'two_stages'])
        if name in (*WITH_STARTS, 'adapt'):
            add_digits(command)
        if name != 'losses':
            add_detectors(command)
            command.add_argument(
                '--labels',
                type=int,
                nargs='+',
                choices=nuclei.LABELS,
                default=[50],
                help='numbers of labelled images',
            )
            command.add_argument(
                '--detect-iters', type=int, nargs='+', default=[1000], help='steps of detectors'
            )
            command.add_argument(
                '--pretrain-seed',
                type=int,
                metavar='N',
                help='with --pretrain-once: the seed of the pre-training (default: the first)',
            )
        if name == 'starts':
            add_settings(command)
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
                help='a result of starts: learning rate and layer decay of the starts in it; where '
                "they are not, scratch and UM-MAE have the configs', and the others UM-MAE's",
            )
        if name in ('ablations', 'losses'):
            changes = list(rows.ABLATIONS if name == 'ablations' else rows.UM_ROWS)
            command.add_argument(
                '--rows',
                nargs='+',
                choices=changes,
                default=changes,
                metavar='ROW',
                help=f'of: {", ".join(changes)} (default: all)'.replace('%', '%%'),
            )
        command.set_defaults(**defaults)
    args = parser.parse_args()
    check(args)
    return args


def add_common(command, name, data):
    """Arguments of every study."""
    command.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0, 1, 2],
        help='random seeds; every run is made with each (default: 0 1 2)',
    )
    command.add_argument(
        '--jobs', type=int, default=1, help='runs at a time, sharing the cores (default: 1)'
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
    command.add_argument(
        '--pretrain-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='--cfg-options of pre-trainings',
    )
    command.add_argument(
        '--out', metavar='FILE.json', help=f'result file (default: WORK_DIR/{name}.json)'
    )


def add_starts(command, starts, chosen):
    """The argument of studies that have rows for the starts asked for."""
    command.add_argument(
        '--starts',
        nargs='+',
        choices=list(starts),
        default=chosen,
        help=f'weights that the heads start from (default: {" ".join(chosen)})',
    )


def add_detectors(command):
    """Arguments of studies that train detectors."""
    command.add_argument(
        '--pretrain-once',
        action='store_true',
        help='pre-train with the first seed only, and start the heads of all seeds from it',
    )
    command.add_argument(
        '--detect-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='--cfg-options of detectors; train_cfg.val_begin=N, a step after their last, leaves '
        'out a validation that no row counts',
    )


def add_settings(command):
    """Arguments of the study that chooses settings of detectors."""
    for name, values, text in (
        ('rates', nuclei.RATES, 'learning rates'),
        ('decays', nuclei.DECAYS, 'layer decays'),
    ):
        command.add_argument(
            f'--{name}',
            type=float,
            nargs='+',
            default=list(values),
            help=f'{text} that every start is tried with (default: {" ".join(map(str, values))})',
        )
    command.add_argument(
        '--finalists',
        type=int,
        default=nuclei.FINALISTS,
        metavar='N',
        help=f'tries of every start that are made again, with {nuclei.FINALS} seeds (default: '
        f'{nuclei.FINALISTS})',
    )


def add_digits(command):
    """The argument of studies that need images by class."""
    command.add_argument(
        '--digits',
        default='data/mini_classes',
        help='the data set of prepare_data.py mini-classes, made if missing (default: '
        'data/mini_classes)',
    )


def check(args):
    """Stop where arguments contradict each other, or would not be used."""
    if min(args.seeds) < 0 or len(set(args.seeds)) < len(args.seeds):
        raise InputError(
            f'--seeds {" ".join(map(str, args.seeds))} should be different numbers, none negative'
        )
    seed = getattr(args, 'pretrain_seed', None)
    if seed is not None and (seed < 0 or not args.pretrain_once):
        raise InputError(f'--pretrain-seed {seed} should be at least 0, with --pretrain-once')
    for name in ('jobs', 'pretrain_iters', 'detect_iters', 'detect_epochs', 'finalists'):
        given = getattr(args, name, None)
        for number in given if isinstance(given, list) else [given]:
            if number is not None and number < 1:
                raise InputError(f'--{name.replace("_", "-")} {number} should be at least 1')
    for name, highest in (('rates', math.inf), ('decays', 1)):
        for number in getattr(args, name, ()):
            if not 0 < number <= highest:
                should = 'be above 0' + (' and at most 1' if highest == 1 else '')
                raise InputError(f'--{name} {number:g} should {should}')
    for name, commands in VARIED.items():
        given = getattr(args, name, None)
        if given and len(given) > 1 and args.command not in commands:
            raise InputError(
                f'--{name.replace("_", "-")} {" ".join(map(str, given))}: several are for '
                f'{" and ".join(f"`study.py {command}`" for command in commands)}; give one'
            )
    if args.command == 'lengths' and 'scratch' in args.starts and args.longer in args.detect_iters:
        raise InputError(f'--longer {args.longer} is one of --detect-iters: a row of it is there')
    if args.command == 'starts' and args.longer and 'scratch' not in args.starts:
        raise InputError(f'--longer {args.longer} is for a start from scratch: add it to --starts')
    if args.command == 'transfer':
        check_heads(args)


def check_heads(args):
    """Stop where options are for heads that are not asked for."""
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
