"""UMStockSwin: the contract, equality with mmpretrain's Swin, and the table at true offsets."""

import pytest
import torch
from mmpretrain.models import SwinTransformer
from mmpretrain.registry import MODELS

from mmum.errors import InputError
from mmum.masking import gather_units, merge_positions, patch_positions
from mmum.models.um_stock_swin import UMStockSwin, read_table
from mmum.models.windows import PositionBias, Windows
from tests.contract import BackboneContract
from tests.helpers import SMALL_ARCH, data_samples, mask_maps


class TestUMStockSwin(BackboneContract):
    added = (dict(img_size=128, use_abs_pos_embed=True),)
    config = dict(
        type='UMStockSwin', arch=SMALL_ARCH, window_size=7, drop_path_rate=0.0, pad_small_map=True
    )
    first_stages = (
        'patch_',
        'secondary_token',
        'stages.0',
        'stages.1',
        'stages.2',
    )  # mmpretrain counts from 0


@pytest.mark.parametrize(
    'window, size', [(7, (224, 224)), (8, (256, 320)), (16, (256, 256)), (7, (100, 170))]
)
def test_dense_equals_mmpretrain_to_the_bit(window, size):
    options = dict(
        arch=SMALL_ARCH, window_size=window, out_indices=(0, 1, 2, 3), pad_small_map=True
    )
    ours, theirs = UMStockSwin(**options), SwinTransformer(**options)
    ours.init_weights()
    names = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert names.missing_keys == [] and names.unexpected_keys == ['secondary_token']
    ours.eval()
    theirs.eval()
    images = torch.randn(2, 3, *size)
    for a, b in zip(ours(images), theirs(images)):
        assert torch.equal(a, b)
    ours.train()  # no drop path at rate 0 in the first block; the same randomness elsewhere
    theirs.train()
    torch.manual_seed(1)
    trained = ours(images)
    torch.manual_seed(1)
    for a, b in zip(trained, theirs(images)):
        assert torch.equal(a, b)


def test_arguments_of_mmpretrain_pass_through():
    options = dict(
        arch='t',
        img_size=64,
        use_abs_pos_embed=True,
        window_size=8,
        drop_path_rate=0.3,
        in_channels=4,
    )
    ours, theirs = UMStockSwin(**options), SwinTransformer(**options)
    assert {k: v.shape for k, v in ours.state_dict().items() if k != 'secondary_token'} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    assert ours.stages[3].blocks[1].attn.drop.drop_prob == pytest.approx(0.3)


def _table_index_by_hand(window):
    """Microsoft's definition: query minus key, rows first."""
    side = torch.arange(window)
    p = torch.cartesian_prod(side, side)
    d = p[:, None] - p[None] + window - 1
    return d[..., 0] * (2 * window - 1) + d[..., 1]


def test_the_table_is_read_as_swin_reads_it():
    """On a dense window every pair of tokens gets the entry that mmpretrain's index names."""
    window = 5
    model = UMStockSwin(SMALL_ARCH, window_size=window)
    table = torch.randn((2 * window - 1) ** 2, 2)
    index = model.stages[0].blocks[0].attn.w_msa.relative_position_index.view(window**2, window**2)
    assert torch.equal(index, _table_index_by_hand(window))
    side = torch.arange(float(window))
    p = torch.cartesian_prod(side, side)
    offsets = (p[None] - p[:, None]).flatten(0, 1)
    assert torch.equal(read_table(table, window, offsets), table[index.flatten()])


def test_between_entries_the_table_is_read_linearly():
    window = 4
    d = torch.arange(1.0 - window, window)
    plane = torch.cartesian_prod(d, d)
    table = torch.stack(
        [plane[:, 0], 3 * plane[:, 1] - plane[:, 0]], 1
    )  # linear in query minus key
    offsets = torch.tensor([[0.5, 1.0], [-0.5, 0.5], [2.0, -1.5], [0.0, 0.0]])
    expected = torch.stack([-offsets[:, 0], -3 * offsets[:, 1] + offsets[:, 0]], 1)
    assert torch.allclose(read_table(table, window, offsets), expected)
    beyond = torch.tensor([[9.0, 0.0], [-9.0, 7.5]])
    assert torch.equal(read_table(table, window, beyond)[:, 0], torch.tensor([-3.0, 3.0]))


