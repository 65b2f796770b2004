"""From images to tokens: patch embedding, dense or of sampled units alone, and fixed positions."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmum.masking import VISIBLE, gather_units, secondary_patches


def embed_dense(images: Tensor, conv: nn.Conv2d, token: Tensor) -> Tensor:
    """Embed every patch of whole images, padded to whole patches.

    Args:
        images (Tensor): (N, C, H, W).
        conv (nn.Conv2d): The patch embedding, with a stride equal to its kernel size.
        token (Tensor): Learnable token of masked patches, (C_0, ). Zero times the token keeps it in
            the graph, because DDP wants a gradient for every parameter.

    Returns:
        Tensor: (N, H', W', C_0).
    """
    size = conv.stride[0]
    pad_h, pad_w = -images.shape[2] % size, -images.shape[3] % size
    if pad_h or pad_w:
        images = F.pad(images, (0, pad_w, 0, pad_h))
    return F.conv2d(images, conv.weight, conv.bias + 0 * token, size).permute(0, 2, 3, 1)


def hide_patches(x: Tensor, mask: Tensor, token: Tensor) -> Tensor:
    """Replace the patches of units that are not visible by the token, for SimMIM.

    Args:
        x (Tensor): Embedded patches (N, H', W', C_0).
        mask (Tensor): Mask map (N, H/unit, W/unit).
        token (Tensor): Learnable token of masked patches, (C_0, ).

    Returns:
        Tensor: (N, H', W', C_0).
    """
    patches_per_unit = x.shape[1] // mask.shape[1]
    hidden = mask != VISIBLE
    hidden = hidden.repeat_interleave(patches_per_unit, 1).repeat_interleave(patches_per_unit, 2)
    return torch.where(hidden[..., None], token.to(x.dtype), x)


def embed_compact(images: Tensor, mask: Tensor, conv: nn.Conv2d, token: Tensor) -> Tensor:
    """Embed the patches of sampled units alone; those of secondary units become the token.

    Args:
        images (Tensor): (N, C, H, W).
        mask (Tensor): Mask map (N, H/unit, W/unit).
        conv (nn.Conv2d): The patch embedding.
        token (Tensor): Learnable token of secondary units, (C_0, ).

    Returns:
        Tensor: The patches of the compact image, (N, H'/2, W'/2, C_0).
    """
    x = conv(gather_units(images, mask)).permute(0, 2, 3, 1)
    secondary = secondary_patches(mask, 2 * x.shape[1] // mask.shape[1])
    return torch.where(secondary[..., None], token.to(x.dtype), x)


def sincos_positions(grid: tuple[int, int], embed_dims: int, device: torch.device) -> Tensor:
    """MAE's fixed 2-D sin-cos positions: the first half of the channels encodes the column.

    mmpretrain's ``build_2d_sincos_position_embedding`` does not serve here: it lists the grid
    column by column, so that tokens, which come row by row, get the transposed position (and on
    rectangular grids no consistent one).

    Args:
        grid (tuple[int, int]): Rows and columns.
        embed_dims (int): Number of channels, a multiple of 4.
        device (torch.device): Device of the result.

    Returns:
        Tensor: float32 (rows * columns, embed_dims), row by row. The tensor is cached: do not
        write into it.
    """
    # A compiler or exporter traces with fake tensors, which must not stay in the cache.
    if torch.compiler.is_compiling():
        return _sincos_positions.__wrapped__(grid, embed_dims, device)
    return _sincos_positions(grid, embed_dims, device)


@lru_cache(maxsize=8)
def _sincos_positions(grid: tuple[int, int], embed_dims: int, device: torch.device) -> Tensor:
    # Outside inference mode: a table that was made while testing must also serve training.
    with torch.inference_mode(False):
        rows, columns = grid
        omega = 10000.0 ** -(torch.arange(embed_dims // 4) / (embed_dims // 4))

        def encode(length: int) -> Tensor:
            angle = torch.outer(torch.arange(length, dtype=omega.dtype), omega)
            return torch.cat([angle.sin(), angle.cos()], 1)

        column = encode(columns).expand(rows, -1, -1)
        row = encode(rows)[:, None].expand(-1, columns, -1)
        return torch.cat([column, row], 2).flatten(0, 1).to(device)


def resize_positions(table: Tensor, grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Resize a position embedding bicubically (``align_corners=False``).

    Args:
        table (Tensor): (rows * columns, C), row by row.
        grid (tuple[int, int]): Rows and columns of the table.
        new_grid (tuple[int, int]): Rows and columns of the result.

    Returns:
        Tensor: (new rows, new columns, C).
    """
    table = table.view(*grid, -1)
    if new_grid == grid:
        return table
    table = table.permute(2, 0, 1)[None]
    table = F.interpolate(table, new_grid, mode='bicubic', align_corners=False)
    return table[0].permute(1, 2, 0)


def resize_square(table: Tensor, new_grid: tuple[int, int]) -> Tensor:
    """Resize the position embedding of a square grid: (side ** 2, C) -> (rows * columns, C).

    An embedding of another number of rows is returned as it is.
    """
    side = math.isqrt(len(table))
    if side**2 != len(table):
        return table
    return resize_positions(table.float(), (side, side), new_grid).flatten(0, 1)
