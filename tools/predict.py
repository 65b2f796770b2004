"""Detects in an image, a folder of images or a video: pictures, and results.json as COCO has them, with the images and
categories that its ids mean in images.json.

    python tools/predict.py FOLDER configs/detection/mask-rcnn_um-swin-t_fpn_1x_coco.py CHECKPOINT --out PICTURES
"""
import json
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from pycocotools import mask as coco_mask
from rich.progress import track

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.datasets.checks.annotations import read_coco
from mmum.datasets.checks.images import EXTENSIONS
from mmum.cli.command import argument_parser, run_command
from mmum.engine.config import load_config
from mmum.engine.reliability.resume import register_safe_loader
from mmum.errors import InputError, preview
from mmum.files import check_writable, atomic_write

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')


def parse_args():
    parser = argument_parser(__doc__)
    parser.add_argument('source', help='an image, a folder of images at any depth, or a video')
    parser.add_argument('config', help='config file of a detector')
    parser.add_argument('checkpoint', help='its checkpoint file')
    parser.add_argument('--out', default='work_dirs/predict', help='folder to write to (default: work_dirs/predict)')
    parser.add_argument('--annotations', metavar='FILE.json', help='take ids of images and categories from this COCO file')
    parser.add_argument('--score', type=float, default=0.3, help='least score in pictures; the file has all (default: 0.3)')
    parser.add_argument('--device', help='for example cuda:0 or cpu (default: a GPU where there is one)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config')
    return parser.parse_args()


class Frames:
    """Frames of a video, read one by one: (name, pixels)."""

    def __init__(self, video, stem):
        self.video, self.stem = video, stem

    def __len__(self):
        return len(self.video)

    def __getitem__(self, i):
        if i >= len(self):
            raise IndexError(i)
        return f'{self.stem}_{i:06d}.jpg', self.video[i]


def images_of(source):
    """(name, path or pixels) of every image or frame."""
    source = Path(source)
    if source.is_dir():
        paths = sorted(path for path in source.rglob('*') if path.suffix.lower() in EXTENSIONS)
        if not paths:
            raise InputError(f'the folder {source} holds no images ({", ".join(EXTENSIONS)})')
        return [(str(path.relative_to(source)), str(path)) for path in paths]
    if not source.is_file():
        raise InputError(f'{source} does not exist: give an image, a folder of images or a video')
    if source.suffix.lower() in VIDEOS:
        video = mmcv.VideoReader(str(source))
        if not len(video):
            raise InputError(f'{source} cannot be read as a video: give one that OpenCV can read')
        return Frames(video, source.stem)
    return [(source.name, str(source))]


def ids_of(annotations, names, classes):
    """Image ids by file name and category ids by label: those of an annotation file, or counted from 1."""
    if annotations is None:
        return {name: i for i, name in enumerate(names, 1)}, list(range(1, len(classes) + 1))
    content = read_coco(annotations)
    images = {image['file_name']: image['id'] for image in content['images']}
    categories = {category['name']: category['id'] for category in content['categories']}
    unknown = [name for name in names if name not in images] + [name for name in classes if name not in categories]
    if unknown:
        raise InputError(f'{annotations} does not have {preview(unknown, 3)}: give the annotations of these images and classes')
    return images, [categories[name] for name in classes]


def coco_results(image_id, categories, prediction):
    """Detections of an image as COCO has them."""
    found = []
    masks = prediction.masks.cpu().numpy() if 'masks' in prediction else [None] * len(prediction.scores)
    boxes, scores, labels = (prediction[key].tolist() for key in ('bboxes', 'scores', 'labels'))
    for box, score, label, mask in zip(boxes, scores, labels, masks):
        one = dict(image_id=image_id, category_id=categories[label], score=score,
                   bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]])
        if mask is not None:
            rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            one['segmentation'] = dict(size=rle['size'], counts=rle['counts'].decode())
        found.append(one)
    return found


def main():
    args = parse_args()
    if not 0 <= args.score <= 1:
        raise InputError(f'--score {args.score} should lie between 0 and 1')
    images = images_of(args.source)
    cfg = load_config(args.config, args.cfg_options)
    if cfg.get('default_scope') != 'mmdet':
        raise InputError(f'{args.config} is no config of a detector: give one of configs/detection/')
    register_safe_loader()
    weights_of(read_checkpoint(args.checkpoint), args.checkpoint)
    cfg.model.backbone.init_cfg = None
    cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromFile')  # which the inferencer looks for
    init_default_scope('mmdet')
    inferencer = DetInferencer(cfg, args.checkpoint, device=args.device or ('cuda' if torch.cuda.is_available() else 'cpu'),
                               scope='mmdet', show_progress=False)
    pipeline, classes, out = inferencer.pipeline, inferencer.model.dataset_meta['classes'], Path(args.out)
    names = [f'{images.stem}_{i:06d}.jpg' for i in range(len(images))] if isinstance(images, Frames) else [n for n, _ in images]
    image_ids, categories = ids_of(args.annotations, names, classes)
    check_writable(out, f'--out {out}')
    results, sizes, unreadable = [], [], []
    for name, image in track(images, 'detecting', total=len(images)):
        try:
            sample = pipeline(image)
        except Exception as error:  # decoders raise many kinds
            unreadable.append(f'{image if isinstance(image, str) else name} cannot be read as an image ({error})')
            continue
        with torch.no_grad():
            prediction, = inferencer.model.test_step(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]))
        results += coco_results(image_ids[name], categories, prediction.pred_instances)
        height, width = prediction.ori_shape
        sizes.append(dict(id=image_ids[name], file_name=name, height=height, width=width))
        pixels = mmcv.imread(image, channel_order='rgb') if isinstance(image, str) else mmcv.bgr2rgb(image)
        path = (out / name).with_suffix('.jpg')
        path.parent.mkdir(parents=True, exist_ok=True)
        inferencer.visualizer.add_datasample(
            'prediction', pixels, prediction, draw_gt=False, pred_score_thr=args.score, out_file=str(path))
    if not sizes:
        raise InputError(unreadable[0])
    listed = [dict(id=category, name=name) for category, name in zip(categories, classes)]
    try:
        atomic_write(out / 'results.json', json.dumps(results).encode())
        atomic_write(out / 'images.json', json.dumps(dict(images=sizes, annotations=[], categories=listed)).encode())
    except OSError as error:
        raise InputError(f'{out} cannot be written ({error.strerror}): give another --out') from error
    drawn = sum(one['score'] >= args.score for one in results)
    for line in unreadable:
        print(f'left out: {line}')
    print(f'{len(sizes)} images, {drawn} detections of score {args.score} and more: pictures and results.json in {out}')


if __name__ == '__main__':
    run_command(main)
