"""Validate the images and label maps that a config names, against each other and its model."""

import os.path as osp
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS, DefaultScope

from mmum.datasets.segmentation.maps import Labels
from mmum.datasets.segmentation.pairs import inspect_maps, pair_dataset, spread, suspicion
from mmum.engine.config.replacements import dicts
from mmum.errors import InputError


def is_segmentation(dataset: Any) -> bool:
    """Whether a config is that of a data set of mmseg, or made of one."""
    return 'seg_map_path' in (dataset.get('data_prefix') or {}) and bool(dataset.get('type'))


def check_segmentation(dataset: Any, split: str, labelled: bool) -> tuple[str, ...]:
    """Check the files of one data set against each other.

    Label maps are read, at most 200 evenly from all; the loader of each checks the rest.

    Args:
        dataset (ConfigDict): Its config.
        split (str): The data loader it belongs to, for messages.
        labelled (bool): Whether it must have label maps.

    Returns:
        tuple[str, ...]: Its classes.

    Raises:
        InputError: If a folder or map is missing, or a map is not what the data set says.
    """
    root, prefix = dataset.get('data_root') or '', dataset.data_prefix
    remedy = f'set {split}_dataloader.dataset in the config, or pass --cfg-options data_root=FOLDER'
    remote = '://' in root or '://' in str(prefix.get('img_path'))
    folders = [osp.join(root, prefix[key]) for key in ('img_path', 'seg_map_path') if prefix[key]]
    if not remote and root and not Path(root).is_dir():
        raise InputError(f'the data root {root} does not exist: {remedy}')
    for folder in () if remote else folders:
        if not Path(folder).is_dir():
            raise InputError(f'the folder {folder} does not exist: {remedy}')
    with DefaultScope.overwrite_default_scope('mmseg'):
        built = DATASETS.build({**dataset, 'lazy_init': True, 'pipeline': []})
    classes = built.metainfo.get('classes')
    if not classes:
        raise InputError(
            f"{split}_dataloader.dataset has no classes: set metainfo=dict(classes=('background', "
            '...)), in the order of the labels, or pass --cfg-options classes=...'
        )
    if not remote and labelled:
        _check_files(built, split)
    return tuple(classes)


def _check_files(built: Any, split: str) -> None:
    """Pair the files of a data set, and read some of its label maps."""
    images, maps = built.data_prefix['img_path'], built.data_prefix.get('seg_map_path')
    if not maps:
        raise InputError(
            f'{split}_dataloader.dataset names no folder of label maps: set data_prefix.'
            'seg_map_path (to predict without maps, tools/predict.py)'
        )
    pairs = pair_dataset(built)
    known = built.METAINFO.get('classes') or built.metainfo['classes']
    labels = Labels(len(known), built.reduce_zero_label)
    paths = [(osp.join(images, a), osp.join(maps, b)) for a, b in pairs.images.items()]
    report = inspect_maps(spread(paths), labels)
    wrong = [fault for fault in report.faults.values() if 'cannot be read' not in fault]
    if wrong:
        more = f'; {len(wrong)} of the {report.opened} maps looked at are so' if wrong[1:] else ''
        raise InputError(f'{wrong[0]}{more}')
    doubt = suspicion(report, labels) if split == 'train' else None
    if doubt:
        raise InputError(f'{maps}: {doubt}')


def without_labels(evaluator: Any) -> bool:
    """Whether predictions are written to be evaluated elsewhere."""
    return any(entry.get('format_only') for entry in dicts(evaluator))
