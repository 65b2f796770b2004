"""Parity with the authors' own numbers, on the small cases that every clone has.

Weights and inputs are in half precision, so the tolerance is wider than that of the full numbers in
tests/models. It is still far below what a fault of order or position would cause.
"""

import pytest
import torch
from mmpretrain.registry import MODELS
from safetensors.torch import load_file

from mmum.checkpoints.authors_keys import DECODER, ENCODERS, TRANSFORMER_BLOCK
from mmum.masking import sampled_units
from mmum.models import UMPVT, UMSwin
from tests.helpers import ROOT, golden_mask

PIXELS = 12


def small(name):
    """A case of tests/data in float32."""
    numbers = load_file(ROOT / 'tests' / 'data' / f'um_mae_{name}_small.safetensors')
    return {k: v.float() if v.dtype == torch.float16 else v for k, v in numbers.items()}


def close(ours, expected):
    """Equal up to half precision, on the scale of the expected values."""
    return (ours - expected).abs().max() < 0.01 * expected.abs().max()


def load_blocks(stage, numbers, first, family, merge=False):
    """Load the blocks of a stage, and the merge before it, from the authors' names."""
    encoder = ENCODERS[family]
    state = {}
    for i in range(len(stage.blocks)):
        for foreign, own in encoder['block'].items():
            value = numbers[f'weight.blocks.{first + i}.{foreign}']
            state[f'blocks.{i}.{own}'] = value.flatten(1) if value.dim() == 4 else value
    if merge:
        for foreign, own in encoder['merge'].items():
            state[own] = numbers[f'weight.blocks.{first}.{foreign}']
    stage.load_state_dict(state)


def test_the_first_stage_of_swin():
    """Embedding, position bias, windows and shifts."""
    numbers = small('swin')
    arch = dict(embed_dims=16, depths=(2, 2), num_heads=(1, 2))
    model = UMSwin(arch, window_size=16, pos_mlp_dims=8, out_indices=(0,), norm_cfg=None).eval()
    load_blocks(model.stages[0], numbers, 0, 'UMSwin')
    for foreign, own in ENCODERS['UMSwin']['embedding'].items():
        parameter = model.get_parameter(own)
        parameter.data = numbers[f'weight.{foreign}'].view_as(parameter)
    # What lies beyond 128 px does not reach the tokens that are compared.
    images = torch.randn(1, 3, 256, 256)
    images[:, :, :128, :128] = numbers['images']
    with torch.no_grad():
        assert close(model(images)[0][:, :, 8:24, 8:24], numbers['stage0'])


def test_the_second_stage_of_pvt():
    """Merging and attention to pooled tokens."""
    numbers = small('pvt')
    arch = dict(embed_dims=(16, 32), depths=(2, 2), num_heads=(1, 2), mlp_ratios=(4, 4))
    model = UMPVT(arch, sr_ratios=(8, 4), out_indices=(1,), norm_cfg=None).eval()
    stage = model.stages[1]
    load_blocks(stage, numbers, 2, 'UMPVT', merge=True)
    with torch.no_grad():
        x = stage.downsample(numbers['stage0'].permute(0, 2, 3, 1))
        for block in stage.blocks:
            x = block(x, 4)
    assert close(x.permute(0, 3, 1, 2)[:, :, ::4, ::4], numbers['stage1'])


@pytest.mark.parametrize(
    'name, stride, positions, expected',
    [
        ('swin', 32, 'official', 'pred_masked'),
        ('swin', 32, 'aligned', 'pred_masked_aligned'),
        ('vit', 16, 'aligned', 'pred_masked'),
        ('vit', 16, 'official', 'pred_masked'),
    ],
)
def test_the_decoder(name, stride, positions, expected):
    """Order of tokens, their positions, and the fault of the authors' decoder behind a pyramid."""
    numbers, mask = small(name), golden_mask(small(name))
    latent = numbers['latent']
    decoder = MODELS.build(
        dict(
            type='UMDecoder',
            in_channels=latent.shape[2],
            embed_dims=32,
            num_heads=4,
            visible_positions=positions,
            stride=stride,
            unit=16,
        )
    ).eval()
    decoder.pred = torch.nn.Linear(32, PIXELS)
    table = {**DECODER}
    for i in range(2):
        table.update(
            (f'decoder_blocks.{i}.{k}', f'blocks.{i}.{v}') for k, v in TRANSFORMER_BLOCK.items()
        )
    state = {own: numbers[f'weight.{foreign}'] for foreign, own in table.items()}
    decoder.load_state_dict({**state, 'mask_token': state['mask_token'].flatten()})
    if name == 'swin':  # the compact map, row by row
        side = int(latent.shape[1] ** 0.5)
        latent = latent.transpose(1, 2).unflatten(2, (side, side))
    else:  # theirs are in unit raster order, ours in cell order
        order = sampled_units(mask).argsort(1).argsort(1)[..., None].expand_as(latent[:, 1:])
        latent = torch.cat([latent[:, :1], latent[:, 1:].gather(1, order)], 1)
    with torch.no_grad():
        predicted = decoder(latent, mask)
    assert close(predicted, numbers[expected])
    if name == 'swin':
        other = 'pred_masked' if positions == 'aligned' else 'pred_masked_aligned'
        assert not close(predicted, numbers[other])
