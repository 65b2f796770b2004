"""What the command line adds to a config."""
import copy
import os
import os.path as osp

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmum.engine.scale.precision import cpu_has_bfloat16
from mmum.errors import InputError


def load_config(path, options=None):
    """Reads a config and applies ``--cfg-options``, top-level variables included.

    mmengine substitutes variables such as ``data_root`` while it reads the file, so that overriding one afterwards would
    silently change nothing. Here the new value also replaces the old one where it was used: every string that is the old
    value, or begins with it, the checkpoint that the backbone starts from for ``pretrained``, and every ``num_classes``.

    Args:
        path (str): The config file.
        options (dict, optional): From mmengine's ``DictAction``.

    Returns:
        Config: The config.

    Raises:
        InputError: If the file does not exist or is no config, or an option names a key that cannot be set.
    """
    if not osp.isfile(path):
        raise InputError(f'the config {path} does not exist: give one of configs/ or your own .py file')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is Python, and mmengine raises many kinds
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise InputError(f'the config {path} cannot be read ({reason}): it should '
                         "be a .py file in mmengine's format") from error
    if not isinstance(cfg.get('model'), dict):
        raise InputError(f'the config {path} has no model: give one of configs/ or your own')
    if not options:
        return cfg
    before = {key: cfg.get(key) for key in options}
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f'--cfg-options {" ".join(f"{k}={v}" for k, v in options.items())} does not fit {path} ({error}): '
                         'name existing keys, a.b.c=value, and list items by number') from error
    for key, old in sorted(before.items(), key=lambda item: -len(str(item[1]))):  # a root may lie in another
        new = options[key]
        if isinstance(old, str) and old and isinstance(new, str):
            if key.endswith('_root') and old.endswith('/'):
                new = osp.join(new, '')
            for name, value in cfg.items():
                cfg[name] = _replace_prefix(value, old, new)
    if 'num_classes' in options:
        _set_everywhere(dict(cfg.items()), 'num_classes', options['num_classes'])
    if 'pretrained' in options:
        cfg.model.backbone.init_cfg = ConfigDict(type='BackboneCheckpoint', checkpoint=options['pretrained'])
    return cfg


def build_runner(cfg):
    """mmengine's runner of a config, and the model in it.

    Raises:
        InputError: If the config gives something an argument that it does not have.
    """
    try:
        return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    except TypeError as error:
        if 'unexpected keyword argument' not in str(error):
            raise
        reason = str(error).splitlines()[-1]
        raise InputError(f'the config sets what is not there: {reason}; look for a misspelt key') from error


def _set_everywhere(value, name, new):
    """Sets every entry of this name, at any depth."""
    if isinstance(value, dict):
        for key in value:
            if key == name:
                value[key] = new
            elif key != 'semantic_head':  # of HTC: its classes are those of the stuff maps
                _set_everywhere(value[key], name, new)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _set_everywhere(item, name, new)


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
    """Fits loaders and ranks to the machine: without a GPU no pinned memory, and ranks that talk through gloo.

    mmengine would set the rank's CUDA device, and give it to the distributed model, in any case. So the process group is
    made here, and the wrapper is told that there is no device.
    """
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name) and not cfg[name].get('num_workers'):
            cfg[name].persistent_workers = False  # torch refuses them where there are none
        if cfg.get(name) and not torch.cuda.is_available():
            cfg[name].pin_memory = False
    if torch.cuda.is_available():
        return
    if cfg.get('launcher') == 'pytorch':
        torch.distributed.init_process_group('gloo')
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False))
    if cfg.get('strategy', {}).get('type') == 'FSDPStrategy':
        cfg.strategy.model_wrapper.device_id = torch.device('cpu')
        if cfg.strategy.get('state_dict_cfg') == 'full':  # which means to copy to the CPU: from there torch crashes
            stay = dict(offload_to_cpu=False, rank0_only=False)
            cfg.strategy.state_dict_cfg = dict(
                state_dict_type='FULL_STATE_DICT', state_dict_config=dict(type='FullStateDictConfig', **stay),
                optim_state_dict_config=dict(type='FullOptimStateDictConfig', **stay))


def use_fault_tolerant(cfg, testing=False):
    """What every run of the tools gets, whoever wrote its config: safe checkpoints, exact resuming, the guards of
    docs/reliability.md."""
    cfg.setdefault('default_hooks', ConfigDict())
    checkpoint = cfg.default_hooks.setdefault('checkpoint', ConfigDict(type='CheckpointHook', interval=1))  # mmengine's default
    if checkpoint and checkpoint.get('type') == 'CheckpointHook':
        checkpoint['type'] = 'AtomicCheckpointHook'
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='CheckpointMatchHook', complete=testing)]
    strategy = cfg.get('strategy') or {}
    if testing:
        if strategy.get('type') in ('FSDPStrategy', 'DeepSpeedStrategy'):  # of training: a test shards nothing
            cfg.pop('strategy')
            cfg.pop('runner_type', None)
        return
    if strategy.get('type') == 'FSDPStrategy':
        strategy['type'] = 'ResumableFSDPStrategy'
    own = {hook.get('type') for hook in cfg.custom_hooks}
    cfg.custom_hooks += [dict(type=name) for name in ('PreemptionHook', 'NonFiniteGradHook') if name not in own]
    loop = cfg.get('train_cfg') or {}
    kind = loop.get('type') or ('EpochBasedTrainLoop' if loop.pop('by_epoch', True) else 'IterBasedTrainLoop')
    if kind in ('EpochBasedTrainLoop', 'IterBasedTrainLoop'):
        loop['type'] = kind.replace('Based', '').replace('Epoch', 'ExactEpoch').replace('Iter', 'ExactIter')
    for backend in (cfg.get('visualizer') or {}).get('vis_backends') or []:
        if backend['type'] == 'LocalVisBackend':
            backend['type'] = 'FaultTolerantLocalVisBackend'


