"""Validate the files that a config names before hours are spent."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.datasets.checks.annotations import FAULTS, CocoReport, inspect_coco
from mmum.datasets.listing import list_class_folders
from mmum.engine.config.prepare import unwrap_dataset_cfg
from mmum.engine.config.replacements import type_name
from mmum.errors import InputError, preview


def preflight(cfg: Config, splits: Sequence[str]) -> None:
    """Check the files that a config names, on the first rank only.

    Args:
        cfg (Config): The config.
        splits (Sequence[str]): The data loaders that will be used: 'train', 'val', 'test'.

    Raises:
        InputError: If a checkpoint is none, a folder or annotation file is missing, annotations
            name absent files or hold no images, or classes are not those of the annotations.
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
        if checkpoint and '://' not in checkpoint:
            weights_of(read_checkpoint(checkpoint), checkpoint, key)
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        dataset = unwrap_dataset_cfg(loader.dataset) if loader else None
        evaluator = cfg.get(f'{split}_evaluator') or {}
        evaluator = evaluator if isinstance(evaluator, dict) else {}
        if 'Coco' in type_name(dataset):
            # COCO's test images: results are written, and evaluated elsewhere.
            _check_coco(dataset, split, labelled=not evaluator.get('format_only'))
        num_classes = (cfg.model.get('head') or {}).get('num_classes')
        if type_name(dataset) == 'LabelledImages' and num_classes:
            _check_labelled(dataset, num_classes)


def _init_cfg(cfg: Config) -> Any:
    backbone = cfg.model.get('backbone') or cfg.model.get('module', {}).get('backbone') or {}
    return backbone.get('init_cfg') or {}


def _checkpoints(cfg: Config) -> tuple[str | None, str | None]:
    """The checkpoints that a config names: of the whole model, and to start its backbone from."""
    init_cfg = _init_cfg(cfg)
    started = init_cfg.get('checkpoint') if type_name(init_cfg) == 'BackboneCheckpoint' else None
    return cfg.get('load_from'), started


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


def _check_coco(dataset: Any, split: str, labelled: bool) -> None:
    """Check the files of one CocoDataset against each other."""
    root = dataset.get('data_root') or ''
    if '://' in root:
        return
    prefix = dataset.get('data_prefix') or {}
    file, folder = Path(root, dataset.ann_file), Path(root, prefix.get('img', ''))
    remedy = f'set {split}_dataloader.dataset in the config, or pass --cfg-options data_root=FOLDER'
    if root and not Path(root).is_dir():
        raise InputError(f'the data root {root} does not exist: {remedy}')
    if not file.is_file():
        raise InputError(f'the annotation file {file} does not exist: {remedy}')
    if not folder.is_dir():
        raise InputError(f'the image folder {folder} does not exist: {remedy}')
    # The stuff maps of HTC, where the pipeline loads them.
    stuff = any(transform.get('with_seg') for transform in dataset.get('pipeline', ()))
    maps = Path(root, prefix.get('seg', '')) if stuff else None
    report = inspect_coco(file, folder, maps, labelled)
    if not report.file_names:
        raise InputError(f'{file} lists no images: give an annotation file with images')
    if labelled and not report.content['annotations']:
        raise InputError(
            f'{file} lists no annotations, so there is nothing to learn or to compare with: give a '
            'file with annotations (to detect in images without, tools/predict.py)'
        )
    if report.absent_maps:
        raise InputError(
            f'{len(report.absent_maps)} stuff maps are not in {maps}, first '
            f'{preview(report.absent_maps, 3)}: unpack stuffthingmaps there, set data_prefix.seg '
            f'of {split}_dataloader.dataset, or take a config without-semantic'
        )
    if report.absent_images:
        raise InputError(
            f'{file} names {len(report.absent_images)} files that are not in {folder}, first '
            f'{preview(report.absent_images, 3)}: complete the folder, or mend data_prefix of '
            f'{split}_dataloader.dataset'
        )
    _check_categories(dataset, split, report)
    for kind, ids in report.faults.items():
        what = f'{file}: {len(ids)} x {kind} (id {preview(ids, 3)})'
        if FAULTS[kind] is None:
            raise InputError(f'{what}: mend the file, tools/check_data.py lists all')
        if kind.startswith(('box', 'polygon')):
            print_log(f'{what}, {FAULTS[kind]}', 'current', logging.WARNING)


def _check_categories(dataset: Any, split: str, report: CocoReport) -> None:
    """Check the classes of a data set against the categories of its annotations."""
    classes = (dataset.get('metainfo') or {}).get('classes')
    if not classes:
        name = dataset.type
        kind = DATASETS.get(f'mmdet.{type_name(dataset)}') if isinstance(name, str) else name
        classes = kind.METAINFO['classes']
    classes = (classes,) if isinstance(classes, str) else tuple(classes)
    unknown = [name for name in classes if name not in report.categories]
    if unknown:
        raise InputError(
            f'the class {preview(unknown, 3)} of the config is not among the categories of '
            f'{report.path} ({preview(report.categories, 10)}): set metainfo=dict(classes=(...)) '
            f'of {split}_dataloader.dataset to them'
        )
