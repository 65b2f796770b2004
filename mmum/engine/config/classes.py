"""Let the data sets and metrics of a classification agree on its classes."""

import os.path as osp
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmum.datasets.listing import list_class_folders
from mmum.engine.config.replacements import dicts, type_name


def agree_on_classes(cfg: Config) -> None:
    """Number classes by the folders of the training images in all data sets; fit top-k accuracy.

    The folders are those of the training images or of the labelled images of k-NN. Without this,
    each split numbers its own folders, and a class that one of them lacks shifts all labels.

    Args:
        cfg (Config): The config, changed in place.
    """
    bank = (cfg.get('test_cfg') or {}).get('bank_dataloader')
    reference = _folder(cfg.get('train_dataloader')) or _folder(bank)
    for key in ('val_dataloader', 'test_dataloader'):
        _number(cfg.get(key), reference)
    for hook in cfg.get('custom_hooks') or []:
        if isinstance(hook, dict) and hook.get('bank_dataloader'):
            _number(hook.get('dataloader'), _folder(hook['bank_dataloader']))
    number = (cfg.model.get('head') or {}).get('num_classes')
    if number is None and reference and osp.isdir(reference):
        number = len(list_class_folders(reference))
    if number:
        _fit_topk(cfg, number)


def _labelled(loader: Any) -> Iterator[Any]:
    """The data sets of class folders in a data loader."""
    for dataset in dicts(loader):
        if type_name(dataset) == 'LabelledImages' and not dataset.get('ann_file'):
            yield dataset


def _folder(loader: Any) -> str | None:
    """The folder of the class folders of a data loader."""
    for dataset in _labelled(loader):
        folder = osp.join(dataset.get('data_root') or '', dataset.get('data_prefix') or '')
        return folder if '://' not in folder else None
    return None


def _number(loader: Any, reference: str | None) -> None:
    for dataset in _labelled(loader):
        if reference is not None and dataset.get('numbering') is None:
            dataset['numbering'] = reference


def _fit_topk(cfg: Config, number: int) -> None:
    """Leave top-k accuracies out of which every answer would be right."""
    for key in ('val_evaluator', 'test_evaluator'):
        for metric in dicts(cfg.get(key)):
            topk = metric.get('topk')
            if type_name(metric) != 'Accuracy' or not topk:
                continue
            asked = (topk,) if isinstance(topk, int) else tuple(topk)
            fitting = tuple(k for k in asked if k < number or k == 1) or (1,)
            if fitting != asked:
                metric['topk'] = fitting
                print_log(
                    f'{key}: top-k accuracy of {number} classes for k in {fitting}', 'current'
                )
