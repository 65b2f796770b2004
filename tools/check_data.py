"""Looks over data before a training: every image of a folder, or COCO annotations and their images.

    python tools/check_data.py FOLDER
    python tools/check_data.py annotations/instances_train2017.json --images train2017

Exit code 0: nothing a training would stumble over; 1: something, listed in the report.
"""
import json
import os
import sys
from collections import Counter
from pathlib import Path

from mmum.datasets.checks.annotations import FAULTS, check_coco, read_coco
from mmum.datasets.checks.images import EXTENSIONS, inspect_all
from mmum.datasets.shards import images_in_shard, place_of
from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError, preview
from mmum.files import atomic_write


def parse_args():
    parser = argument_parser(__doc__)
    parser.add_argument('data', help='a folder of images or shards, at any depth, or a COCO annotation file')
    parser.add_argument('--images', metavar='FOLDER', help="the folder of an annotation file's images (default: not read)")
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes (default: one a CPU core)')
    parser.add_argument('--out', metavar='FILE.json', help='write everything that was found')
    return parser.parse_args()


def images_of(folder):
    """All images under a folder and in its shards, as a pre-training finds them."""
    paths = []
    for path in sorted(Path(folder).rglob('*')):
        if path.suffix.lower() in EXTENSIONS:
            paths.append(str(path))
        elif path.suffix == '.tar':
            paths += images_in_shard(path)
    if not paths:
        raise InputError(f'the folder {folder} holds no images ({", ".join(EXTENSIONS)}): give a folder of images')
    return paths


def say_images(faults, notes, number):
    print(f'{number} images: {len(faults)} bad ({len(faults) / number:.2%}), {len(notes)} unusual but read rightly')
    for path, fault in list(faults.items())[:20]:
        print(f'  bad: {path}: {fault}')
    if len(faults) > 20:
        print(f'  ... and {len(faults) - 20} more (--out lists all)')
    folders = Counter(map(place_of, faults))
    if len(faults) > max(1, 0.01 * number):
        folder, bad = folders.most_common(1)[0]
        print(f'  more than 1 % are bad, and a pre-training would stop: {bad} of them in {folder}')
    for note, count in Counter(notes.values()).most_common():
        print(f'  unusual: {count} x {note}')


def main():
    args = parse_args()
    if args.workers < 1:
        raise InputError(f'--workers {args.workers} should be at least 1')
    if args.out and not args.out.endswith('.json'):
        raise InputError(f'--out {args.out} should end in .json')
    if args.images and not Path(args.images).is_dir():
        raise InputError(f'the folder --images {args.images} does not exist')
    report, bad = {}, False
    if Path(args.data).is_dir():
        paths = images_of(args.data)
    elif Path(args.data).is_file():
        content = read_coco(args.data)
        found = check_coco(content)
        bad = any(FAULTS[kind] is None for kind in found)
        print(f'{args.data}: {len(content["images"])} images, {len(content["annotations"])} annotations, '
              f'{len(content["categories"])} categories ({preview([one["name"] for one in content["categories"]], 10)})')
        for kind, ids in found.items():
            print(f'  {len(ids)} x {kind} ({FAULTS[kind] or "BAD: to be mended"}): id {preview([str(one) for one in ids], 5)}')
        report['annotations'] = found
        paths = [str(Path(args.images, image['file_name'])) for image in content['images']] if args.images else []
        bad |= not content['images']
    else:
        raise InputError(f'{args.data} does not exist: give a folder of images or a COCO annotation file')
    if paths:
        faults, notes = inspect_all(paths, args.workers)
        say_images(faults, notes, len(paths))
        report.update(bad_images=faults, unusual_images=notes)
        bad |= bool(faults)
    if args.out:
        try:
            atomic_write(args.out, json.dumps(report, indent=1).encode())
        except OSError as error:
            raise InputError(f'{args.out} cannot be written ({error.strerror}): give another --out') from error
    print('something to mend' if bad else 'nothing that a training would stumble over')
    sys.exit(int(bad))


if __name__ == '__main__':
    run_command(main)
