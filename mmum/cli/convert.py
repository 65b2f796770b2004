"""Convert the backbone of a checkpoint to the names of another code base, and to another window.

    mmum convert swin_tiny_patch4_window7_224.pth swin_t.pth --to mmum --window-size 16
    mmum convert work_dirs/um_mae_stock_swin_t_adapt/epoch_50.pth swin_t.pth \\
        --to mmdet --window-size 7 --check

Reads and writes .pth and .safetensors. Prints what was loaded, renamed, resized, dropped and what
is new.
"""

import argparse

from mmum.checkpoints import export, report_text
from mmum.checkpoints.export import DTYPES
from mmum.checkpoints.swin_keys import DIALECTS
from mmum.cli.command import argument_parser


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument('source', metavar='SRC', help='checkpoint, .pth or .safetensors')
    parser.add_argument('destination', metavar='DST', help='file to write, .pth or .safetensors')
    parser.add_argument('--to', required=True, choices=list(DIALECTS), help='names to write')
    parser.add_argument(
        '--from',
        dest='origin',
        choices=[*DIALECTS, 'authors'],
        help='names of SRC; overrides what is detected',
    )
    parser.add_argument(
        '--key', help="where in SRC the weights are, for example 'teacher' (default: found)"
    )
    parser.add_argument(
        '--window-size',
        type=int,
        metavar='N',
        help='window of the position bias tables (default: that of SRC)',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='run source and target side by side and print the difference',
    )
    parser.add_argument(
        '--whole', action='store_true', help='keep the decoder or head too (--to mmum)'
    )
    parser.add_argument(
        '--dtype',
        choices=list(DTYPES),
        default='float32',
        help='half of the bytes with float16 or bfloat16 (default: float32)',
    )
    parser.add_argument(
        '--partial', action='store_true', help='write a UMSwin for a stock Swin without its merges'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    result = export(
        args.source,
        args.destination,
        args.to,
        args.window_size,
        args.origin,
        args.whole,
        args.partial,
        check=args.check,
        key=args.key,
        dtype=args.dtype,
    )
    print(f'{args.source} ({result.source}) -> {args.destination} ({args.to})')
    print(report_text(**result.report))
    for note in result.notes:
        print(f'  {note}')