def set_bad_images(cfg):
    """A bad image among millions does not end a pre-training: it goes on a list in the work directory."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    if dataset.get('type') == 'UnlabelledImages' and 'bad_images' not in dataset:
        dataset.bad_images = osp.join(cfg.work_dir, 'bad_images.txt')


def unwrap_dataset_cfg(dataset):
    """The data set's config inside wrappers (RepeatDataset, MultiImageMixDataset ...)."""
    while isinstance(dataset.get('dataset'), dict):
        dataset = dataset.dataset
    return dataset


def set_tta(cfg):
    """Test-time augmentation: the config's ``tta_model`` and ``tta_pipeline``, or horizontal flips.

    Raises:
        InputError: Where the config is no detector's.
    """
    if cfg.get('default_scope') != 'mmdet':
        raise InputError('--tta is for detectors: this config has none (its default_scope is not mmdet)')
    cfg.setdefault('tta_model', ConfigDict(
        type='MaskTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)))
    dataset = unwrap_dataset_cfg(cfg.test_dataloader.dataset)
    if 'tta_pipeline' not in cfg:
        pack = copy.deepcopy(dataset.pipeline[-1])
        meta_keys = pack.get('meta_keys') or ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
        pack.meta_keys = tuple(dict.fromkeys([*meta_keys, 'flip', 'flip_direction']))
        flips = [dict(type='RandomFlip', prob=1.), dict(type='RandomFlip', prob=0.)]
        cfg.tta_pipeline = [*dataset.pipeline[:-1], dict(type='TestTimeAug', transforms=[flips, [pack]])]
    dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)


def set_show(cfg, show, show_dir):
    """Pictures while testing: detections by mmdet's visualisation hook, reconstructions by ours.

    Args:
        cfg (Config): The config.
        show (bool): In a window (detectors only).
        show_dir (str | None): Into this folder.
    """
    # absolute: mmdet's hook would nest a relative folder in itself, once a batch
    show_dir = show_dir and osp.abspath(show_dir)
    if cfg.get('default_scope') == 'mmdet':
        hook = dict(draw=True, show=show)
        if show_dir:
            hook['test_out_dir'] = show_dir
        cfg.merge_from_dict(dict(default_hooks=dict(visualization=hook)))
        return
    if not show_dir:
        raise InputError('--show is for detectors: give --show-dir FOLDER for pictures of reconstructions')
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook['type'] != 'ReconstructionHook']
    cfg.custom_hooks = [*hooks, dict(type='ReconstructionHook', show_dir=show_dir)]


def set_amp(cfg):
    """Mixed precision: float16 with loss scaling on a GPU, bfloat16 on a CPU that has it, else float32.

    Detectors stay in float32 on a CPU: mmcv's operators know no bfloat16 there.
    """
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    elif cfg.get('default_scope') == 'mmdet':
        print_log('--amp: on a CPU mmcv has its operators in float32 only, training goes on in float32', 'current')
    elif cpu_has_bfloat16():
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    else:
        print_log('--amp: this CPU has no bfloat16 arithmetic, training goes on in float32', 'current')


def set_compile(cfg):
    """torch.compile of the blocks."""
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='CompileBlocksHook')]


def set_ema(cfg, momentum):
    """Tests, and saves for testing, an exponential moving average of the weights.

    Raises:
        InputError: If the momentum is not between 0 and 1.
    """
    if not 0 < momentum < 1:
        raise InputError(f'--ema {momentum} should lie between 0 and 1: the share of the new weights')
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(
        type='EMAHook', ema_type='ExpMomentumEMA', momentum=momentum, update_buffers=True, priority=49)]


def set_global_batch(cfg, images):
    """Accumulates as many steps as make a global batch on the ranks that there are, and prints the arithmetic.

    Raises:
        InputError: If the ranks' batch does not divide it.
    """
    ranks = int(os.environ.get('WORLD_SIZE', os.environ.get('SLURM_NTASKS', 1))) if cfg.get('launcher', 'none') != 'none' else 1
    step = ranks * cfg.train_dataloader.batch_size
    if images < 1 or images % step:
        raise InputError(f'--global-batch {images} is no multiple of the {step} images of a step ({ranks} ranks x '
                         f'{cfg.train_dataloader.batch_size}): change it, or train_dataloader.batch_size')
    cfg.optim_wrapper.accumulative_counts = images // step
    print_log(f'global batch: {ranks} ranks x {cfg.train_dataloader.batch_size} images x {images // step} accumulated steps '
              f'= {images}', 'current')


def set_auto_scale_lr(cfg):
    """Scales the learning rate to the actual batch, accumulated steps included: mmengine counts one step only.

    Raises:
        InputError: Where the config does not say for which batch size its learning rate is.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise InputError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config: the batch size that '
                         'its learning rate is for')
    cfg.auto_scale_lr.enable = True
    cfg.auto_scale_lr.base_batch_size /= cfg.optim_wrapper.get('accumulative_counts', 1)
