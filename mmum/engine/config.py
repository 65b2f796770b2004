"""What the command line adds to a config."""
import os.path as osp

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mmum.engine.optim import cpu_has_bfloat16
from mmum.errors import InputError


def load_config(path, options=None):
    """Reads a config and applies ``--cfg-options``, top-level variables included.

    mmengine substitutes variables such as ``data_root`` while it reads the file, so that overriding one afterwards would
    silently change nothing. Here the new value also replaces the old one where it was used: every string that is the old
    value, or begins with it, and the checkpoint that the backbone starts from for ``pretrained``.

    Args:
        path (str): The config file.
        options (dict, optional): From mmengine's ``DictAction``.

    Returns:
        Config: The config.

    Raises:
        InputError: If the file does not exist, or an option names a key that cannot be set.
    """
    if not osp.isfile(path):
        raise InputError(f'the config {path} does not exist: give one of configs/ or your own .py file')
    cfg = Config.fromfile(path)
    if not options:
        return cfg
    before = {key: cfg.get(key) for key in options}
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f'--cfg-options {" ".join(f"{k}={v}" for k, v in options.items())} does not fit {path} ({error}): '
                         'name existing keys, a.b.c=value, and list items by number') from error
    for key, old in before.items():
        new = options[key]
        if isinstance(old, str) and old and isinstance(new, str):
            if key == 'data_root' and old.endswith('/'):
                new = osp.join(new, '')
            for name, value in cfg.items():
                cfg[name] = _replace_prefix(value, old, new)
    if 'pretrained' in options:
        cfg.model.backbone.init_cfg = ConfigDict(type='BackboneCheckpoint', checkpoint=options['pretrained'])
    return cfg


def _replace_prefix(value, old, new):
    if isinstance(value, dict):
        return type(value)({k: _replace_prefix(v, old, new) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return type(value)(_replace_prefix(v, old, new) for v in value)
    return new + value[len(old):] if isinstance(value, str) and value.startswith(old) else value


def set_work_dir(cfg, work_dir, config_path):
    """Command line before config file before ``work_dirs/NAME``."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(config_path))[0])


def set_device(cfg):
    """Without a GPU: gloo instead of nccl, and no pinned memory."""
    if not torch.cuda.is_available():
        cfg.setdefault('env_cfg', ConfigDict()).setdefault('dist_cfg', ConfigDict()).backend = 'gloo'
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if cfg.get(name):
                cfg[name].pin_memory = False


def set_amp(cfg):
    """Mixed precision: float16 with loss scaling on a GPU, bfloat16 on a CPU that has it, else float32."""
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    elif cpu_has_bfloat16():
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    else:
        print_log('--amp: this CPU has no bfloat16 arithmetic, training goes on in float32', 'current')


def set_auto_scale_lr(cfg):
    """Raises InputError where the config does not say for which batch size its learning rate is."""
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise InputError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config: the batch size that '
                         'its learning rate is for')
    cfg.auto_scale_lr.enable = True
