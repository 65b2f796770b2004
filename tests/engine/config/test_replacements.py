"""One table of replacements: none for our configs, all of it for foreign ones."""

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop

from mmum.engine.config import replacements
from mmum.engine.config.replacements import HOOKS, REPLACEMENTS, replace_types, type_name
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
    cfg = Config.fromfile(path)
    before = cfg.pretty_text
    replace_types(cfg)
    assert cfg.pretty_text == before and not said


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
    assert 'CheckpointHook is replaced by AtomicCheckpointHook' in said and len(said) == 8
    before = cfg.pretty_text
    replace_types(cfg)  # again: nothing
    assert cfg.pretty_text == before and len(said) == 8


def test_classes_in_place_of_names():
    """Pure-Python configs name classes."""
    cfg = Config(dict(model=dict()))
    cfg.train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=1)
    cfg.default_hooks = dict(checkpoint=dict(type=CheckpointHook, interval=2))
    replace_types(cfg)
    assert cfg.train_cfg.type == 'ResumableEpochTrainLoop'
    assert cfg.default_hooks.checkpoint == dict(type='AtomicCheckpointHook', interval=2)


def test_own_hooks_and_none():
    cfg = foreign(custom_hooks=[dict(type='NonFiniteGradHook', patience=3)])
    cfg.default_hooks.preemption = None
    replace_types(cfg)
    assert 'non_finite_grad' not in cfg.default_hooks and 'preemption' not in cfg.default_hooks


def test_every_replacement_exists():
    import mmum.engine

    for name in [*REPLACEMENTS.values(), *HOOKS.values()]:
        assert hasattr(mmum.engine, name), name


@pytest.mark.parametrize('backends', ["[dict(type='LocalVisBackend')]", ['LocalVisBackend']])
def test_backends_that_are_no_dicts(backends):
    cfg = Config(dict(visualizer=dict(vis_backends=backends)))
    with pytest.raises(InputError, match='vis_backends=.* should be a list of dicts'):
        replace_types(cfg)
