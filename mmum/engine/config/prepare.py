"""Prepare a config for running, in one order, for training and testing alike."""

import importlib.util
import os.path as osp
from typing import Any

import torch
from mmengine.config import Config

from mmum.engine.config.classes import agree_on_classes
from mmum.engine.config.load import carry_from_file
from mmum.engine.config.preprocessor import check_preprocessor
from mmum.engine.config.replacements import dicts, replace_types, type_name
from mmum.engine.scale.strategies import fit_deepspeed, uses_deepspeed
from mmum.environment import default_device, why_no_detection, why_no_segmentation
from mmum.errors import InputError

# What mmengine's visualisation backends import when they are used first.
BACKEND_PACKAGES = dict(
    AimVisBackend='aim',
    ClearMLVisBackend='clearml',
    DVCLiveVisBackend='dvclive',
    MLflowVisBackend='mlflow',
    NeptuneVisBackend='neptune',
    TensorboardVisBackend='tensorboard',
    WandbVisBackend='wandb',
)

REPLACE_UNREADABLE = (
    'UnlabelledImages',
    'LabelledImages',
    'CheckedCocoDataset',
    'CheckedSegDataset',
    'CheckedADE20KDataset',
)


def prepare(cfg: Config) -> None:
    """Prepare a config, in place, whoever wrote it and whichever launcher read it.

    The order matters: variables first, because the steps after them read paths; types second,
    because the steps after them look for the types that run. Preparing a config again changes
    nothing.

    Args:
        cfg (Config): The config, after all options of the command line.

    Raises:
        InputError: If an option changes nothing, or if an entry cannot be.
    """
    check_packages(cfg)
    carry_from_file(cfg)
    set_work_dir(cfg)
    replace_types(cfg)
    check_backends(cfg)
    check_preprocessor(cfg)
    agree_on_classes(cfg)
    fit_device(cfg)
    list_bad_images(cfg)
    if uses_deepspeed(cfg):
        fit_deepspeed(cfg)


def check_packages(cfg: Config) -> None:
    """Raise InputError where mmdet, mmcv's compiled operators or mmseg are needed and absent."""
    reasons = dict(mmdet=why_no_detection, mmseg=why_no_segmentation)
    scope = cfg.get('default_scope')
    reason = reasons[scope]() if scope in reasons else None
    if reason:
        raise InputError(reason)


def check_backends(cfg: Config) -> None:
    """Raise InputError if a visualisation backend lacks its package."""
    for backend in (cfg.get('visualizer') or {}).get('vis_backends') or []:
        name = type_name(backend)
        package = BACKEND_PACKAGES.get(name)
        if package and importlib.util.find_spec(package) is None:
            raise InputError(
                f'the visualisation backend {name} needs {package}, which is not installed: '
                f'pip install {package}'
            )


def set_work_dir(cfg: Config) -> None:
    """Put a run without a work directory into ``work_dirs/NAME``."""
    if cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(cfg.filename or 'run'))[0]
        cfg.work_dir = osp.join('work_dirs', name)


def fit_device(cfg: Config) -> None:
    """Fit loaders and ranks to the machine: without a GPU no pinned memory, and gloo.

    mmengine would set the CUDA device of a rank, and give it to the distributed model, in any case.
    So the process group is made here, and the wrapper is told that there is no device.
    """
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name) and not cfg[name].get('num_workers'):
            cfg[name].persistent_workers = False  # torch refuses them where there are none
        if cfg.get(name) and not torch.cuda.is_available():
            cfg[name].pin_memory = False
    if default_device() == 'cuda':
        return
    cfg.pop('sync_bn', None)  # torch has synchronised batch norm on GPUs only
    for entry in dicts(cfg.model):
        if type_name(entry) == 'SyncBN':
            entry['type'] = 'BN'
    if cfg.get('launcher') == 'pytorch':
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group('gloo')
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
    strategy = cfg.get('strategy')
    if type_name(strategy) == 'ResumableFSDPStrategy':
        strategy.model_wrapper.device_id = torch.device('cpu')
        if strategy.get('state_dict_cfg') == 'full':
            # "full" means to copy to the CPU: from there torch crashes
            stay = dict(offload_to_cpu=False, rank0_only=False)
            strategy.state_dict_cfg = dict(
                state_dict_type='FULL_STATE_DICT',
                state_dict_config=dict(type='FullStateDictConfig', **stay),
                optim_state_dict_config=dict(type='FullOptimStateDictConfig', **stay),
            )


def list_bad_images(cfg: Config) -> None:
    """Let a training replace unreadable images, and list them in the work directory.

    Data sets may be wrapped in any way; those of other packages end at such an image.
    """
    for dataset in dicts(cfg.get('train_dataloader')):
        if type_name(dataset) in REPLACE_UNREADABLE and 'bad_images' not in dataset:
            dataset['bad_images'] = osp.join(cfg.work_dir, 'bad_images.txt')


def wrapped_dataset_cfgs(dataset: Any) -> list[Any]:
    """The configs of the data sets inside wrappers (RepeatDataset, ConcatDataset ...)."""
    if isinstance(dataset.get('dataset'), dict):
        return wrapped_dataset_cfgs(dataset.dataset)
    if dataset.get('datasets'):
        return [plain for part in dataset.datasets for plain in wrapped_dataset_cfgs(part)]
    return [dataset]
