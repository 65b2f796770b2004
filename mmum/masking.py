"""Uniform masking: which unit was sampled, where it came from, and the compact image and back.

This module is the one home of the idea (paper: Uniform Sampling, Secondary Masking); everything
else asks it.

Words
    *patch*: 4x4 px, the piece that a pyramid backbone embeds. *Mask unit*: 16x16 px. *Cell*: 2x2
    units.

    *Uniform sampling*: in every cell exactly one unit is sampled, the other three are removed.
    *Secondary masking*: some of the sampled units keep their place but lose their content.

    *Mask map*, the one mask of the project: uint8 (N, H/16, W/16) over the grid of units: 0
    visible, 1 secondary, 2 removed. "Sampled" is 0 or 1.

    *Compact image*: the sampled units next to each other, in the order of their cells: (H/2, W/2).

A picture of one cell row, four units wide (two cells; letters are units, lower case = removed)::

    full   | a B | c d |      compact | B F |      unit raster:  a0 B1 c2 d3 e4 f'5 F6 h7 ...
           | e f'| F h |

Three orders appear, and every function says which one it speaks. *Cell order* is the raster order
of cells, which is the raster order of the compact image. *Unit raster order* is the row-by-row
order of all units of the full image. Sampled units listed in cell order are in general **not**
sorted in unit raster order: two units sampled in neighbouring cells of one cell row may lie in
different unit rows.
"""

from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from mmum.errors import InputError

VISIBLE, SECONDARY, REMOVED = 0, 1, 2


