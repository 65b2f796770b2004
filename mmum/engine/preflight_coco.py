"""Validate the annotation files that a config names, against its other files and its model."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS

from mmum.datasets.coco.read import read_coco
from mmum.datasets.coco.report import (
    MAX_OPENED,
    CocoReport,
    inspect_coco,
    refuse_or_warn,
    unknown_classes,
)
from mmum.engine.config.replacements import dicts, type_name
from mmum.errors import InputError, preview


def dataset_class(dataset: Any) -> Any:
    """The class of a data set's config, or None."""
    kind = dataset.get('type')
    if not isinstance(kind, str):
        return kind
    name = type_name(dataset)
    return DATASETS.get(name) or DATASETS.get(f'mmdet.{name}')


def is_coco(dataset: Any) -> bool:
    """Whether a config is that of a data set in COCO's format: mmdet's, ours, or made of them."""
    if not dataset.get('type') or not dataset.get('ann_file'):
        return False
    api = getattr(dataset_class(dataset), 'COCOAPI', None)
    return getattr(api, '__name__', '') == 'COCO'


def check_coco(dataset: Any, split: str, labelled: bool) -> None:
    """Check the files of one data set against each other.

    Args:
        dataset (ConfigDict): Its config.
        split (str): The data loader it belongs to, for messages.
        labelled (bool): Whether it must have annotations.

    Raises:
        InputError: If a file or folder is missing, is refused, or does not fit another.
    """
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
    # whatever else reads images knows their size itself
    loader = type_name(next(iter(dataset.get('pipeline') or ()), None))
    opened = MAX_OPENED if loader.startswith('LoadImage') else 0
    report = inspect_coco(file, folder, maps, labelled, opened)
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
    _check_sizes(file, split, report)
    masks = any(transform.get('with_mask') for transform in dicts(dataset.get('pipeline')))
    refuse_or_warn(str(file), report.cleaned, masks)


def classes_of(dataset: Any) -> tuple[str, ...]:
    """The classes of the config of a data set: its own, or those of its type."""
    classes = (dataset.get('metainfo') or {}).get('classes')
    if not classes:
        classes = dataset_class(dataset).METAINFO['classes']
    return (classes,) if isinstance(classes, str) else tuple(classes)


def _check_categories(dataset: Any, split: str, report: CocoReport) -> None:
    """Check the classes of a data set against the categories of its annotations."""
    classes = classes_of(dataset)
    unknown = [name for name in classes if name not in report.categories]
    if unknown and (split == 'train' or len(unknown) == len(classes)):
        raise InputError(unknown_classes(str(report.path), unknown, report.categories))


def _check_sizes(file: Path, split: str, report: CocoReport) -> None:
    """Refuse images whose size is not the annotated one."""
    if report.wrong_sizes:
        raise InputError(
            f'{file}: {report.wrong_sizes[0]}; {len(report.wrong_sizes)} of the images looked at '
            'are so, tools/check_data.py FILE --images FOLDER lists all'
        )


def _heads(model: Any, path: str = '') -> Iterator[tuple[str, int]]:
    """Keys and values of ``num_classes`` in the heads that learn the classes."""
    if isinstance(model, dict):
        for key, value in model.items():
            if key == 'num_classes' and 'head' in path and isinstance(value, int):
                yield f'{path}.{key}'.lstrip('.'), value
            elif 'semantic' not in key and 'rpn' not in key:
                yield from _heads(value, f'{path}.{key}')
    elif isinstance(model, (list, tuple)):
        for index, item in enumerate(model):
            yield from _heads(item, f'{path}.{index}')


def check_heads(model: Any, classes: Sequence[str]) -> None:
    """Compare the number of classes of a model's heads with the classes of a data set.

    Raises:
        InputError: If they differ: labels would lie outside a head, or its outputs mean nothing.
    """
    wrong = {key: number for key, number in _heads(model) if number != len(classes)}
    if wrong:
        key, number = next(iter(wrong.items()))
        raise InputError(
            f'model.{key} is {number}, and the data set has {len(classes)} classes '
            f'({preview(classes, 5)}): pass --cfg-options num_classes={len(classes)}, which sets '
            'all heads, or classes=... with the names, which sets the data sets too'
        )


def check_evaluator(dataset: Any, evaluator: Any) -> None:
    """Compare the annotation file that is evaluated with that of the images.

    Raises:
        InputError: If images that are tested are not among those that are evaluated.
    """
    file = evaluator.get('ann_file')
    own = Path(dataset.get('data_root') or '', dataset.ann_file)
    if not file or '://' in str(file) or os.path.abspath(file) == os.path.abspath(own):
        return
    if not Path(file).is_file():
        raise InputError(f'the annotation file {file} of the evaluator does not exist')
    known = {str(image.get('id')) for image in read_coco(file, labelled=False)['images']}
    images = {str(image.get('id')) for image in read_coco(own, labelled=False)['images']}
    if not images <= known:
        raise InputError(
            f'the evaluator compares with {file}, which lacks {len(images - known)} of the '
            f'{len(images)} images of {own}: name the same file in both'
        )
