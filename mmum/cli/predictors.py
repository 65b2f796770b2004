"""Predictions of ``mmum predict``: boxes and masks as COCO has them, or label maps."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.registry import DATASETS, init_default_scope
from pycocotools import mask as coco_mask

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.checkpoints.authors_files import as_own
from mmum.checkpoints.match import check_names, check_sizes
from mmum.datasets.coco.read import read_coco
from mmum.engine import load_config
from mmum.engine.config.prepare import check_packages, wrapped_dataset_cfgs
from mmum.engine.reliability.resume import register_safe_loader
from mmum.environment import default_device
from mmum.errors import InputError, preview
from mmum.files import atomic_write


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


class Detector:
    """A detector, and its detections as COCO has them.

    Args:
        cfg (Config): Its config.
        args (Namespace): Arguments of the command.
        meta (dict): Of its data set: ``classes``.
        device (str): For its model.
    """

    progress = 'detecting'

    def __init__(
        self, cfg: Any, args: argparse.Namespace, meta: Mapping[str, Any], device: str
    ) -> None:
        from mmdet.apis import DetInferencer

        self.inferencer = DetInferencer(
            cfg, args.checkpoint, device=device, scope='mmdet', show_progress=False
        )
        self.args, self.classes = args, tuple(meta['classes'])
        # where the checkpoint says nothing, mmdet takes the names of COCO
        self.inferencer.visualizer.dataset_meta['classes'] = self.classes
        self.results: list[dict[str, Any]] = []
        self.sizes: list[dict[str, Any]] = []

    def number(self, names: list[str]) -> None:
        """Take or count the ids of the images."""
        self.ids, self.categories = ids_of(self.args.annotations, names, self.classes)

    def take(self, name: str, prediction: Any) -> None:
        """Keep the detections of an image."""
        self.results += coco_results(self.ids[name], self.categories, prediction.pred_instances)
        height, width = prediction.ori_shape
        self.sizes.append(dict(id=self.ids[name], file_name=name, height=height, width=width))

    def draw(self, name: str, pixels: np.ndarray, prediction: Any, path: Path) -> None:
        """Write the picture of an image."""
        self.inferencer.visualizer.add_datasample(
            'prediction',
            pixels,
            prediction,
            draw_gt=False,
            pred_score_thr=self.args.score,
            out_file=str(path),
        )

    def write(self, out: Path) -> str:
        """Write the results; return what they are, in words."""
        listed = [dict(id=id, name=name) for id, name in zip(self.categories, self.classes)]
        listing = dict(images=self.sizes, annotations=[], categories=listed)
        atomic_write(out / 'results.json', json.dumps(self.results).encode())
        atomic_write(out / 'images.json', json.dumps(listing).encode())
        drawn = sum(result['score'] >= self.args.score for result in self.results)
        return f'{drawn} detections of score {self.args.score} and more: pictures and results.json'


class Segmenter:
    """A segmentation model, and its label maps in the numbers of the data set's files.

    Args:
        cfg (Config): Its config.
        args (Namespace): Arguments of the command.
        meta (dict): Of its data set: ``classes``, and what else its visualizer needs.
        device (str): For its model.

    Raises:
        InputError: If ids of an annotation file are asked for.
    """

    progress = 'segmenting'

    def __init__(
        self, cfg: Any, args: argparse.Namespace, meta: Mapping[str, Any], device: str
    ) -> None:
        from mmseg.apis import MMSegInferencer

        if args.annotations:
            raise InputError('--annotations is for detectors: label maps have no ids')
        self.inferencer = MMSegInferencer(
            cfg, args.checkpoint, device=device, scope='mmseg', show_progress=False
        )
        self.classes, self.first = meta['classes'], int(bool(meta.get('reduce_zero_label')))
        self.inferencer.visualizer.dataset_meta = dict(meta)
        self.out = Path(args.out)
        self.pixels: np.ndarray = np.zeros(len(self.classes), np.int64)

    def number(self, names: list[str]) -> None:
        """Refuse names that differ by their suffix alone: their label maps would be one file."""
        stems: dict[Path, str] = {}
        for name in names:
            other = stems.setdefault(Path(name).with_suffix(''), name)
            if other != name:
                raise InputError(f'{other} and {name} would have one label map: rename one')

    def take(self, name: str, prediction: Any) -> None:
        """Write the label map of an image."""
        labels = prediction.pred_sem_seg.data[0].cpu().numpy()
        self.pixels += np.bincount(labels.ravel(), minlength=len(self.classes))
        path = (self.out / 'labels' / name).with_suffix('.png')
        path.parent.mkdir(parents=True, exist_ok=True)
        _, content = cv2.imencode('.png', (labels + self.first).astype(np.uint8))
        atomic_write(path, content.tobytes())

    def draw(self, name: str, pixels: np.ndarray, prediction: Any, path: Path) -> None:
        """Write the picture of an image."""
        self.inferencer.visualizer.add_datasample(
            'prediction', pixels, prediction, draw_gt=False, out_file=str(path)
        )

    def write(self, out: Path) -> str:
        """Write the names of the labels; return what was predicted, in words."""
        names = {label: name for label, name in enumerate(self.classes, self.first)}
        atomic_write(out / 'classes.json', json.dumps(names).encode())
        whole, best = max(int(self.pixels.sum()), 1), np.argsort(-self.pixels)[:3]
        shares = ', '.join(f'{self.classes[i]} {self.pixels[i] / whole:.0%}' for i in best)
        return f'most pixels are {shares}: pictures, labels/ and classes.json'


KINDS: dict[str, Any] = dict(mmdet=Detector, mmseg=Segmenter)


def build_predictor(args: argparse.Namespace) -> Any:
    """Build the predictor of a config.

    Raises:
        InputError: If the config is of neither a detector nor a segmentation, or the file is no
            checkpoint of it.
    """
    cfg = load_config(args.config, args.cfg_options)
    kind = KINDS.get(cfg.get('default_scope'))
    if kind is None:
        raise InputError(
            f'{args.config} is no config of a detector or a segmentation: give one of '
            'configs/detection/ or configs/segmentation/'
        )
    check_packages(cfg)
    register_safe_loader()
    checkpoint = as_own(read_checkpoint(args.checkpoint))  # as mmengine reads it
    weights_of(checkpoint, args.checkpoint)
    cfg.model.backbone.init_cfg = None
    # the inferencers look for the stock loader, and inside no wrapper
    dataset = wrapped_dataset_cfgs(cfg.test_dataloader.dataset)[0]
    dataset.pipeline[0] = dict(type='LoadImageFromFile')
    cfg.test_dataloader.dataset = dataset
    init_default_scope(cfg.default_scope)
    device = args.device or default_device()
    predictor = kind(cfg, args, _dataset_meta(cfg, checkpoint), device)
    model, source = predictor.inferencer.model, f'the checkpoint {args.checkpoint}'
    check_names(model, checkpoint, source, complete=True)
    check_sizes(model, checkpoint, source)
    return predictor


def _dataset_meta(cfg: Any, checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Classes and palette of the training, or else of the test data of the config."""
    meta = checkpoint.get('meta') or {}
    # before version 3 of mmdet, CLASSES and PALETTE stood in meta itself
    meta = {key.lower(): value for key, value in (meta.get('dataset_meta') or meta).items()}
    if meta.get('classes'):
        return meta
    dataset = cfg.test_dataloader.dataset
    return DATASETS.build({**dataset, 'lazy_init': True, 'pipeline': []}).metainfo
