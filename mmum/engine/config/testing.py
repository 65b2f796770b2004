"""Switches of ``mmum test``, and their effect on a config."""

import copy
from typing import Any

from mmengine.config import Config, ConfigDict

from mmum.engine.config.prepare import wrapped_dataset_cfgs
from mmum.engine.config.replacements import type_name
from mmum.errors import InputError

LOADERS_OF_MAPS = ('LoadAnnotations', 'LoadSegMapStrict')
# scope of a config -> hook that draws predictions
PICTURES = dict(mmdet='DetectionPicturesHook', mmseg='SegmentationPicturesHook')
FLIPS = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]


def set_tta(cfg: Config) -> None:
    """Test-time augmentation as the config says, or horizontal flips.

    Raises:
        InputError: If the config is not of a detector or a segmentation model.
    """
    scope = cfg.get('default_scope')
    if scope not in ('mmdet', 'mmseg'):
        raise InputError(
            '--tta is for detectors and segmentation: this config has neither (its default_scope '
            'is not mmdet or mmseg)'
        )
    if scope == 'mmdet':
        nms = dict(type='nms', iou_threshold=0.5)
        tta_model = dict(type='MaskTTAModel', tta_cfg=dict(nms=nms, max_per_img=100))
    else:
        tta_model = dict(type='SegTTAModel')
    cfg.setdefault('tta_model', ConfigDict(tta_model))
    datasets = wrapped_dataset_cfgs(cfg.test_dataloader.dataset)
    if not cfg.get('tta_pipeline'):
        flipped = _flipped_segmentation if scope == 'mmseg' else _flipped_detection
        cfg.tta_pipeline = flipped(datasets[0].pipeline)
    for dataset in datasets:
        dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)


def _flipped_detection(pipeline: list[Any]) -> list[Any]:
    pack = copy.deepcopy(pipeline[-1])
    keys = pack.get('meta_keys') or (
        'img_id',
        'img_path',
        'ori_shape',
        'img_shape',
        'scale_factor',
    )
    pack.meta_keys = tuple(dict.fromkeys([*keys, 'flip', 'flip_direction']))
    return [*pipeline[:-1], dict(type='TestTimeAug', transforms=[FLIPS, [pack]])]


def _flipped_segmentation(pipeline: list[Any]) -> list[Any]:
    """Flips before label maps are loaded: the truth stays as it is, predictions are turned back."""
    names = [type_name(transform) for transform in pipeline]
    maps = next((i for i, name in enumerate(names) if name in LOADERS_OF_MAPS), len(names) - 1)
    rest = [[transform] for transform in pipeline[maps:]]
    return [*pipeline[:maps], dict(type='TestTimeAug', transforms=[FLIPS, *rest])]


def set_show(cfg: Config, show: bool, show_dir: str | None) -> None:
    """Draw pictures in testing.

    Args:
        cfg (Config): The config, changed in place.
        show (bool): Whether to show them in a window (not reconstructions).
        show_dir (str | None): Folder to write them to.

    Raises:
        InputError: If reconstructions are to be shown in a window.
    """
    pictures = PICTURES.get(cfg.get('default_scope'))
    if pictures:
        hooks = [hook for hook in cfg.get('custom_hooks') or [] if type_name(hook) != pictures]
        cfg.custom_hooks = [*hooks, dict(type=pictures, show_dir=show_dir, show=show)]
        return
    if not show_dir:
        raise InputError(
            '--show is for detectors and segmentation: give --show-dir FOLDER for pictures of '
            'reconstructions'
        )
    hooks = [
        hook for hook in cfg.get('custom_hooks') or [] if type_name(hook) != 'ReconstructionHook'
    ]
    cfg.custom_hooks = [*hooks, dict(type='ReconstructionHook', show_dir=show_dir)]


def unshard(cfg: Config) -> None:
    """Test without the strategy of training: a test shards nothing."""
    if cfg.pop('strategy', None):
        cfg.runner_type = 'FaultTolerantRunner'
