"""Layer-wise learning-rate decay, for every backbone."""

import pytest
import torch
from mmdet.models import SwinTransformer as MMDetSwin
from mmengine.optim import build_optim_wrapper
from mmpretrain.models import SwinTransformer
from torch import nn

from mmum.errors import InputError
from mmum.models import UMPVT, UMStockSwin, UMSwin, UMViT
from tests.helpers import SMALL_ARCH

BACKBONES = dict(
    UMSwin=lambda: UMSwin(SMALL_ARCH),
    UMPVT=lambda: UMPVT(
        dict(
            embed_dims=(16, 32, 64, 128),
            depths=(2, 2, 2, 2),
            num_heads=(1, 2, 4, 8),
            mlp_ratios=(2, 2, 2, 2),
        ),
        learn_positions=True,
    ),
    UMViT=lambda: UMViT(dict(embed_dims=16, num_layers=8, num_heads=2, feedforward_channels=32)),
    UMStockSwin=lambda: UMStockSwin(SMALL_ARCH, use_abs_pos_embed=True),
    mmpretrain=lambda: SwinTransformer(SMALL_ARCH),
    mmdet=lambda: MMDetSwin(**SMALL_ARCH),
)


class Model(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(4, 2)


def build(model, **paramwise):
    return build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.05),
            constructor='LayerDecayOptimWrapperConstructor',
            paramwise_cfg=paramwise or dict(layer_decay_rate=0.5),
        ),
    ).optimizer.param_groups


@pytest.mark.parametrize('name', BACKBONES)
def test_every_parameter_in_its_layer_once(name):
    model = Model(BACKBONES[name]())
    groups = build(model)
    found = {id(p): group for group in groups for p in group['params']}
    assert (
        len(found) == sum(len(group['params']) for group in groups) == len(list(model.parameters()))
    )
    lr = {n: found[id(p)]['lr'] for n, p in model.named_parameters()}
    assert len({group['lr'] for group in groups}) == 8 + 2  # blocks, embedding, the rest
    assert lr['head.weight'] == 1.0 and min(lr.values()) == 0.5**9
    embedding = next(n for n in lr if 'patch_embed' in n)
    assert lr[embedding] == 0.5**9
    for n, p in model.named_parameters():
        free = p.dim() == 1 or 'bias_table' in n or 'pos_embed' in n
        assert (found[id(p)]['weight_decay'] == 0) == free, n
    if name != 'UMViT':
        stages = [lr[next(n for n in lr if f'stages.{i}.blocks.0' in n)] for i in range(4)]
        assert stages == [0.5**8, 0.5**6, 0.5**4, 0.5**2]


def test_frozen_parameters_are_left_out():
    model = Model(UMSwin(SMALL_ARCH, frozen_stages=1))
    model.train()
    groups = build(model)
    assert {id(p) for group in groups for p in group['params']} == {
        id(p) for p in model.parameters() if p.requires_grad
    }


def test_the_groups_are_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(
        'mmum.engine.layer_decay.print_log', lambda text, logger: shown.append(text)
    )
    build(Model(UMSwin(SMALL_ARCH)))
    assert (
        len(shown) == 1
        and 'layer-wise learning-rate decay 0.5' in shown[0]
        and len(shown[0].splitlines()) == 11
    )


@pytest.mark.parametrize(
    'paramwise',
    [
        dict(layer_decay_rate=0),
        dict(layer_decay_rate=2.0),
        dict(layer_decay_rate='a'),
        dict(layer_decay_rate=0.5, norm_decay_mult=0.1),
    ],
)
def test_bad_rates(paramwise):
    with pytest.raises(InputError, match='layer_decay_rate=R'):
        build(Model(UMSwin(SMALL_ARCH)), **paramwise)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(InputError, match='does not know the layers of Sequential'):
        build(Model(nn.Sequential(nn.Linear(4, 4))))


def test_mmpretrain_constructor_works_too():
    """With mmpretrain's own constructor classifiers can be fine-tuned as well."""
    from mmpretrain.models import ImageClassifier

    model = ImageClassifier(
        UMSwin(SMALL_ARCH), head=dict(type='LinearClsHead', num_classes=2, in_channels=128)
    )
    assert model.get_layer_depth('backbone.patch_embed.weight')[0] == 0
    assert torch.tensor(model.get_layer_depth('head.fc.weight')).tolist() == [9, 10]
