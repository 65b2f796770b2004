"""Fixed sin-cos positions."""
from functools import lru_cache

import torch
import torch.nn.functional as F


def sincos_positions(grid, embed_dims, device):
    """MAE's fixed 2-D sin-cos positions: the first half of the channels encodes the column, the second the row.

    mmpretrain's ``build_2d_sincos_position_embedding`` is not used: it lists the grid column by column, so that tokens,
    which come row by row, get the transposed position (and on rectangular grids no consistent one).

    Args:
        grid (tuple[int, int]): Rows and columns.
        embed_dims (int): Channels, a multiple of 4.
        device (torch.device): Where to.

    Returns:
        Tensor: float32 (rows * columns, embed_dims), row by row. A constant, made once: do not write into it.
    """
    if torch.compiler.is_compiling():  # what a compiler or exporter traces with are no real tensors, and must not stay
        return _sincos_positions.__wrapped__(grid, embed_dims, device)
    return _sincos_positions(grid, embed_dims, device)


@lru_cache(maxsize=8)
def _sincos_positions(grid, embed_dims, device):
    with torch.inference_mode(False):  # or it could never be used for training once it was made while testing
        rows, columns = grid
        omega = 10000.**-(torch.arange(embed_dims // 4) / (embed_dims // 4))

        def encode(length):
            angle = torch.outer(torch.arange(length), omega)
            return torch.cat([angle.sin(), angle.cos()], 1)

        column = encode(columns).expand(rows, -1, -1)
        row = encode(rows)[:, None].expand(-1, columns, -1)
        return torch.cat([column, row], 2).flatten(0, 1).to(device)


def dense_positions(table, grid, wanted):
    """Resizes a position embedding bicubically (align_corners=False).

    Args:
        table (Tensor): (rows * columns, C), row by row.
        grid (tuple[int, int]): Its rows and columns.
        wanted (tuple[int, int]): Rows and columns to have.

    Returns:
        Tensor: (wanted rows, wanted columns, C).
    """
    table = table.view(*grid, -1)
    if wanted == grid:
        return table
    table = F.interpolate(table.permute(2, 0, 1)[None], wanted, mode='bicubic', align_corners=False)
    return table[0].permute(1, 2, 0)
