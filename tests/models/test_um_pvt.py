"""UMPVT: the contract, and parity with the authors' numbers."""

import pytest
import torch
from mmpretrain.registry import MODELS

from mmum.checkpoints import from_authors
from mmum.models.um_pvt import UMPVT
from tests.contract import BackboneContract
from tests.helpers import data_samples, golden, golden_mask

SMALL = dict(
    embed_dims=(16, 32, 64, 128),
    depths=(2, 2, 2, 2),
    num_heads=(1, 2, 4, 8),
    mlp_ratios=(4, 4, 4, 4),
)


class TestUMPVT(BackboneContract):
    config = dict(type='UMPVT', arch=SMALL)
    added = (dict(learn_positions=True),)


def official():
    numbers = golden('um_mae_pvt_pretrain')
    return numbers, {k[7:]: v for k, v in numbers.items() if k.startswith('weight.')}


@pytest.mark.parametrize('visible_positions, suffix', [('official', ''), ('aligned', '_aligned')])
def test_parity(visible_positions, suffix):
    numbers, weights = official()
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(type='UMPVT', arch=SMALL),
            neck=dict(
                type='UMDecoder',
                in_channels=128,
                embed_dims=32,
                num_heads=4,
                visible_positions=visible_positions,
            ),
            head=dict(type='UMHead'),
        )
    )
    model.load_state_dict(from_authors(weights))
    images, mask = numbers['images'].float(), golden_mask(numbers)
    latent = model.backbone(images, mask)[-1].flatten(2).transpose(1, 2)
    assert torch.allclose(latent, numbers['latent'], atol=1e-4)
    loss = model.loss(images, data_samples(mask))['loss']
    assert loss.item() == pytest.approx(numbers[f'loss{suffix}'].item(), rel=1e-5)
    if suffix:
        return
    loss.backward()
    gradients = from_authors(
        {**weights, **{k[5:]: v for k, v in numbers.items() if k.startswith('grad.')}}
    )
    for name, parameter in model.named_parameters():
        assert (parameter.grad - gradients[name]).abs().max() <= 1e-4 * gradients[
            name
        ].abs().max(), name


def test_dense_parity():
    numbers = golden('um_mae_pvt_dense_256x384')
    own = {
        k.removeprefix('backbone.'): v
        for k, v in from_authors(official()[1]).items()
        if k.startswith('backbone.')
    }
    model = UMPVT(SMALL, sr_ratios=(8, 4, 2, 1), out_indices=(0, 1, 2, 3), norm_cfg=None).eval()
    model.load_state_dict({k: v for k, v in own.items() if not k.startswith('norm')})
    for i, stage in enumerate(model(numbers['images'].float())):
        assert torch.allclose(stage, numbers[f'stage{i}'], atol=1e-4), i


@pytest.mark.parametrize('size', [(64, 64), (61, 130), (33, 257), (5, 5)])
def test_dense_takes_any_size(size):
    model = UMPVT(SMALL, sr_ratios=(8, 4, 2, 1), out_indices=(0, 1, 2, 3)).eval()
    for i, stage in enumerate(model(torch.randn(2, 3, *size))):
        assert stage.shape[2:] == tuple(-(-side // 2 ** (i + 2)) for side in size)
        assert stage.isfinite().all()


def test_learnt_positions_start_as_the_fixed_ones():
    fixed, learnt = UMPVT(SMALL).eval(), UMPVT(SMALL, learn_positions=True).eval()
    learnt.load_state_dict(fixed.state_dict(), strict=False)
    images = torch.randn(1, 3, 128, 192)
    assert torch.equal(fixed(images)[-1], learnt(images)[-1])
    assert learnt.pos_embed.requires_grad and 'pos_embed' not in fixed.state_dict()
