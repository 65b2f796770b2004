"""Properties of uniform masking."""

import numpy as np
import pytest
import torch

from mmum.errors import InputError
from mmum.masking import (
    REMOVED,
    SECONDARY,
    VISIBLE,
    check_input_size,
    check_mask_map,
    gather_units,
    merge_positions,
    patch_positions,
    removed_units,
    sample_mask_map,
    sampled_units,
    scatter_units,
    secondary_patches,
    unit_images,
    unit_patches,
)
from tests.helpers import mask_maps

GRIDS = [(16, 16), (4, 12), (20, 8)]


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('ratio', [0.0, 0.25, 0.6, 1.0])
def test_partition_of_every_cell_and_exact_counts(grid, ratio):
    mask = mask_maps(5, grid, ratio)
    cells = mask.view(5, grid[0] // 2, 2, grid[1] // 2, 2)
    assert ((cells != REMOVED).sum((2, 4)) == 1).all()
    sampled = grid[0] * grid[1] // 4
    secondary = sampled - int(sampled * (1 - ratio))
    assert ((mask == SECONDARY).flatten(1).sum(1) == secondary).all()
    assert ((mask == VISIBLE).flatten(1).sum(1) == sampled - secondary).all()


def test_sampling_is_uniform():
    masks = np.stack([sample_mask_map((4, 4)) for _ in range(4000)])
    # each unit: sampled with 1/4, secondary with 1/16 (binomial standard deviations 0.0068 and
    # 0.0038)
    assert np.abs((masks != REMOVED).mean(0) - 1 / 4).max() < 0.03
    assert np.abs((masks == SECONDARY).mean(0) - 1 / 16).max() < 0.02


def test_cells_are_independent():
    masks = np.stack([sample_mask_map((4, 4)) for _ in range(4000)]) != REMOVED
    assert abs(np.corrcoef(masks[:, 0, 0], masks[:, 0, 2])[0, 1]) < 0.06


@pytest.mark.parametrize('grid', GRIDS)
def test_sampled_and_removed_are_all_units(grid):
    mask = mask_maps(3, grid)
    sampled, removed = sampled_units(mask), removed_units(mask)
    everything = torch.cat([sampled, removed], 1).sort(1).values
    assert torch.equal(everything, torch.arange(grid[0] * grid[1]).expand(3, -1))
    assert (mask.flatten(1).gather(1, sampled) != REMOVED).all()
    assert (mask.flatten(1).gather(1, removed) == REMOVED).all()
    assert (removed.diff() > 0).all()
    # in cell order: the cell of each sampled unit counts up
    row, column = sampled // grid[1], sampled % grid[1]
    assert torch.equal(
        row // 2 * (grid[1] // 2) + column // 2, torch.arange(sampled.shape[1]).expand(3, -1)
    )


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('channels', [1, 3, 7])
def test_gather_takes_the_sampled_units(grid, channels):
    mask = mask_maps(2, grid)
    images = torch.randn(2, channels, grid[0] * 16, grid[1] * 16)
    compact = gather_units(images, mask)
    assert compact.shape == (2, channels, grid[0] * 8, grid[1] * 8)
    units = unit_patches(images).gather(
        1, sampled_units(mask)[..., None].expand(-1, -1, 256 * channels)
    )
    assert torch.equal(unit_patches(compact), units)


@pytest.mark.parametrize('grid', GRIDS)
def test_round_trips(grid):
    mask = mask_maps(2, grid)
    compact = torch.randn(2, 3, grid[0] * 8, grid[1] * 8)
    full = scatter_units(compact, mask, fill=float('nan'))
    assert torch.equal(gather_units(full, mask), compact)
    removed = unit_patches(full).gather(1, removed_units(mask)[..., None].expand(-1, -1, 768))
    assert removed.isnan().all()
    images = torch.randn(2, 3, grid[0] * 16, grid[1] * 16)
    assert torch.equal(unit_images(unit_patches(images), grid), images)


def test_unit_pixels_are_ordered_row_column_channel():
    images = torch.arange(2 * 3 * 64 * 64).view(2, 3, 64, 64)
    assert torch.equal(
        unit_patches(images)[1, 5], images[1, :, 16:32, 16:32].permute(1, 2, 0).flatten()
    )


@pytest.mark.parametrize('grid', GRIDS)
def test_positions_are_where_patches_were(grid):
    mask = mask_maps(2, grid)
    height, width = grid[0] * 4, grid[1] * 4
    where = torch.stack(
        torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    ).float()
    expected = gather_units(where.expand(2, -1, -1, -1), mask)
    positions = patch_positions(mask, 4)
    assert torch.equal(positions, expected)
    merged = merge_positions(merge_positions(positions))  # stage 3: a token is a unit
    units = sampled_units(mask).view(2, grid[0] // 2, grid[1] // 2)
    assert torch.equal(merged, torch.stack([units // grid[1], units % grid[1]], 1).float())
    assert merge_positions(merged).mul(2).frac().eq(0).all()


def test_secondary_patches():
    mask = mask_maps(2, (8, 8))
    expected = gather_units(
        (mask == SECONDARY)[:, None].float().repeat_interleave(4, 2).repeat_interleave(4, 3), mask
    )
    assert torch.equal(secondary_patches(mask, 4), expected[:, 0].bool())


@pytest.mark.parametrize('size', [(100, 128), (128, 96), (0, 64), (-64, 64)])
def test_sizes_that_cannot_be(size):
    with pytest.raises(InputError, match='multiples of 64'):
        check_input_size(*size)


def test_masks_that_are_not_uniform():
    mask = mask_maps(2, (8, 8))
    check_mask_map(mask, 128, 128)
    with pytest.raises(InputError, match='does not fit'):
        check_mask_map(mask, 192, 128)
    mask[1, 3, 3], mask[1, 2, 2] = VISIBLE, VISIBLE
    with pytest.raises(InputError, match='not exactly one unit'):
        check_mask_map(mask, 128, 128)
