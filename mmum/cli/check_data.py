"""Check data before training: images of a folder, with label maps or without, or COCO annotations.

    mmum check-data FOLDER
    mmum check-data annotations/instances_train2017.json --images train2017
    mmum check-data FOLDER --maps MAPS --classes 11

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

import numpy as np

from mmum.cli.command import argument_parser
from mmum.datasets.checks.images import inspect_images
from mmum.datasets.coco.report import describe, inspect_coco
from mmum.datasets.listing import list_images
from mmum.datasets.segmentation.maps import ANY_NUMBER, IGNORED, Labels
from mmum.datasets.segmentation.pairs import inspect_maps, pair_files, suspicion
from mmum.datasets.shards import place_of
from mmum.errors import InputError, preview
from mmum.files import atomic_write, printable
from mmum.workers import usable_cores


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
        '--workers', type=int, default=usable_cores(), help='processes (default: one per CPU core)'
    )
    parser.add_argument(
        '--bands', type=int, metavar='N', help='number of bands, of images for LoadBands'
    )
    parser.add_argument(
        '--maps', metavar='FOLDER', help='folder of the label maps of a folder of images'
    )
    parser.add_argument(
        '--classes', type=int, metavar='N', help='number of classes that label maps may have'
    )
    parser.add_argument(
        '--reduce-zero-label',
        action='store_true',
        help='classes of label maps count from 1, and 0 is none (as in ADE20K)',
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


def check_maps(args: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Print what is wrong with label maps, and what they hold.

    Returns:
        tuple: What was found, and whether there is a problem.
    """
    pairs = pair_files(args.data, args.maps)
    labels = Labels(args.classes, args.reduce_zero_label) if args.classes else None
    paths = [(str(Path(args.data, a)), str(Path(args.maps, b))) for a, b in pairs.images.items()]
    report = inspect_maps(paths, labels, args.workers)
    print(f'{report.opened} label maps: {len(report.faults)} bad')
    for kind, names in (
        ('images without label map', pairs.without_map),
        ('label maps without image', pairs.without_image),
    ):
        if names:
            print(f'  {len(names)} {kind}, first {printable(preview(names, 3))}')
    for fault in list(report.faults.values())[:20]:
        print(f'  bad: {printable(fault)}')
    if len(report.faults) > 20:
        print(f'  ... and {len(report.faults) - 20} more (--out lists all)')
    whole = max(int(report.pixels.sum()), 1)
    for value in np.flatnonzero(report.maps):
        meaning = label_meaning(int(value), labels)
        print(
            f'  label {value:>3}{meaning}: {report.pixels[value] / whole:7.2%} of the pixels, in '
            f'{report.maps[value]} maps'
        )
    doubt = suspicion(report, labels or Labels(ANY_NUMBER, args.reduce_zero_label))
    if doubt:
        print(f'  {doubt}')
    found = dict(
        without_map=pairs.without_map, without_image=pairs.without_image, bad_maps=report.faults
    )
    return found, bool(pairs.without_map or report.faults or doubt)


def label_meaning(value: int, labels: Labels | None) -> str:
    """Meaning of a value in a label map that stands for no class."""
    ignored = value == IGNORED or (labels is not None and labels.from_one and value == 0)
    return ' (ignored)' if ignored else ''


def main() -> None:
    args = parse_args()
    if args.workers < 1:
        raise InputError(f'--workers {args.workers} should be at least 1')
    if args.bands is not None and args.bands < 1:
        raise InputError(f'--bands {args.bands} should be at least 1')
    if args.out and not args.out.endswith('.json'):
        raise InputError(f'--out {args.out} should end in .json')
    if args.out and os.path.realpath(args.out) == os.path.realpath(args.data):
        raise InputError(f'--out {args.out} would replace the annotation file: give another')
    if args.images and not Path(args.images).is_dir():
        raise InputError(f'the folder --images {args.images} does not exist')
    if args.maps and not Path(args.maps).is_dir():
        raise InputError(f'the folder --maps {args.maps} does not exist')
    if args.maps and not Path(args.data).is_dir():
        raise InputError(f'--maps is for a folder of images, and {args.data} is none')
    if (args.classes is not None or args.reduce_zero_label) and not args.maps:
        raise InputError('--classes and --reduce-zero-label are for label maps: give --maps FOLDER')
    if args.classes is not None and not 1 <= args.classes <= 254:
        raise InputError(f'--classes {args.classes} should be 1 to 254')
    report: dict[str, Any] = {}
    bad = False
    if Path(args.data).is_dir():
        paths = list_images(args.data)
        if args.maps:
            report['label_maps'], bad = check_maps(args)
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
