"""Run a study of several trainings over seeds: detectors from scratch, UM-MAE and SimMIM.

    python tools/study.py transfer --seeds 0 1 2

Writes --out, its table beside it as Markdown and a chart as PNG. Finished runs are kept: the same
command resumes a study that was interrupted.
"""

from pathlib import Path

from benchmarks import transfer
from benchmarks.report import check_out, provenance, write_result
from benchmarks.stages import ensure_mini

from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError


def parse_args():
    parser = argument_parser(__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    transfer_parser = commands.add_parser(
        'transfer', help='heads x starts x seeds on the mini data set'
    )
    transfer_parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0, 1, 2],
        help='one of everything for each (default: 0 1 2)',
    )
    transfer_parser.add_argument(
        '--starts', nargs='+', choices=list(transfer.STARTS), default=list(transfer.STARTS)
    )
    transfer_parser.add_argument(
        '--heads', nargs='+', choices=list(transfer.HEADS), default=list(transfer.HEADS)
    )
    transfer_parser.add_argument(
        '--jobs', type=int, default=1, help='runs at a time, which share the cores (default: 1)'
    )
    transfer_parser.add_argument(
        '--pretrain-once',
        action='store_true',
        help='with the first seed only, for the detectors of all seeds',
    )
    transfer_parser.add_argument(
        '--data',
        default='data/mini',
        help='the mini data set, made if it is not there (default: data/mini)',
    )
    transfer_parser.add_argument(
        '--work-dir', default='work_dirs/study', help='for runs and logs (default: work_dirs/study)'
    )
    transfer_parser.add_argument(
        '--pretrain-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='--cfg-options of pre-trainings',
    )
    transfer_parser.add_argument(
        '--detect-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='--cfg-options of detectors',
    )
    transfer_parser.add_argument(
        '--out', metavar='FILE.json', help='result file (default: WORK_DIR/transfer.json)'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    if min(args.seeds) < 0 or len(set(args.seeds)) < len(args.seeds):
        raise InputError(
            f'--seeds {" ".join(map(str, args.seeds))} should be different numbers, none negative'
        )
    if args.jobs < 1:
        raise InputError(f'--jobs {args.jobs} should be at least 1')
    out = args.out or f'{args.work_dir}/transfer.json'
    check_out(out)

    def report(line):
        print(line, flush=True)

    ensure_mini(args.data, Path(args.work_dir, 'data.log'), report)
    study = transfer.TransferStudy(
        args.work_dir,
        args.data,
        args.seeds,
        args.starts,
        args.heads,
        args.jobs,
        report,
        args.pretrain_options,
        args.detect_options,
        args.pretrain_once,
    )
    result = dict(provenance=provenance(), **study.run())
    table = transfer.table(result)
    write_result(out, result, table)
    transfer.picture(result, Path(out).with_suffix('.png'))
    print(f'\n{table}\nwritten to {out}, and {Path(out).with_suffix(".png")}')


if __name__ == '__main__':
    run_command(main)
