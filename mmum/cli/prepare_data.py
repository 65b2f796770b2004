"""Write a data set that is drawn or nuclei, pack a folder of images into tar files, or check a copy
of COCO, ImageNet or ADE20K.

    mmum prepare-data mini --out data/mini
    mmum prepare-data mini-classes --out data/mini_classes
    mmum prepare-data drawn-nuclei --out data/drawn_nuclei
    mmum prepare-data nuclei stage1_train.zip --out data/nuclei
    mmum prepare-data shards FOLDER SHARDS
    mmum prepare-data coco data/coco
    mmum prepare-data imagenet data/imagenet
    mmum prepare-data ade20k data/ade/ADEChallengeData2016
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import track

from mmum.cli.command import argument_parser
from mmum.datasets.checks.layout import (
    inspect_ade20k_layout,
    inspect_coco_layout,
    inspect_imagenet_layout,
)
from mmum.datasets.drawn_nuclei import write_drawn_nuclei
from mmum.datasets.listing import EXTENSIONS, list_files
from mmum.datasets.mini import write_mini, write_mini_classes
from mmum.datasets.nuclei import write_nuclei
from mmum.datasets.shards import write_shards
from mmum.errors import InputError
from mmum.files import atomic_folder
from mmum.workers import usable_cores

LAYOUTS = dict(
    coco=('annotations/, train2017/, val2017/, stuffthingmaps/', inspect_coco_layout),
    imagenet=('train/CLASS/, val/CLASS/', inspect_imagenet_layout),
    ade20k=('images/ and annotations/, each with training/, validation/', inspect_ade20k_layout),
)
# what is drawn: the function, and its splits
DRAWN: dict[str, tuple[Callable[..., dict[str, int]], tuple[str, ...]]] = {
    'mini': (write_mini, ('unlabelled', 'train', 'val')),
    'mini-classes': (write_mini_classes, ('train', 'val')),
    'drawn-nuclei': (write_drawn_nuclei, ('train', 'val')),
}


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    mini = commands.add_parser(
        'mini', help='write the mini data set: numbered balls and tiles on photographs'
    )
    mini.add_argument('--out', required=True, help='folder to write to')
    mini.add_argument(
        '--unlabelled', type=int, default=4000, help='images for pre-training (default: 4000)'
    )
    mini.add_argument(
        '--train', type=int, default=100, help='labelled training images (default: 100)'
    )
    mini.add_argument(
        '--val', type=int, default=200, help='labelled validation images (default: 200)'
    )
    classes = commands.add_parser(
        'mini-classes', help='write close-ups of balls and tiles, in folders by class'
    )
    drawn = commands.add_parser(
        'drawn-nuclei', help='write drawn microscopy images in the layout of nuclei'
    )
    for command, numbers in ((classes, (2000, 500)), (drawn, (1000, 200))):
        command.add_argument('--out', required=True, help='folder to write to')
        for name, default in zip(('train', 'val'), numbers, strict=True):
            command.add_argument(
                f'--{name}', type=int, default=default, help=f'{name} images (default: {default})'
            )
    for command in (mini, classes, drawn):
        command.add_argument(
            '--size', type=int, default=128, help='side of the images in pixels (default: 128)'
        )
        command.add_argument(
            '--seed', type=int, default=0, help='the same seed gives the same bytes (default: 0)'
        )
    nuclei = commands.add_parser(
        'nuclei', help='write nuclei as COCO: real microscopy images of the 2018 Data Science Bowl'
    )
    nuclei.add_argument(
        'source', help='stage1_train.zip of BBBC038, what is in it, or a folder written by this'
    )
    nuclei.add_argument('--out', required=True, help='folder to write to')
    shards = commands.add_parser('shards', help='pack a folder of images into tar files')
    shards.add_argument('root', help='the folder of images, of any depth')
    shards.add_argument('out', help='folder to write to; pre-train with data_root=OUT')
    shards.add_argument(
        '--size', type=float, default=1000, help='size of a tar file in MB (default: 1000)'
    )
    for name, (layout, _) in LAYOUTS.items():
        check = commands.add_parser(name, help=f'check a copy: {layout}')
        check.add_argument('root', help=f'the folder with {layout}')
        check.add_argument(
            '--read', action='store_true', help='decode every image too, on all cores: takes long'
        )
    return parser.parse_args()


def check_layout(args: argparse.Namespace) -> None:
    """Print what is there and what is missing; exit with 1 where something is."""
    root = Path(args.root)
    if not root.is_dir():
        raise InputError(f'the folder {root} does not exist: give the one that holds your copy')
    _, inspect = LAYOUTS[args.command]
    wrong, there, option = inspect(root, usable_cores() if args.read else 0)
    for text in there:
        print(text)
    for text in wrong[:50]:
        print(f'MISSING OR WRONG: {text}')
    if wrong[50:]:
        print(f'... and {len(wrong) - 50} more')
    print(f'for configs: --cfg-options {option}')
    if args.command == 'imagenet':
        print(f'for pre-training: --cfg-options data_root={root}/train')
    sys.exit(1 if wrong else 0)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Fill a new folder atomically.

    Raises:
        InputError: If there is something at the place already, or if it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f'{out} exists and is not empty: give another --out, or remove it first')
    try:
        with atomic_folder(out) as partial:
            yield partial
    except OSError as error:
        raise InputError(
            f'{out} cannot be written ({error.strerror or error}): give a place with '
            'room that you may write to'
        ) from error


def pack(args: argparse.Namespace) -> None:
    """Pack a folder into shards."""
    root, out = Path(args.root), Path(args.out)
    if not root.is_dir():
        raise InputError(f'the folder {root} does not exist: give one with images')
    if args.size <= 0:
        raise InputError(f'--size {args.size:g} should be positive')
    names = list_files(root)
    if not names:
        raise InputError(f'the folder {root} holds no images ({", ".join(EXTENSIONS)})')
    with new_folder(out) as partial:
        number = write_shards(
            names,
            root,
            partial,
            round(args.size * 1e6),
            lambda items: track(items, f'{len(items)} images'),
        )
    print(
        f'{len(names)} images in {number} tar files; for pre-training: --cfg-options '
        f'data_root={out}'
    )


def make_drawn(args: argparse.Namespace) -> None:
    """Write a data set that is drawn."""
    write, splits = DRAWN[args.command]
    for name in (*splits, 'size'):
        if getattr(args, name) < 1:
            raise InputError(f'--{name} {getattr(args, name)} should be at least 1')
    if not 32 <= args.size <= 1024:
        raise InputError(f'--size {args.size} should be 32 to 1024 pixels')
    if args.seed < 0:
        raise InputError(f'--seed {args.seed} should not be negative')
    out, start = Path(args.out), time.time()
    with new_folder(out) as partial:
        counts = write(
            partial,
            *(getattr(args, split) for split in splits),
            size=args.size,
            seed=args.seed,
            progress=lambda items, name: track(items, f'{name:>10}'),
        )
    written = ', '.join(f'{counts[split]} {split}' for split in splits)
    print(f'{written} images in {out}, {time.time() - start:.0f} s')


def make_nuclei(args: argparse.Namespace) -> None:
    """Write nuclei."""
    source, out = Path(args.source), Path(args.out)
    if not source.exists():
        raise InputError(f'{source} does not exist: give stage1_train.zip, or what is in it')
    with new_folder(out) as partial:
        counts = write_nuclei(
            source, partial, lambda items, name: track(list(items), f'{name:>10}')
        )
    written = ', '.join(f'{name} {number}' for name, number in counts.items())
    print(f'images of the annotation files in {out}/annotations: {written}')


def main() -> None:
    args = parse_args()
    makers = {**dict.fromkeys(DRAWN, make_drawn), 'nuclei': make_nuclei, 'shards': pack}
    makers.get(args.command, check_layout)(args)
