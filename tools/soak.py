"""Train among faults, and compare every loss with the same training in peace.

The faults are processes killed, SIGTERM, a full disk and damaged images. The exit code is 0 only if
all losses are equal.

    python tools/soak.py --minutes 60
"""

import sys

from benchmarks.report import check_out, provenance, write_result
from benchmarks.soak import Soak, table

from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError


def parse_args():
    parser = argument_parser(__doc__)
    parser.add_argument(
        '--minutes', type=float, default=60, help='in all, a third of it in peace (default: 60)'
    )
    parser.add_argument(
        '--work-dir',
        default='work_dirs/soak',
        help='for data, trainings and logs (default: work_dirs/soak)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of moments and kinds of faults (default: 0)'
    )
    parser.add_argument(
        '--out', metavar='FILE.json', help='result file (default: WORK_DIR/result.json)'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    if args.minutes < 1:
        raise InputError(f'--minutes {args.minutes:g} should be at least 1')
    out = args.out or f'{args.work_dir}/result.json'
    check_out(out)
    found = Soak(args.work_dir, args.minutes, args.seed, lambda line: print(line, flush=True)).run()
    result = dict(provenance=provenance(), **found)
    write_result(out, result, table(result))
    print(f'\n{table(result)}written to {out}')
    sys.exit(0 if result['equal'] else 1)


if __name__ == '__main__':
    run_command(main)
