"""One table of replacements: none for our configs, all of it for foreign ones."""

import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop

from mmum.engine.config import replacements
from mmum.engine.config.replacements import (
    HOOKS,
    PIPELINES,
    REPLACEMENTS,
    SEGMENTATION_REPLACEMENTS,
    _transforms,
    replace_types,
    type_name,
)
from mmum.errors import InputError
from tests.helpers import ROOT

LEAVES = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(replacements, 'print_log', lambda text, *_: lines.append(text))
    return lines


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_our_configs_name_what_runs(path, said):
    """But for the stock loaders of test pipelines, which inferencers look for."""
    cfg = Config.fromfile(path)
    before = cfg.pretty_text
    replace_types(cfg)
    segmentation = {'LoadAnnotations is replaced by LoadSegMapStrict'}
    assert set(said) <= {'LoadImageFromFile is replaced by LoadImageStrict'} | (
        segmentation if path.parent.name == 'segmentation' else set()
    )
    stock = [t for key in PIPELINES for t in _transforms(cfg.get(key))]
    assert not [t for t in stock if type_name(t) == 'LoadImageFromFile']
    if not said:
        assert cfg.pretty_text == before


def foreign(**options):
    return Config(
        dict(
            train_cfg=dict(by_epoch=False, max_iters=3),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=5)),
            visualizer=dict(vis_backends=[dict(type='LocalVisBackend')]),
            strategy=dict(type='FSDPStrategy'),
            **options,
        )
    )


def test_a_foreign_config(said):
    cfg = foreign()
    replace_types(cfg)
    assert cfg.runner_type == 'FaultTolerantRunner'
    assert cfg.train_cfg == dict(type='ResumableIterTrainLoop', max_iters=3)
    assert cfg.default_hooks.checkpoint == dict(type='AtomicCheckpointHook', interval=5)
    assert cfg.visualizer.vis_backends[0].type == 'FaultTolerantLocalVisBackend'
    assert cfg.strategy.type == 'ResumableFSDPStrategy'
    assert {type_name(hook) for hook in cfg.default_hooks.values()} == set(HOOKS.values())
    assert 'CheckpointHook is replaced by AtomicCheckpointHook' in said and len(said) == 9
    before = cfg.pretty_text
    replace_types(cfg)  # again: nothing
    assert cfg.pretty_text == before and len(said) == 9


def test_classes_in_place_of_names():
    """Pure-Python configs name classes."""
    cfg = Config(dict(model=dict()))
    cfg.train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=1)
    cfg.default_hooks = dict(checkpoint=dict(type=CheckpointHook, interval=2))
    replace_types(cfg)
    assert cfg.train_cfg.type == 'ResumableEpochTrainLoop'
    assert cfg.default_hooks.checkpoint == dict(type='AtomicCheckpointHook', interval=2)


def test_a_config_without_hooks():
    """mmengine's default interval is kept: without one there would be no checkpoint at all."""
    cfg = Config(dict(model=dict(), train_cfg=dict(by_epoch=True, max_epochs=1)))
    replace_types(cfg)
    assert cfg.default_hooks.checkpoint == dict(type='AtomicCheckpointHook', interval=1)
    assert cfg.log_processor.type == 'ProgressLogProcessor'


def test_own_hooks_and_none():
    cfg = foreign(custom_hooks=[dict(type='NonFiniteGradHook', patience=3)])
    cfg.default_hooks.preemption = None
    replace_types(cfg)
    assert 'non_finite_grad' not in cfg.default_hooks and 'preemption' not in cfg.default_hooks


def test_every_replacement_exists():
    import mmum.engine
    from mmum import datasets

    for name in [
        *REPLACEMENTS.values(),
        *SEGMENTATION_REPLACEMENTS.values(),
        *HOOKS.values(),
    ]:
        assert hasattr(mmum.engine, name) or hasattr(datasets, name), name


def test_images_of_many_channels_keep_their_loader(said):
    load = dict(type='LoadImageFromFile', color_type='unchanged', imdecode_backend='tifffile')
    cfg = foreign(train_dataloader=dict(dataset=dict(pipeline=[dict(load)])))
    replace_types(cfg)
    assert cfg.train_dataloader.dataset.pipeline[0] == load


def test_stock_loaders_however_they_are_wrapped(said):
    """In wrapped data sets, in k-NN's loaders, and by their class; the decoder stays as it was."""
    load = dict(type='LoadImageFromFile', imdecode_backend='cv2')
    inner = dict(type='CocoDataset', pipeline=[dict(load), dict(type='PackDetInputs')])
    wrapped = dict(type='RepeatDataset', dataset=dict(type='ConcatDataset', datasets=[inner]))
    cfg = foreign(
        train_dataloader=dict(dataset=wrapped),
        custom_hooks=[dict(type='KNNHook', dataloader=dict(dataset=dict(pipeline=[dict(load)])))],
    )
    cfg.val_dataloader = dict(dataset=dict(pipeline=[dict(type=LoadImageFromFile)]))
    replace_types(cfg)
    strict = dict(type='LoadImageStrict', imdecode_backend='cv2')
    assert cfg.train_dataloader.dataset.dataset.datasets[0].pipeline[0] == strict
    assert cfg.custom_hooks[0].dataloader.dataset.pipeline[0] == strict
    assert cfg.val_dataloader.dataset.pipeline[0] == dict(type='LoadImageStrict')
    assert len([line for line in said if line.startswith('LoadImage')]) == 1


@pytest.mark.parametrize('backends', ["[dict(type='LocalVisBackend')]", ['LocalVisBackend']])
def test_backends_that_are_no_dicts(backends):
    cfg = Config(dict(visualizer=dict(vis_backends=backends)))
    with pytest.raises(InputError, match='vis_backends=.* should be a list of dicts'):
        replace_types(cfg)
