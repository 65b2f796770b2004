"""Validate the files that a config names before hours are spent."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import is_main_process

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.checkpoints.download import is_url
from mmum.checkpoints.settings import recorded_settings
from mmum.datasets.listing import list_class_folders
from mmum.engine.config.replacements import dicts, type_name
from mmum.engine.preflight_coco import (
    check_coco,
    check_evaluator,
    check_heads,
    classes_of,
    is_coco,
)
from mmum.engine.preflight_segmentation import (
    check_segmentation,
    is_segmentation,
    without_labels,
)
from mmum.errors import InputError, preview


def preflight(cfg: Config, splits: Sequence[str], heads: bool = True) -> None:
    """Check the files that a config names, on the first rank only.

    Args:
        cfg (Config): The config.
        splits (Sequence[str]): The data loaders that will be used: 'train', 'val', 'test'.
        heads (bool): Whether the model will be used, and its heads must fit the classes. Defaults
            to True.

    Raises:
        InputError: If a checkpoint is none or was trained on images of another normalisation, a
            folder, annotation file or label map is missing, annotations name absent files or hold
            no images, classes are not those of the annotations, or the work directory lies among
            unlabelled images.
    """
    if not is_main_process():
        return
    loaded, started = _checkpoints(cfg)
    if 'train' in splits and loaded and started and not cfg.get('resume'):
        raise InputError(
            f'pretrained={started} would not be used, because load_from={loaded} replaces all '
            'weights: leave one of them out'
        )
    for checkpoint, key in ((loaded, None), (started, _init_cfg(cfg).get('key'))):
        if checkpoint and ('://' not in checkpoint or is_url(checkpoint)):
            content = read_checkpoint(checkpoint)
            weights_of(content, checkpoint, key)
            if checkpoint == started:
                _check_normalisation(cfg, content, checkpoint)
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        evaluator = cfg.get(f'{split}_evaluator') or {}
        evaluator = evaluator if isinstance(evaluator, dict) else {}
        num_classes = (cfg.model.get('head') or {}).get('num_classes')
        for dataset in dicts(loader.dataset if loader else None):
            if is_coco(dataset):
                # COCO's test images: results are written, and evaluated elsewhere.
                check_coco(dataset, split, labelled=not evaluator.get('format_only'))
                if heads:
                    check_heads(cfg.model, classes_of(dataset))
                check_evaluator(dataset, evaluator)
            elif is_segmentation(dataset):
                classes = check_segmentation(dataset, split, not without_labels(evaluator))
                if heads:
                    check_heads(cfg.model, classes)
            elif type_name(dataset) == 'LabelledImages' and num_classes:
                _check_labelled(dataset, num_classes)
            elif type_name(dataset) == 'UnlabelledImages':
                folder = cfg.get('work_dir') if split == 'train' else None
                if folder:  # set by now, unless nothing will be trained
                    remedy = f'the work directory {folder}: give another --work-dir'
                    check_outside(folder, dataset, remedy)


def _init_cfg(cfg: Config) -> Any:
    backbone = cfg.model.get('backbone') or cfg.model.get('module', {}).get('backbone') or {}
    return backbone.get('init_cfg') or {}


def _checkpoints(cfg: Config) -> tuple[str | None, str | None]:
    """The checkpoints that a config names: of the whole model, and to start its backbone from."""
    init_cfg = _init_cfg(cfg)
    started = init_cfg.get('checkpoint') if type_name(init_cfg) == 'BackboneCheckpoint' else None
    return cfg.get('load_from'), started


def _check_normalisation(cfg: Config, content: Mapping[str, Any], path: str) -> None:
    """Check that images are normalised as those that the backbone was trained on.

    Mean and deviation may differ by one of 255 grey levels: roundings of ImageNet's are about.
    Bands that are normalised while they are loaded are not compared.
    """
    recorded = recorded_settings(content)
    key = 'data_preprocessor'
    own = cfg.model.get(key) or cfg.get(key) or {}
    key = f'model.{key}' if cfg.model.get(key) else key
    # whether channels are reversed: mmpretrain's word, or that of mmdet and mmseg
    word = 'bgr_to_rgb' if cfg.get('default_scope') in ('mmdet', 'mmseg') else 'to_rgb'
    mean, std, to_rgb = own.get('mean'), own.get('std'), bool(own.get(word))
    if not (recorded and recorded.known_images and mean and std):
        return
    before: dict[str, Any] = dict(mean=list(recorded.mean), std=list(recorded.std))
    now: dict[str, Any] = dict(mean=list(mean), std=list(std))
    try:
        numbers = [np.array(list(values.values()), float) for values in (before, now)]
        same = np.allclose(*numbers, rtol=0, atol=1)
    except ValueError:
        return  # of another number of channels, which the backbone refuses
    if len(mean) > 1:  # a single channel has no order
        before[word], now[word] = recorded.to_rgb, to_rgb
        same = same and recorded.to_rgb == to_rgb
    if not same:
        raise InputError(
            f'{path} was trained on images normalised with {_said(before)}, and {key} has '
            f'{_said(now)}: set {", ".join(f"{key}.{name}" for name in before)} to those of the '
            'checkpoint'
        )


def _said(values: Mapping[str, Any]) -> str:
    return ', '.join(f'{name}={value}' for name, value in values.items())


def check_outside(folder: str | Path, dataset: Any, remedy: str) -> None:
    """Check that a folder for pictures lies outside of one of which every image is taken.

    Args:
        folder (str | Path): The folder for pictures.
        dataset (dict): Config of ``UnlabelledImages``.
        remedy (str): What the folder is, and what to do.

    Raises:
        InputError: If pictures would become images of the data set.
    """
    root = str(dataset.get('data_root') or '')
    if dataset.get('ann_file') or not root or '://' in root:
        return
    if Path(folder).resolve().is_relative_to(Path(root).resolve()):
        raise InputError(
            f'pictures would become training images, because the image folder {root} contains '
            f'{remedy}'
        )


def _check_labelled(dataset: Any, num_classes: int) -> None:
    """Check class folders against the number of classes of the model."""
    own = Path(dataset.get('data_root') or '', dataset.get('data_prefix') or '')
    folder = Path(dataset.get('numbering') or own)
    if dataset.get('ann_file') or '://' in str(folder) or not folder.is_dir():
        return  # the data set itself says what is missing
    classes = list_class_folders(folder)
    if classes and len(classes) != num_classes:
        raise InputError(
            f'{folder} has {len(classes)} class folders ({preview(classes, 3)}), and the model '
            f'{num_classes} classes: pass --cfg-options num_classes={len(classes)}, or complete '
            'the folder'
        )
