"""Convert the backbone of a checkpoint to the names of another code base, and to another window.

    python tools/convert.py swin_tiny_patch4_window7_224.pth swin_t.pth --to mmum --window-size 16
    python tools/convert.py work_dirs/um_mae_stock_swin_t_adapt/epoch_50.pth swin_t.pth \\
        --to mmdet --window-size 7 --check

Reads and writes .pth and .safetensors. Prints what was loaded, renamed, resized, dropped and what
is new.
"""

import argparse
from pathlib import Path

from mmum import __version__
from mmum.checkpoints import (
    convert,
    read_checkpoint,
    report_text,
    verify,
    weights_of,
    write_checkpoint,
)
from mmum.checkpoints.swin_keys import DIALECTS
from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError


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
        '--partial', action='store_true', help='write a UMSwin for a stock Swin without its merges'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    destination = Path(args.destination)
    if destination.suffix not in ('.pth', '.safetensors'):
        raise InputError(f'{destination} should end in .pth or .safetensors')
    if destination.exists():
        raise InputError(f'{destination} exists: give another name, or remove it first')
    if not destination.parent.is_dir():
        raise InputError(f'the folder {destination.parent} does not exist: make it first')
    weights = weights_of(read_checkpoint(args.source), args.source)
    result = convert(
        weights, args.to, args.origin, args.window_size, args.whole, args.partial, args.source
    )
    print(f'{args.source} ({result.source}) -> {destination} ({args.to})')
    print(report_text(**result.report))
    for note in result.notes:
        print(f'  {note}')
    if args.check:
        differences = verify(weights, result, args.to)
        print(
            '  largest difference over largest value, by stage: '
            + ', '.join(f'{difference:.1e}' for difference in differences)
        )
        if result.report['resized']:
            print('  (both at the new window)')
    wrap = DIALECTS[args.to].wrap
    wrapped = wrap and destination.suffix == '.pth'
    content = {wrap: result.weights, **({'meta': result.meta} if result.meta else {})}
    header = dict(source=str(args.source), names=args.to, mmum=__version__, **result.meta)
    write_checkpoint(destination, content if wrapped else result.weights, **header)


if __name__ == '__main__':
    run_command(main)
