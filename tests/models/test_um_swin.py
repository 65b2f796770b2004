"""UMSwin: the contract, parity with the authors' numbers, and what is Swin's own."""

import pytest
import torch
from mmengine.registry import MODELS

from mmum.checkpoints import from_authors
from mmum.errors import InputError
from mmum.models.um_swin import UMSwin
from mmum.models.windows import PositionBias, Windows
from tests.contract import BackboneContract
from tests.helpers import SMALL_ARCH, golden

GOLDEN_ARCH = dict(embed_dims=16, depths=(2, 2, 4, 2), num_heads=(1, 2, 4, 8))


class TestUMSwin(BackboneContract):
    config = dict(type='UMSwin', arch=SMALL_ARCH, pos_mlp_dims=8)


@pytest.mark.parametrize(
    'name, options',
    [
        ('um_mae_swin_dense256', dict(pad_small_map=False)),
        ('um_mae_swin_dense_320x416', dict(pad_small_map=True)),
    ],
)
def test_dense_parity(name, options):
    numbers = golden(name)
    weights = from_authors(
        {k[7:]: v for k, v in golden('um_mae_swin_pretrain').items() if k.startswith('weight.')}
    )
    model = UMSwin(
        GOLDEN_ARCH,
        window_size=16,
        pos_mlp_dims=8,
        out_indices=(0, 1, 2, 3),
        norm_cfg=None,
        **options,
    ).eval()
    own = {k.removeprefix('backbone.'): v for k, v in weights.items() if k.startswith('backbone.')}
    model.load_state_dict({k: v for k, v in own.items() if not k.startswith('norm')})
    for i, stage in enumerate(model(numbers['images'].float())):
        assert torch.allclose(stage, numbers[f'stage{i}'], atol=1e-4), i


@pytest.mark.parametrize('size', [(64, 64), (61, 130), (33, 257), (5, 5)])
@pytest.mark.parametrize('pad_small_map', [False, True])
def test_dense_takes_any_size(size, pad_small_map):
    model = UMSwin(SMALL_ARCH, pad_small_map=pad_small_map, out_indices=(0, 1, 2, 3)).eval()
    for i, stage in enumerate(model(torch.randn(2, 3, *size))):
        assert stage.shape[2:] == tuple(-(-side // 2 ** (i + 2)) for side in size)
        assert stage.isfinite().all()


@pytest.mark.parametrize(
    'arch, embed_dims, blocks, million',
    [
        ('tiny', 96, 12, 27.8),
        ('small', 96, 24, 49.1),
        ('base', 128, 24, 86.9),
        ('large', 192, 24, 195.5),
    ],
)
def test_sizes_of_the_paper(arch, embed_dims, blocks, million):
    with torch.device('meta'):
        model = UMSwin(arch)
    assert model.patch_embed.out_channels == embed_dims
    assert sum(len(stage.blocks) for stage in model.stages) == blocks
    # close to stock Swin (28, 50, 88, 197), whose merging has 4C x 2C weights too
    assert abs(sum(p.numel() for p in model.parameters()) / 1e6 - million) / million < 0.02


def test_a_fresh_bias_tells_offsets_apart():
    model = UMSwin(SMALL_ARCH)
    model.init_weights()
    bias = PositionBias.dense(Windows(8, 0, 8, 8), 'cpu')
    for stage in model.stages:
        for block in stage.blocks:
            assert block.attn.pos_mlp(bias.log_offsets).std(0).mean() > 0.02


def test_stochastic_depth_grows():
    model = UMSwin(SMALL_ARCH, drop_path_rate=0.7)
    rates = [
        getattr(block.drop_path, 'drop_prob', 0.0)
        for stage in model.stages
        for block in stage.blocks
    ]
    assert rates == pytest.approx([0.1 * i for i in range(8)], abs=1e-6)


def test_output_norms():
    assert not hasattr(UMSwin(SMALL_ARCH, norm_cfg=None), 'norm3')
    model = UMSwin(SMALL_ARCH, out_indices=(1, 3))
    assert {name for name, _ in model.named_children() if name.startswith('norm')} == {
        'norm1',
        'norm3',
    }


@pytest.mark.parametrize(
    'arch',
    [
        dict(embed_dims=16, depths=(2, 2)),
        dict(embed_dims=16, depths=(2, 2), num_heads=(1, 3)),
        dict(embed_dims=16, depths=(2,), num_heads=(1, 2)),
    ],
)
def test_archs_that_cannot_be(arch):
    with pytest.raises(InputError, match='arch|heads do not divide'):
        MODELS.build(dict(type='UMSwin', arch=arch))


@pytest.mark.parametrize('size', [(128, 192), (100, 160)])
def test_a_mirrored_image_and_a_mirrored_network_give_mirrored_features(size):
    """Windows, shifts and walls have no favourite side, as in stock Swin, where whole windows fit
    into the width."""
    model = UMSwin(SMALL_ARCH, window_size=4, pad_small_map=True, out_indices=(0, 1, 2)).eval()
    model.init_weights()
    images = torch.randn(2, 3, *size)
    straight = [stage.flip(-1) for stage in model(images)]
    unlike = model(images.flip(-1))
    with torch.no_grad():
        model.patch_embed.weight.copy_(model.patch_embed.weight.flip(-1))
        for stage in model.stages:
            if stage.downsample is not None:
                stage.downsample.proj.weight.copy_(stage.downsample.proj.weight.flip(-1))
            for block in stage.blocks:
                block.attn.pos_mlp[0].weight[:, 1] *= -1  # the column of an offset
    for i, (a, b, c) in enumerate(zip(straight, model(images.flip(-1)), unlike)):
        if straight[i].shape[3] % 4 == 0:  # else padding is on one side
            torch.testing.assert_close(b, a, atol=1e-4, rtol=1e-4)
            assert not torch.allclose(c, a, atol=1e-2)
