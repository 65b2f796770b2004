"""A checkpoint is loaded where it belongs."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmum.checkpoints import read_checkpoint
from mmum.checkpoints.decoder_settings import decoder_settings
from mmum.checkpoints.export import export
from mmum.engine import CheckpointMatchHook
from mmum.errors import InputError

UM_DECODER = dict(type='UMDecoder', in_channels=128, embed_dims=32, depth=1, num_heads=4)


def config(**neck):
    swin = dict(
        type='UMSwin', arch=dict(embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8))
    )
    model = dict(
        type='UMMAE', backbone=swin, neck=dict(UM_DECODER, **neck), head=dict(type='UMHead')
    )
    return Config(dict(model=model))


def load(trained, wanted):
    """Load a checkpoint that was trained with one config into the model of another."""
    model, wanted = (MODELS.build(cfg.model) for cfg in (trained, wanted))
    runner = SimpleNamespace(model=wanted, _load_from='its.pth', testing=True)
    content = dict(state_dict=model.state_dict(), meta=dict(cfg=trained.pretty_text))
    CheckpointMatchHook().after_load_checkpoint(runner, content)


@pytest.mark.parametrize(
    'name, values',
    [
        ('distance_bias', (2.0, 0.0)),
        ('visible_positions', ('official', 'aligned')),
        ('num_heads', (4, 8)),
    ],
)
@pytest.mark.parametrize('order', [1, -1])
def test_a_decoder_has_the_settings_of_its_training(name, values, order):
    """They leave no trace in the weights, so only the saved config can tell; in both directions,
    also where one of them has the default and does not write it down."""
    trained, wanted = values[::order]
    default = dict(distance_bias=0.0, visible_positions='aligned').get(name)
    given = {} if trained == default else {name: trained}
    load(config(**given), config(**{name: trained}))
    remedy = f'was trained with {name}=.*model.neck.{name}={trained}'
    with pytest.raises(InputError, match=remedy):
        load(config(**given), config(**{name: wanted}))


def test_behind_a_vit_both_positions_are_the_same():
    vit = dict(
        type='UMViT', arch=dict(embed_dims=128, num_layers=1, num_heads=4, feedforward_channels=128)
    )
    configs = [config(stride=16, visible_positions=name) for name in ('official', 'aligned')]
    for cfg in configs:
        cfg.model.backbone = vit
    load(*configs)


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_converted_decoder_keeps_its_settings(suffix, tmp_path):
    cfg = config(distance_bias=2.0)
    content = dict(state_dict=MODELS.build(cfg.model).state_dict(), meta=dict(cfg=cfg.pretty_text))
    torch.save(content, tmp_path / 'its.pth')
    export(tmp_path / 'its.pth', tmp_path / f'converted.{suffix}', whole=True)
    meta = read_checkpoint(tmp_path / f'converted.{suffix}')['meta']
    known = dict(visible_positions='aligned', distance_bias=2.0, num_heads=4)
    assert decoder_settings(meta) == known


def test_a_config_that_says_nothing_of_the_decoder_is_no_obstacle():
    """Of a detector the neck is another one, or a list."""
    for neck in (
        'None',
        "dict(type='FPN', num_heads=1)",
        "[dict(type='FPN'), dict(type='DyHead')]",
    ):
        model = MODELS.build(config().model)
        runner = SimpleNamespace(model=model, _load_from='its.pth')
        meta = dict(cfg=f"model = dict(type='X', neck={neck})")
        content = dict(state_dict=model.state_dict(), meta=meta)
        CheckpointMatchHook().after_load_checkpoint(runner, content)
