"""Detect or segment in an image, a folder of images or a video.

Writes pictures; of a detector results.json as COCO has them, and images.json with the images and
categories that its ids mean; of a segmentation labels/ with a label map per image, and
classes.json with the names of its values.

    mmum predict FOLDER mask-rcnn_um-swin-t_fpn_1x_coco CHECKPOINT --out PICTURES
"""

import argparse
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from rich.progress import track

from mmum.cli.command import add_config_options, argument_parser
from mmum.cli.predictors import build_predictor
from mmum.datasets.listing import list_images
from mmum.errors import InputError
from mmum.files import check_writable
from mmum.visualization import picture_paths

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument('source', help='an image, a folder of images at any depth, or a video')
    parser.add_argument('config', help='config file of a detector or a segmentation')
    parser.add_argument('checkpoint', help='its checkpoint file')
    parser.add_argument(
        '--out', default='work_dirs/predict', help='folder to write to (default: work_dirs/predict)'
    )
    parser.add_argument(
        '--annotations',
        metavar='FILE.json',
        help='take ids of images and categories from this COCO file',
    )
    parser.add_argument(
        '--score',
        type=float,
        default=0.3,
        help='lowest score in pictures of detections; the file has all (default: 0.3)',
    )
    parser.add_argument(
        '--device', help='for example cuda:0 or cpu (default: a GPU where there is one)'
    )
    add_config_options(parser)
    return parser.parse_args()


class Frames:
    """Frames of a video, read one by one: (name, pixels)."""

    def __init__(self, video: mmcv.VideoReader, stem: str) -> None:
        self.video, self.stem = video, stem

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, i: int) -> tuple[str, np.ndarray]:
        if i >= len(self):
            raise IndexError(i)
        return f'{self.stem}_{i:06d}.jpg', self.video[i]


def images_of(source: str, out: Path) -> Any:
    """(name, path or pixels) of every image or frame."""
    path = Path(source)
    if path.is_dir():
        images = without_earlier(list_images(path, shards=False), path, out)
        return [(str(Path(image).relative_to(path)), image) for image in images]
    if not path.is_file():
        raise InputError(f'{path} does not exist: give an image, a folder of images or a video')
    if path.suffix.lower() in VIDEOS:
        video = mmcv.VideoReader(str(path))
        if not len(video):
            raise InputError(f'{path} cannot be read as a video: give one that OpenCV can read')
        return Frames(video, path.stem)
    return [(path.name, str(path))]


def without_earlier(images: list[str], source: Path, out: Path) -> list[str]:
    """Leave out the pictures that an earlier run wrote into a folder within the source."""
    here = out.resolve()
    if here == source.resolve() or not here.is_relative_to(source.resolve()):
        return images
    others = [image for image in images if not Path(image).resolve().is_relative_to(here)]
    number = len(images) - len(others)
    if number and not any((out / name).is_file() for name in ('results.json', 'classes.json')):
        raise InputError(
            f'--out {out} holds images of {source}, which pictures could replace: give another'
        )
    if number:
        print(f'{number} images in {out} are left out: they are pictures of an earlier run')
    if not others:
        raise InputError(f'{source} holds no images but those in --out {out}: give another source')
    return others


def main() -> None:
    args = parse_args()
    if not 0 <= args.score <= 1:
        raise InputError(f'--score {args.score} should lie between 0 and 1')
    out = Path(args.out)
    images = images_of(args.source, out)
    if isinstance(images, Frames):
        names = [f'{images.stem}_{i:06d}.jpg' for i in range(len(images))]
        paths = [out / name for name in names]
    else:
        names = [name for name, _ in images]
        root = args.source if Path(args.source).is_dir() else Path(args.source).parent
        paths = picture_paths([path for _, path in images], out, f'--out {out}', root)
    predictor = build_predictor(args)
    predictor.number(names)
    check_writable(out, f'--out {out}')
    done, unreadable = 0, []
    try:
        pairs = zip(images, paths, strict=True)
        for (name, image), path in track(pairs, predictor.progress, total=len(images)):
            try:
                sample = predictor.inferencer.pipeline(image)
            except Exception as error:  # decoders raise many kinds
                label = image if isinstance(image, str) else name
                unreadable.append(f'{label} cannot be read as an image ({error})')
                continue
            data = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
            with torch.no_grad():
                (prediction,) = predictor.inferencer.model.test_step(data)
            predictor.take(name, prediction)
            loaded = isinstance(image, str)
            pixels = mmcv.imread(image, channel_order='rgb') if loaded else mmcv.bgr2rgb(image)
            path.parent.mkdir(parents=True, exist_ok=True)
            predictor.draw(name, pixels, prediction, path)
            done += 1
        if not done:
            raise InputError(unreadable[0])
        found = predictor.write(out)
    except OSError as error:
        raise InputError(
            f'{out} cannot be written ({error.strerror}): give another --out'
        ) from error
    for line in unreadable:
        print(f'left out: {line}')
    print(f'{done} images, {found} in {out}')