@pytest.mark.parametrize('stage', range(4))
@pytest.mark.parametrize('shift', [0, 4])
def test_window_16_reaches_every_true_offset(stage, shift):
    """Compact windows of 8 tokens hold whole cells: no pair that may attend is farther apart than
    the table of window 16."""
    positions = patch_positions(mask_maps(4, (64, 64)), 4)
    for _ in range(stage):
        positions = merge_positions(positions)
    height, width = positions.shape[2:]
    windows = Windows.fit(height, width, 8)[-1 if shift else 0]
    layout = PositionBias.compact(windows, positions, 4 / 2**stage)
    used = layout.index.unique()
    offsets = layout.offsets[used[used < len(layout.offsets)]]
    assert offsets.abs().max() <= 15 and offsets.abs().max() >= 14
    assert (offsets == offsets.floor()).all() == (stage < 3)


def test_a_regular_mask_is_a_dense_image_of_half_the_size_with_doubled_offsets():
    """Every cell's first unit sampled, in stage 3 where a token is a unit: its windows read every
    second entry."""
    model = UMStockSwin(SMALL_ARCH, window_size=16, out_indices=(2,), pad_small_map=True)
    model.init_weights()
    model.eval()
    mask = torch.full((1, 16, 16), 2, dtype=torch.uint8)
    mask[:, ::2, ::2] = 0
    images = torch.randn(1, 3, 256, 256)
    half = UMStockSwin(SMALL_ARCH, window_size=8, out_indices=(2,), pad_small_map=True).eval()
    half.load_state_dict(
        {k: v for k, v in model.state_dict().items() if 'relative_position' not in k}, strict=False
    )
    # position of token i of a compact window: i + t * (i // t), t tokens along a unit
    with torch.no_grad():
        for s, t in enumerate((4, 2, 1)):
            for ours, theirs in zip(half.stages[s].blocks, model.stages[s].blocks):
                # a table over d alone cannot say it for t > 1, so stages 1 and 2 get none
                wide = theirs.attn.w_msa.relative_position_bias_table
                if t > 1:
                    wide.zero_()
                    ours.attn.w_msa.relative_position_bias_table.zero_()
                else:
                    doubled = wide.view(31, 31, -1)[1::2, 1::2]  # offsets -14, -12 ... 14
                    ours.attn.w_msa.relative_position_bias_table.copy_(doubled.reshape(225, -1))
    # the compact map of stage 3 is 8x8 = one window: it does not shift, where the dense one of
    # detection would
    for block in half.stages[2].blocks:
        block.attn.pad_small_map = False
    compact = model(images, mask)[0]
    dense = half(gather_units(images, mask))[0]
    assert torch.allclose(compact, dense, atol=1e-5)


def test_pretraining_steps_go_down():
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(type='UMStockSwin', arch=SMALL_ARCH, window_size=16, drop_path_rate=0.0),
            neck=dict(type='UMDecoder', in_channels=128, embed_dims=32, depth=1, num_heads=2),
            head=dict(type='UMHead'),
        )
    )
    model.init_weights()
    images, samples = torch.randn(2, 3, 128, 128), data_samples(mask_maps(2, (8, 8)))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        loss = model(images, samples, 'loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_what_only_dense_use_knows_is_refused_with_a_mask():
    mask = mask_maps(1, (4, 4))
    for options in (
        dict(out_after_downsample=True),
        dict(stage_cfgs=dict(block_cfgs=dict(attn_cfgs=dict(attn_drop=0.1)))),
    ):
        model = UMStockSwin(SMALL_ARCH, **options)
        with pytest.raises(InputError, match='dense use'):
            model(torch.randn(1, 3, 64, 64), mask)
