"""Switches of ``mmum train``, and their effect on a config."""

import os

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mmum.engine.config.replacements import type_name
from mmum.engine.scale.precision import cpu_has_bfloat16
from mmum.engine.scale.strategies import autocast_deepspeed, uses_deepspeed
from mmum.errors import InputError


def set_amp(cfg: Config, dtype: str = 'auto') -> None:
    """Mixed precision.

    bfloat16 where the GPU or CPU has it; otherwise, on a GPU, float16 with loss scaling. Detectors
    train in float16 on a GPU, as with mmdet's own ``--amp``, unless bfloat16 is asked for: then,
    and on a CPU, backbone, neck and heads compute in it, and boxes and mmcv's operators stay in
    float32 (:class:`~mmum.engine.scale.BFloat16DetectorOptimWrapper`).

    Args:
        cfg (Config): The config, changed in place.
        dtype (str): 'bf16', 'fp16', or 'auto' for what the hardware has. Defaults to 'auto'.

    Raises:
        InputError: If float16 is asked for on a CPU or with DeepSpeed.
    """
    gpu, detector = torch.cuda.is_available(), cfg.get('default_scope') == 'mmdet'
    fp16 = gpu and (detector or not torch.cuda.is_bf16_supported())
    if dtype == 'fp16' and (uses_deepspeed(cfg) or not gpu):
        where = 'DeepSpeed autocasts' if uses_deepspeed(cfg) else 'a CPU trains'
        raise InputError(f'--amp fp16 is for GPUs, and {where} in bfloat16 only: give --amp bf16')
    if uses_deepspeed(cfg):
        autocast_deepspeed(cfg)
    elif gpu and (dtype == 'fp16' or dtype == 'auto' and fp16):
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    elif gpu or dtype == 'bf16' or cpu_has_bfloat16():
        kind = 'Detector' if detector else ''
        cfg.optim_wrapper.type = f'BFloat16{kind}OptimWrapper'
    else:
        print_log(
            '--amp: this CPU has no bfloat16 arithmetic, training continues in float32', 'current'
        )


def set_epochs(cfg: Config, epochs: int) -> None:
    """Train for another number of epochs: the whole schedule is stretched, warm-up included.

    Args:
        cfg (Config): The config, changed in place.
        epochs (int): Number of epochs.

    Raises:
        InputError: If the number is not positive, or if the config trains by iterations.
    """
    _set_length(cfg, epochs, 'epochs')


def set_iters(cfg: Config, iters: int) -> None:
    """Train for another number of iterations, as :func:`set_epochs`.

    An interval of validation or of checkpoints that was the whole training stays so.

    Args:
        cfg (Config): The config, changed in place.
        iters (int): Number of iterations.

    Raises:
        InputError: If the number is not positive, or if the config trains by epochs.
    """
    _set_length(cfg, iters, 'iters')


def _set_length(cfg: Config, length: int, unit: str) -> None:
    other = dict(epochs='iters', iters='epochs')[unit]
    train_cfg, key = cfg.get('train_cfg') or {}, f'max_{unit}'
    old = train_cfg.get(key)
    if old is None:
        instead = f'give --{other} N' if f'max_{other}' in train_cfg else 'it trains nothing'
        raise InputError(
            f'--{unit} {length} is for configs that train by {unit}, and this one has no '
            f'train_cfg.{key}: {instead}'
        )
    if length < 1:
        raise InputError(f'--{unit} {length} should be at least 1')
    share, by_epoch = length / old, unit == 'epochs'
    train_cfg[key] = length
    if not by_epoch:
        checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
        for owner, name in ((train_cfg, 'val_interval'), (checkpoint, 'interval')):
            if owner.get(name) == old:
                owner[name] = length
    schedules = cfg.get('param_scheduler') or []
    for schedule in schedules if isinstance(schedules, (list, tuple)) else [schedules]:
        if schedule.get('by_epoch', True) != by_epoch:
            continue  # a warm-up in steps
        fractions = schedule.get('convert_to_iter_based', False)
        for name in ('begin', 'end', 'T_max', 'milestones', 'total_iters'):
            if name not in schedule:
                continue
            value = schedule[name]
            schedule[name] = (
                [_stretch(v, share, fractions) for v in value]
                if isinstance(value, (list, tuple))
                else _stretch(value, share, fractions)
            )


def _stretch(value: int, share: float, fractions: bool) -> int | float:
    """Stretch a place in a schedule, to a part of an epoch where steps are counted."""
    stretched = value * share
    return round(stretched, 6) if fractions and stretched % 1 else round(stretched)


def add_backend(cfg: Config, kind: str) -> None:
    """Send scalars and pictures to one more visualisation backend; the local files stay.

    Args:
        cfg (Config): The config, changed in place.
        kind (str): For example 'TensorboardVisBackend' or 'WandbVisBackend'.
    """
    if 'visualizer' not in cfg:
        cfg.visualizer = ConfigDict(type='Visualizer')
    visualizer = cfg.visualizer
    backends = list(visualizer.get('vis_backends') or [dict(type='LocalVisBackend')])
    if kind not in {type_name(backend) for backend in backends}:
        visualizer.vis_backends = [*backends, dict(type=kind)]
    hooks = list(cfg.get('custom_hooks') or [])
    pictures = dict(
        mmdet=dict(type='DetectionPicturesHook'),
        mmseg=dict(type='SegmentationPicturesHook', max_images=4),
    ).get(cfg.get('default_scope'))
    if pictures and type_name(pictures) not in {type_name(hook) for hook in hooks}:
        cfg.custom_hooks = [*hooks, pictures]


def set_compile(cfg: Config) -> None:
    """torch.compile of the blocks."""
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='CompileBlocksHook')]


def set_ema(cfg: Config, momentum: float) -> None:
    """Test, and save for testing, an exponential moving average of the weights.

    Raises:
        InputError: If the momentum is not between 0 and 1.
    """
    if not 0 < momentum < 1:
        raise InputError(
            f'--ema {momentum} should lie between 0 and 1: the share of the new weights'
        )
    hook = dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=momentum,
        update_buffers=True,
        priority=49,
    )
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def set_global_batch(cfg: Config, images: int) -> None:
    """Accumulate as many steps as make a global batch on the ranks that there are.

    Raises:
        InputError: If the batch of the ranks does not divide it.
    """
    ranks = 1
    if cfg.get('launcher', 'none') != 'none':
        ranks = int(os.environ.get('WORLD_SIZE', os.environ.get('SLURM_NTASKS', 1)))
    batch = cfg.train_dataloader.batch_size
    step = ranks * batch
    if images < 1 or images % step:
        raise InputError(
            f'--global-batch {images} is no multiple of the {step} images of a step '
            f'({ranks} ranks x {batch}): change it, or train_dataloader.batch_size'
        )
    cfg.optim_wrapper.accumulative_counts = images // step
    print_log(
        f'global batch: {ranks} ranks x {batch} images x {images // step} accumulated steps '
        f'= {images}',
        'current',
    )


def set_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate to the actual batch, accumulated steps included.

    mmengine counts one step only.

    Raises:
        InputError: If the config does not say for which batch size its learning rate is.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise InputError(
            '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the '
            'config: the batch size that its learning rate is for'
        )
    cfg.auto_scale_lr.enable = True
    cfg.auto_scale_lr.base_batch_size /= cfg.optim_wrapper.get('accumulative_counts', 1)
