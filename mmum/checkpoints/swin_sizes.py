"""Sizes of a stock Swin by its weights, and the size of its position bias tables."""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmum.errors import InputError

TABLE = 'relative_position_bias_table'


def depths_of(names: Mapping[str, Tensor], stage: str = 'stages') -> list[int]:
    """Number of blocks of every stage, by the names of parameters."""
    pattern = re.compile(rf'{stage}\.(\d+)\.blocks\.(\d+)\.')
    blocks = {(int(m[1]), int(m[2])) for m in map(pattern.match, names) if m}
    return [1 + max(b for s, b in blocks if s == stage) for stage in sorted({s for s, _ in blocks})]


def arch_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of a Swin by its weights in our names.

    Args:
        weights (dict[str, Tensor]): Weights of the backbone.

    Returns:
        dict: ``arch`` (embed_dims, depths, num_heads), ``window_size``, ``in_channels``,
        ``patch_size``, ``qkv_bias``.
    """
    depths = depths_of(weights)
    tables = [weights[f'stages.{s}.blocks.0.attn.w_msa.{TABLE}'] for s in range(len(depths))]
    conv = weights['patch_embed.projection.weight']
    num_heads = [table.shape[1] for table in tables]
    return dict(
        arch=dict(embed_dims=conv.shape[0], depths=depths, num_heads=num_heads),
        window_size=window_of(tables[0]),
        in_channels=conv.shape[1],
        patch_size=conv.shape[2],
        qkv_bias='stages.0.blocks.0.attn.w_msa.qkv.bias' in weights,
    )


def window_of(table: Tensor) -> int | None:
    """Window of a bias table of (2 * window - 1) ** 2 rows; None if it has another number."""
    side = math.isqrt(len(table))
    return (side + 1) // 2 if side**2 == len(table) and side % 2 else None


def check_sizes(weights: Mapping[str, Tensor], source: str = 'the checkpoint') -> None:
    """Raise InputError unless all sizes are those of one Swin.

    Args:
        weights (dict[str, Tensor]): Weights of the backbone, in our names.
        source (str): Named in errors. Defaults to 'the checkpoint'.
    """
    sizes = arch_of(weights)
    c, heads, window = sizes['arch']['embed_dims'], sizes['arch']['num_heads'], sizes['window_size']
    for key, value in weights.items():
        match = re.match(r'stages\.(\d+)\.(?:blocks\.\d+\.|downsample\.)(.+)', key)
        if not match:
            continue
        stage, name = int(match[1]), match[2]
        dim = c * 2**stage
        expected = {
            'attn.w_msa.qkv.weight': (3 * dim, dim),
            'attn.w_msa.qkv.bias': (3 * dim,),
            'attn.w_msa.proj.weight': (dim, dim),
            f'attn.w_msa.{TABLE}': ((2 * (window or 0) - 1) ** 2, heads[stage]),
            'reduction.weight': (2 * dim, 4 * dim),
            'norm1.weight': (dim,),
            'norm2.weight': (dim,),
            'norm.weight': (4 * dim,),
        }.get(name, tuple(value.shape))
        if tuple(value.shape) != expected:
            raise InputError(
                f'{source} is no Swin of one size: {key} is {tuple(value.shape)} and should be '
                f'{expected} in stage {stage} of a Swin with embed_dims={c} and window {window}'
            )


def resize_table(table: Tensor, window: int) -> Tensor:
    """Fit a bias table to another window.

    Entries belong to relative offsets, which mean the same in a window of any size. So a smaller
    window keeps the entries of the offsets that remain. A larger one keeps them all, and its new
    offsets get the entry of the nearest old one, row and column by themselves. Nothing is
    interpolated, and enlarging and reducing a table again changes nothing.

    Args:
        table (Tensor): ((2 * old - 1) ** 2, heads).
        window (int): The new window.

    Returns:
        Tensor: ((2 * window - 1) ** 2, heads).
    """
    old = window_of(table) or 0
    offsets = torch.arange(1 - window, window).clamp(1 - old, old - 1) + old - 1
    square = table.view(2 * old - 1, 2 * old - 1, -1)
    return square[offsets][:, offsets].reshape((2 * window - 1) ** 2, -1)


UM_SWIN_BLOCK = {
    'norm1': 'norm1',
    'attn.qkv': 'attn.w_msa.qkv',
    'attn.proj': 'attn.w_msa.proj',
    'norm2': 'norm2',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}
UM_SWIN_EMBEDDING = {'patch_embed': 'patch_embed.projection', 'patch_norm': 'patch_embed.norm'}


def from_um_swin(weights: Mapping[str, Tensor], window: int) -> tuple[dict[str, Tensor], list[str]]:
    """Turn a ``UMSwin`` into a stock Swin, except for its merges.

    Embedding, blocks and norms are the same arithmetic (up to an epsilon of 1e-6 against 1e-5 in
    the norms outside blocks), and a position MLP evaluated at the offsets of a window is the table
    of that window. A merge is not: it is LayerNorm(C) and a 2x2 convolution with bias in UMSwin,
    LayerNorm(4C) and a Linear without bias in the stock Swin.

    Args:
        weights (dict[str, Tensor]): Weights by UMSwin's names, without prefix.
        window (int): Window of the tables.

    Returns:
        tuple[dict, list]: Weights by the names of a stock Swin, and the names without counterpart.
    """
    offsets = torch.arange(1 - window, window, dtype=torch.float32)
    # The MLP takes key minus query, a table query minus key.
    offsets = -torch.cartesian_prod(offsets, offsets)
    offsets = offsets.sign() * offsets.abs().log1p()
    result, left = {}, []
    for key, value in weights.items():
        module, _, kind = key.rpartition('.')
        match = re.match(r'(stages\.\d+\.blocks\.\d+\.)(.+)', module)
        if module in UM_SWIN_EMBEDDING:
            result[f'{UM_SWIN_EMBEDDING[module]}.{kind}'] = value
        elif re.match(r'norm\d', module) or key == 'secondary_token':
            result[key] = value
        elif match and match[2] in UM_SWIN_BLOCK:
            result[f'{match[1]}{UM_SWIN_BLOCK[match[2]]}.{kind}'] = value
        elif match and match[2] == 'attn.pos_mlp.0' and kind == 'weight':
            first, bias, second, last = (
                weights[f'{match[1]}attn.pos_mlp.{k}'].float()
                for k in ('0.weight', '0.bias', '2.weight', '2.bias')
            )
            table = torch.relu(offsets @ first.T + bias) @ second.T + last
            result[f'{match[1]}attn.w_msa.{TABLE}'] = table
        elif not (match and match[2].startswith('attn.pos_mlp.')):
            left.append(key)
    return result, left
