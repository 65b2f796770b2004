"""The start of training is the authors': the standard deviation of every kind of parameter."""

import pytest
import torch

from mmum.errors import InputError
from mmum.models import UMPVT, UMDecoder, UMSwin, UMViT
from tests.helpers import SMALL_ARCH

# Stages 1 to 4, by the formulas: Xavier sqrt(2 / (in + out)), convolutions sqrt(2 / fan-out).
SWIN_T = {
    'blocks.0.attn.qkv': (0.072, 0.051, 0.036, 0.026),
    'blocks.0.attn.proj': (0.102, 0.072, 0.051, 0.036),
    'blocks.0.mlp.fc1': (0.065, 0.046, 0.032, 0.023),
    'blocks.0.mlp.fc2': (0.065, 0.046, 0.032, 0.023),
    'downsample.proj': (None, 0.051, 0.036, 0.026),
    'blocks.0.attn.pos_mlp.0': (0.25, 0.25, 0.25, 0.25),
    'blocks.0.attn.pos_mlp.2': (0.82, 0.58, 0.41, 0.29),
}
PVT_S = {
    'blocks.0.attn.q': (0.125, 0.088, 0.056, 0.044),
    'blocks.0.attn.sr': (0.177, 0.125, 0.079, 0.063),
    'downsample.proj': (None, 0.063, 0.040, 0.031),
}


@pytest.mark.parametrize('make, table', [(UMSwin, SWIN_T), (UMPVT, PVT_S)])
def test_deviations_of_the_authors(make, table):
    model = make()
    model.init_weights()
    for name, stages in table.items():
        for stage, expected in zip(model.stages, stages):
            if expected is not None:
                std = stage.get_parameter(f'{name}.weight').std().item()
                # few numbers have a standard deviation of their own
                tolerance = 0.25 if 'pos_mlp' in name else 0.03
                assert std == pytest.approx(expected, rel=tolerance), (name, expected)
    assert model.secondary_token.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize(
    'model',
    [
        UMSwin(SMALL_ARCH),
        UMPVT(),
        UMViT(dict(embed_dims=48, num_layers=2, num_heads=4, feedforward_channels=96)),
        UMDecoder(64, embed_dims=32, num_heads=4),
    ],
    ids=lambda model: type(model).__name__,
)
def test_all_biases_start_at_zero(model):
    model.init_weights()
    for name, parameter in model.named_parameters():
        # MAE, and so UMViT, leaves the bias of the patch embedding as torch makes it
        if name.endswith('bias') and not (isinstance(model, UMViT) and 'patch_embed' in name):
            assert not parameter.any(), name


def test_the_start_of_swin_remains_by_name():
    model = UMSwin(weight_init='trunc_normal')
    model.init_weights()
    assert model.stages[0].blocks[0].attn.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    with pytest.raises(InputError, match="weight_init='kaiming' of UMSwin is unknown"):
        UMSwin(weight_init='kaiming')


def test_attention_starts_with_a_view_of_position():
    """In stages 1 and 2 the bias differs over the offsets of a window by more than a logit."""
    from mmum.models.windows import PositionBias, Windows

    torch.manual_seed(0)
    model = UMSwin()
    model.init_weights()
    position_bias = PositionBias.dense(Windows(16, 0, 32, 32), torch.device('cpu'))
    for stage, expected in zip(model.stages, (1.78, 1.19, 0.84, 0.63)):
        tables = [block.attn.pos_mlp(position_bias.log_offsets) for block in stage.blocks]
        spread = torch.stack([table.std(0).mean() for table in tables]).mean().item()
        assert spread == pytest.approx(expected, rel=0.5)
