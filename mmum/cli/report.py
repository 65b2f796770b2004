"""Write one HTML file on one run, or on several side by side; it needs no network.

Shown are the settings that differ, curves, results with intervals over seeds, reconstructions over
time, truth and predictions, and a time line with resumes, roll-backs and unreadable images.

    mmum report work_dirs/um_mae_swin_t
    mmum report work_dirs/A work_dirs/B --out compared.html
"""

import argparse
from pathlib import Path

from mmum.cli.command import argument_parser
from mmum.errors import InputError
from mmum.files import atomic_write, check_writable
from mmum.report.page import write_page
from mmum.report.runs import name_runs


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work directories of runs')
    parser.add_argument(
        '--out',
        metavar='FILE.html',
        help='file to write (default: report.html in the first work directory)',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    out = Path(args.out or Path(args.work_dirs[0], 'report.html'))
    if out.suffix not in ('.html', '.htm'):
        raise InputError(f'--out {out} should end in .html')
    runs = name_runs(args.work_dirs)
    check_writable(out.parent, f'--out {out}')
    page = write_page(runs).encode()
    atomic_write(out, page)
    print(f'{len(runs)} run{"s" if len(runs) > 1 else ""}, {len(page) / 1e6:.1f} MB: {out}')
