"""Detect in an image, a folder of images or a video.

Writes pictures, results.json as COCO has them, and images.json with the images and categories that
its ids mean.

    mmum predict FOLDER mask-rcnn_um-swin-t_fpn_1x_coco CHECKPOINT --out PICTURES
"""

import argparse
import json
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmengine.registry import init_default_scope
from pycocotools import mask as coco_mask
from rich.progress import track

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.cli.command import add_config_options, argument_parser
from mmum.datasets.coco.read import read_coco
from mmum.datasets.listing import list_images
from mmum.engine import load_config
from mmum.engine.reliability.resume import register_safe_loader
from mmum.errors import InputError, preview
from mmum.files import atomic_write, check_writable

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument('source', help='an image, a folder of images at any depth, or a video')
    parser.add_argument('config', help='config file of a detector')
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
        help='lowest score in pictures; the file has all (default: 0.3)',
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


def images_of(source: str) -> Any:
    """(name, path or pixels) of every image or frame."""
    path = Path(source)
    if path.is_dir():
        return [
            (str(Path(image).relative_to(path)), image) for image in list_images(path, shards=False)
        ]
    if not path.is_file():
        raise InputError(f'{path} does not exist: give an image, a folder of images or a video')
    if path.suffix.lower() in VIDEOS:
        video = mmcv.VideoReader(str(path))
        if not len(video):
            raise InputError(f'{path} cannot be read as a video: give one that OpenCV can read')
        return Frames(video, path.stem)
    return [(path.name, str(path))]


def ids_of(
    annotations: str | None, names: list[str], classes: tuple[str, ...]
) -> tuple[dict[str, int], list[int]]:
    """Image ids by file name and category ids by label.

    They are those of an annotation file, or counted from 1.
    """
    if annotations is None:
        return {name: i for i, name in enumerate(names, 1)}, list(range(1, len(classes) + 1))
    content = read_coco(annotations)
    images = {image['file_name']: image['id'] for image in content['images']}
    categories = {category['name']: category['id'] for category in content['categories']}
    unknown = [name for name in names if name not in images]
    unknown += [name for name in classes if name not in categories]
    if unknown:
        raise InputError(
            f'{annotations} does not have {preview(unknown, 3)}: give the annotations '
            'of these images and classes'
        )
    return images, [categories[name] for name in classes]


def coco_results(image_id: int, categories: list[int], prediction: Any) -> list[dict[str, Any]]:
    """Detections of an image as COCO has them."""
    results = []
    boxes, scores, labels = (prediction[key].tolist() for key in ('bboxes', 'scores', 'labels'))
    masks = [None] * len(scores)
    if 'masks' in prediction:
        masks = prediction.masks.cpu().numpy()
    for box, score, label, mask in zip(boxes, scores, labels, masks):
        left, top, right, bottom = box
        result = dict(
            image_id=image_id,
            category_id=categories[label],
            score=score,
            bbox=[left, top, right - left, bottom - top],
        )
        if mask is not None:
            rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            result['segmentation'] = dict(size=rle['size'], counts=rle['counts'].decode())
        results.append(result)
    return results


def build_inferencer(args: argparse.Namespace) -> DetInferencer:
    """Build mmdet's inferencer for the detector."""
    cfg = load_config(args.config, args.cfg_options)
    if cfg.get('default_scope') != 'mmdet':
        raise InputError(
            f'{args.config} is no config of a detector: give one of configs/detection/'
        )
    register_safe_loader()
    weights_of(read_checkpoint(args.checkpoint), args.checkpoint)
    cfg.model.backbone.init_cfg = None
    # mmdet's inferencer looks for the stock loader.
    cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromFile')
    init_default_scope('mmdet')
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return DetInferencer(cfg, args.checkpoint, device=device, scope='mmdet', show_progress=False)


def main() -> None:
    args = parse_args()
    if not 0 <= args.score <= 1:
        raise InputError(f'--score {args.score} should lie between 0 and 1')
    images, out = images_of(args.source), Path(args.out)
    inferencer = build_inferencer(args)
    classes = inferencer.model.dataset_meta['classes']
    if isinstance(images, Frames):
        names = [f'{images.stem}_{i:06d}.jpg' for i in range(len(images))]
    else:
        names = [name for name, _ in images]
    image_ids, categories = ids_of(args.annotations, names, classes)
    check_writable(out, f'--out {out}')
    results, sizes, unreadable = [], [], []
    for name, image in track(images, 'detecting', total=len(images)):
        try:
            sample = inferencer.pipeline(image)
        except Exception as error:  # decoders raise many kinds
            label = image if isinstance(image, str) else name
            unreadable.append(f'{label} cannot be read as an image ({error})')
            continue
        data = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
        with torch.no_grad():
            (prediction,) = inferencer.model.test_step(data)
        results += coco_results(image_ids[name], categories, prediction.pred_instances)
        height, width = prediction.ori_shape
        sizes.append(dict(id=image_ids[name], file_name=name, height=height, width=width))
        loaded = isinstance(image, str)
        pixels = mmcv.imread(image, channel_order='rgb') if loaded else mmcv.bgr2rgb(image)
        path = (out / name).with_suffix('.jpg')
        path.parent.mkdir(parents=True, exist_ok=True)
        inferencer.visualizer.add_datasample(
            'prediction',
            pixels,
            prediction,
            draw_gt=False,
            pred_score_thr=args.score,
            out_file=str(path),
        )
    if not sizes:
        raise InputError(unreadable[0])
    listed = [dict(id=category, name=name) for category, name in zip(categories, classes)]
    listing = dict(images=sizes, annotations=[], categories=listed)
    try:
        atomic_write(out / 'results.json', json.dumps(results).encode())
        atomic_write(out / 'images.json', json.dumps(listing).encode())
    except OSError as error:
        raise InputError(
            f'{out} cannot be written ({error.strerror}): give another --out'
        ) from error
    for line in unreadable:
        print(f'left out: {line}')
    drawn = sum(result['score'] >= args.score for result in results)
    print(
        f'{len(sizes)} images, {drawn} detections of score {args.score} and more: pictures and '
        f'results.json in {out}'
    )