def check_input_size(height: int, width: int, unit: int = 16, stride: int = 32) -> None:
    """Raise InputError unless an image can be made compact.

    Both sides must be multiples of 2 units (whole cells), and half of them, the compact image, of
    the stride of the backbone: multiples of 64 for a pyramid of stride 32, of 32 for a ViT of
    stride 16.

    Args:
        height (int): Image height in pixels.
        width (int): Image width in pixels.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        stride (int): Stride of the backbone, a multiple of ``unit``. Defaults to 32.
    """
    step = 2 * max(unit, stride)
    if height <= 0 or width <= 0 or height % step or width % step:
        down = [max(step, side // step * step) for side in (height, width)]
        raise InputError(
            f'the input size {height}x{width} (height x width) cannot be masked: both sides must '
            f'be positive multiples of {step}, for example {down[0]}x{down[1]}'
        )


def secondary_count(num_sampled: int, secondary_ratio: float) -> int:
    """Number of sampled units that lose their content: ``S - int(S * (1 - ratio))``."""
    return num_sampled - int(num_sampled * (1 - secondary_ratio))


def sample_mask_map(
    grid: tuple[int, int],
    secondary_ratio: float = 0.25,
    random: ModuleType | np.random.RandomState = np.random,
    balanced: bool = False,
) -> np.ndarray:
    """Draw a mask map by uniform sampling and secondary masking.

    The authors draw the places in the cells from a balanced pool: twice as many places as cells,
    each of the four equally often. Every place is as likely, and the variance of the counts is
    half.

    Args:
        grid (tuple[int, int]): Rows and columns of mask units, both even.
        secondary_ratio (float): Share of the sampled units that become secondary. Defaults to 0.25,
            the paper's.
        random (np.random.RandomState | module): Source of randomness. Defaults to numpy's global
            one, which mmengine seeds for every worker and rank.
        balanced (bool): Whether to draw places without replacement from a balanced pool, as the
            authors do, instead of independently. Defaults to False.

    Returns:
        np.ndarray: The mask map, uint8, of shape ``grid``.
    """
    rows, columns = grid[0] // 2, grid[1] // 2
    num_cells = rows * columns
    state: np.ndarray = np.full((num_cells, 4), REMOVED, np.uint8)
    cell = np.arange(num_cells)
    if balanced:
        pool: np.ndarray = np.arange(2 * num_cells) % 4
        unit_in_cell = random.permutation(pool)[:num_cells]
    else:
        unit_in_cell = random.randint(0, 4, num_cells)
    state[cell, unit_in_cell] = VISIBLE
    secondary = random.permutation(num_cells)[: secondary_count(num_cells, secondary_ratio)]
    state[secondary, unit_in_cell[secondary]] = SECONDARY
    # (rows, columns, 2, 2) cells of units -> (rows, 2, columns, 2) -> the grid of units
    state = state.reshape(rows, columns, 2, 2).transpose(0, 2, 1, 3).reshape(grid)
    return np.ascontiguousarray(state)


def check_mask_map(
    mask: Tensor, height: int, width: int, unit: int = 16, stride: int = 32, uniform: bool = True
) -> None:
    """Raise InputError unless ``mask`` is a mask map for images of this size.

    The shape is always checked. That every cell holds exactly one sampled unit is checked only on
    the CPU, where it needs no synchronisation.

    Args:
        mask (Tensor): (N, height / unit, width / unit).
        height (int): Image height in pixels.
        width (int): Image width in pixels.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        stride (int): Stride of the backbone. Defaults to 32.
        uniform (bool): Whether the mask must be one of uniform sampling. Defaults to True.
    """
    check_input_size(height, width, unit, stride)
    if mask.dim() != 3 or mask.shape[1:] != (height // unit, width // unit):
        raise InputError(
            f'a mask map of shape {tuple(mask.shape)} does not fit images of {height}x{width}: '
            f'expected (N, {height // unit}, {width // unit}); give UniformMask the input_size of '
            'the crop'
        )
    if uniform and mask.device.type == 'cpu':
        sampled = (_cells(mask) != REMOVED).sum(-1)
        if not bool(sampled.eq(1).all()):
            raise InputError(
                'a mask map has a cell of 2x2 units in which not exactly one unit is sampled: '
                'uniform sampling (the UniformMask transform) keeps one unit (0 or 1) and removes '
                'three (2)'
            )


def _cells(mask: Tensor) -> Tensor:
    """Grid of units (N, rows * 2, columns * 2) -> units of every cell (N, rows, columns, 4)."""
    n, height, width = mask.shape
    return mask.reshape(n, height // 2, 2, width // 2, 2).permute(0, 1, 3, 2, 4).flatten(3)


def _unit_in_cell(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column (0 or 1) of the sampled unit in every cell: two int64 (N, rows, columns)."""
    index = (_cells(mask) != REMOVED).to(torch.uint8).argmax(-1)
    return index // 2, index % 2


def sampled_units(mask: Tensor) -> Tensor:
    """Original places of the tokens of the compact image.

    Args:
        mask (Tensor): Mask map (N, H/16, W/16).

    Returns:
        Tensor: int64 (N, cells): for every cell, in cell order, the unit raster index of its
        sampled unit.
    """
    row, column = _unit_in_cell(mask)
    rows, columns = row.shape[1:]
    row = row + 2 * torch.arange(rows, device=mask.device)[:, None]
    column = column + 2 * torch.arange(columns, device=mask.device)
    return (row * mask.shape[2] + column).flatten(1)


def removed_units(mask: Tensor) -> Tensor:
    """Unit raster indices of the removed units, in unit raster order: int64 (N, 3 * cells).

    Args:
        mask (Tensor): Mask map (N, H/16, W/16).
    """
    removed = mask.flatten(1) == REMOVED
    # Known from the sizes, so that nothing has to wait for the device.
    num_removed = removed.shape[1] // 4 * 3
    order = torch.argsort(removed.to(torch.uint8), dim=1, descending=True, stable=True)
    return order[:, :num_removed]


def secondary_patches(mask: Tensor, patches_per_unit: int) -> Tensor:
    """Mark the patches of the compact image that belong to secondary units.

    Args:
        mask (Tensor): Mask map (N, H/16, W/16).
        patches_per_unit (int): Patches along one side of a unit.

    Returns:
        Tensor: bool (N, cell rows * patches_per_unit, cell columns * patches_per_unit).
    """
    secondary = (_cells(mask) == SECONDARY).any(-1)
    return secondary.repeat_interleave(patches_per_unit, 1).repeat_interleave(patches_per_unit, 2)


def gather_units(x: Tensor, mask: Tensor) -> Tensor:
    """Gather the compact image from a full image. The inverse is :func:`scatter_units`.

    Args:
        x (Tensor): (N, C, H, W), pixels or anything else on a grid that the units divide.
        mask (Tensor): Mask map (N, grid rows, grid columns); a unit covers H / grid rows of x.

    Returns:
        Tensor: (N, C, H/2, W/2), the sampled units in cell order.
    """
    n, c, height, width = x.shape
    u, v = height // mask.shape[1], width // mask.shape[2]
    row, column = _unit_in_cell(mask)
    rows, columns = row.shape[1:]
    x = x.reshape(n, c, rows, 2, u, columns, 2 * v)
    row = row.view(n, 1, rows, 1, 1, columns, 1).expand(n, c, rows, 1, u, columns, 2 * v)
    x = x.gather(3, row).view(n, c, rows, u, columns, 2, v)
    column = column.view(n, 1, rows, 1, columns, 1, 1).expand(n, c, rows, u, columns, 1, v)
    return x.gather(5, column).view(n, c, rows * u, columns * v)


def scatter_units(compact: Tensor, mask: Tensor, fill: float = 0.0) -> Tensor:
    """Scatter the compact image to a full image. The inverse of :func:`gather_units`.

    Args:
        compact (Tensor): (N, C, H/2, W/2).
        mask (Tensor): Mask map (N, grid rows, grid columns).
        fill (float): Value of removed units. Defaults to 0.

    Returns:
        Tensor: (N, C, H, W).
    """
    n, c, height, width = compact.shape
    row, column = _unit_in_cell(mask)
    rows, columns = row.shape[1:]
    u, v = height // rows, width // columns
    x = compact.new_full((n, c, rows, u, columns, 2, v), fill)
    column = column.view(n, 1, rows, 1, columns, 1, 1).expand(n, c, rows, u, columns, 1, v)
    x = x.scatter(5, column, compact.reshape(n, c, rows, u, columns, 1, v))
    x = x.view(n, c, rows, 1, u, columns, 2 * v)
    full = compact.new_full((n, c, rows, 2, u, columns, 2 * v), fill)
    row = row.view(n, 1, rows, 1, 1, columns, 1).expand(n, c, rows, 1, u, columns, 2 * v)
    return full.scatter(3, row, x).view(n, c, 2 * height, 2 * width)


def patch_positions(mask: Tensor, patches_per_unit: int) -> Tensor:
    """True coordinates of the patches of the compact image, those before sampling.

    Args:
        mask (Tensor): Mask map (N, H/16, W/16).
        patches_per_unit (int): Patches along one side of a unit.

    Returns:
        Tensor: float32 (N, 2, H', W') over the compact grid of patches: row, then column, in
        patches of the full grid.
    """
    p = patches_per_unit
    inside = torch.arange(p, device=mask.device)
    row, column = _unit_in_cell(mask)
    rows, columns = row.shape[1:]
    row = (row + 2 * torch.arange(rows, device=mask.device)[:, None]) * p
    column = (column + 2 * torch.arange(columns, device=mask.device)) * p
    row = row.repeat_interleave(p, 1).repeat_interleave(p, 2) + inside.repeat(rows)[:, None]
    column = column.repeat_interleave(p, 1).repeat_interleave(p, 2) + inside.repeat(columns)
    return torch.stack([row, column], 1).float()


def merge_positions(positions: Tensor) -> Tensor:
    """Coordinates after a 2x2 merge: those of the top-left child, halved.

    In stage 4 they can be half-integer.
    """
    return positions[..., ::2, ::2] / 2


def unit_patches(images: Tensor, unit: int = 16) -> Tensor:
    """Cut images into units: (N, C, H, W) -> (N, units, unit * unit * C).

    Units are in unit raster order, their pixels are ordered (row, column, channel). The inverse is
    :func:`unit_images`.
    """
    n, c, height, width = images.shape
    x = images.reshape(n, c, height // unit, unit, width // unit, unit)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, unit * unit * c)


def unit_images(patches: Tensor, grid: tuple[int, int], unit: int = 16) -> Tensor:
    """Put images together from units: (N, units, unit * unit * C) -> (N, C, H, W).

    The inverse of :func:`unit_patches`.
    """
    n, _, pixels = patches.shape
    x = patches.reshape(n, grid[0], grid[1], unit, unit, pixels // unit**2)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(n, -1, grid[0] * unit, grid[1] * unit)
