"""Check data before training: every image of a folder, or COCO annotations and their images.

    mmum check-data FOLDER
    mmum check-data annotations/instances_train2017.json --images train2017

Exit code 0: no problems found; 1: problems, listed in the report.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmum.cli.command import argument_parser
from mmum.datasets.checks.images import inspect_images
from mmum.datasets.coco.report import describe, inspect_coco
from mmum.datasets.listing import list_images
from mmum.datasets.shards import place_of
from mmum.errors import InputError, preview
from mmum.files import atomic_write, printable


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument(
        'data', help='a folder of images or shards, at any depth, or a COCO annotation file'
    )
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help="folder of an annotation file's images (default: not read)",
    )
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count(), help='processes (default: one per CPU core)'
    )
    parser.add_argument(
        '--bands', type=int, metavar='N', help='number of bands, of images for LoadBands'
    )
    parser.add_argument('--out', metavar='FILE.json', help='write everything that was found')
    return parser.parse_args()


def report_images(faults: dict[str, str], notes: dict[str, str], paths: Sequence[str]) -> None:
    """Print what is wrong with images, by folder, and what is unusual."""
    number = len(paths)
    print(
        f'{number} images: {len(faults)} bad ({len(faults) / number:.2%}), {len(notes)} unusual '
        'but read correctly'
    )
    for path, fault in list(faults.items())[:20]:
        print(f'  bad: {printable(path)}: {fault}')
    if len(faults) > 20:
        print(f'  ... and {len(faults) - 20} more (--out lists all)')
    bad, whole = Counter(map(place_of, faults)), Counter(map(place_of, paths))
    if len(whole) > 1:
        for folder, count in bad.most_common(20):
            print(f'  {printable(folder)}: {count} of {whole[folder]} bad')
    if len(faults) > max(1, 0.01 * number):
        folder, count = bad.most_common(1)[0]
        print(
            f'  more than 1 % are bad, and training would stop: {count} of them in '
            f'{printable(folder)}'
        )
    elif faults:
        print('  training replaces each by another image, and lists it in bad_images.txt')
    for note, count in Counter(notes.values()).most_common():
        print(f'  unusual: {count} x {note}')


def check_annotations(path: str, images: str | None) -> tuple[dict[str, Any], list[str], bool]:
    """Print what is wrong with an annotation file.

    Returns:
        tuple: Ids by kind of fault, the paths of its images, and whether there is a problem.
    """
    report = inspect_coco(path, images, opened=None)
    print(
        f'{path}: {len(report.file_names)} images, {len(report.content["annotations"])} '
        f'annotations, {len(report.categories)} categories ({preview(report.categories, 10)})'
    )
    for line in describe(report):
        print(f'  {line}')
    paths = [str(Path(images, name)) for name in report.file_names] if images else []
    found = dict(report.cleaned.findings)
    if report.wrong_sizes:
        found['image of another size'] = report.wrong_sizes
    bad = bool(report.cleaned.fatal or report.wrong_sizes) or not report.file_names
    return found, paths, bad


def main() -> None:
    args = parse_args()
    if args.workers < 1:
        raise InputError(f'--workers {args.workers} should be at least 1')
    if args.bands is not None and args.bands < 1:
        raise InputError(f'--bands {args.bands} should be at least 1')
    if args.out and not args.out.endswith('.json'):
        raise InputError(f'--out {args.out} should end in .json')
    if args.images and not Path(args.images).is_dir():
        raise InputError(f'the folder --images {args.images} does not exist')
    report: dict[str, Any] = {}
    bad = False
    if Path(args.data).is_dir():
        paths = list_images(args.data)
    elif Path(args.data).is_file():
        report['annotations'], paths, bad = check_annotations(args.data, args.images)
    else:
        raise InputError(
            f'{args.data} does not exist: give a folder of images or a COCO annotation file'
        )
    if paths:
        faults, notes = inspect_images(paths, args.workers, args.bands)
        report_images(faults, notes, paths)
        report.update(bad_images=faults, unusual_images=notes)
        bad |= bool(faults)
    if args.out:
        try:
            atomic_write(args.out, json.dumps(report, indent=1).encode())
        except OSError as error:
            raise InputError(
                f'{args.out} cannot be written ({error.strerror}): give another --out'
            ) from error
    print('problems found: see above' if bad else 'no problems found')
    sys.exit(int(bad))
