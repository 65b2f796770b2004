"""PVT with uniform masking, dense or on the compact image: one class for both."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmum.errors import InputError
from mmum.models.base_backbone import PyramidBackbone
from mmum.models.embedding import resize_positions, sincos_positions
from mmum.models.layers import MLP, attend
from mmum.models.recompute import norm_linear


class SpatialReductionAttention(nn.Module):
    """Attention of all tokens to average-pooled ones.

    Pooling, a 1x1 convolution and a LayerNorm make the tokens of keys and values. Convolution and
    norm are there without pooling too, so that the weights serve any ratio.

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of heads.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(embed_dims, embed_dims)
        self.kv = nn.Linear(embed_dims, 2 * embed_dims)
        self.sr = nn.Linear(embed_dims, embed_dims)  # the 1x1 convolution
        self.norm = nn.LayerNorm(embed_dims, eps=1e-5)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, norm: nn.LayerNorm, sr_ratio: int) -> Tensor:
        """Normalise, then attend: (N, H, W, C) -> (N, H, W, C).

        Args:
            x (Tensor): Tokens (N, H, W, C).
            norm (nn.LayerNorm): The norm before the attention.
            sr_ratio (int): Side of the pooled squares in tokens; 1 for no pooling.
        """
        n, height, width, c = x.shape
        q = norm_linear(norm, x, self.q.weight, self.q.bias)
        q = q.view(n, height * width, self.num_heads, -1).transpose(1, 2)
        pool = partial(average_squares, sr_ratio=sr_ratio)
        pooled = norm_linear(norm, x, self.sr.weight, self.sr.bias, pool)
        kv = norm_linear(self.norm, pooled, self.kv.weight, self.kv.bias)
        kv = kv.view(n, -1, 2, self.num_heads, c // self.num_heads)
        k, v = kv.permute(2, 0, 3, 1, 4)
        return self.proj(attend(q, k, v).transpose(1, 2).reshape(n, height, width, c))


def average_squares(x: Tensor, sr_ratio: int) -> Tensor:
    """Average (N, H, W, C) over squares; one that the border cuts averages its part."""
    if sr_ratio == 1:
        return x
    x = x.permute(0, 3, 1, 2)
    x = F.avg_pool2d(x, sr_ratio, ceil_mode=True, count_include_pad=False)
    return x.permute(0, 2, 3, 1)


class PVTBlock(nn.Module):
    """Pre-norm PVT block: x + attn(LN x), x + mlp(LN x).

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of heads.
        mlp_ratio (int): Hidden channels of the MLP over channels.
        drop_path (float): Stochastic depth rate. Defaults to 0.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, mlp_ratio: int, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.attn = SpatialReductionAttention(embed_dims, num_heads)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.mlp = MLP(embed_dims, mlp_ratio * embed_dims)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, sr_ratio: int) -> Tensor:
        """Run the block: (N, H, W, C) -> (N, H, W, C)."""
        x = x + self.drop_path(self.attn(x, self.norm1, sr_ratio))
        return x + self.drop_path(self.mlp(x, self.norm2))


class ConvMerging(nn.Module):
    """A 2x2 convolution of stride 2 with bias and without norm; odd sides are padded with zeros.

    Args:
        in_channels (int): Number of channels in.
        out_channels (int): Number of channels out.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, ceil(H / 2), ceil(W / 2), out_channels)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        return self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class PVTStage(nn.Module):
    """Merging (None in the first stage) and blocks.

    Args:
        downsample (nn.Module | None): The merge before the blocks.
        blocks (Iterable[nn.Module]): The blocks.
    """

    def __init__(self, downsample: nn.Module | None, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.ModuleList(blocks)


@MODELS.register_module()
class UMPVT(PyramidBackbone):
    """PVT backbone of UM-MAE (paper: pipeline, encoder).

    Dense for transfer, on the compact image for pre-training.

    Args:
        arch (str | dict): 'small', or a dict with ``embed_dims``, ``depths``, ``num_heads`` and
            ``mlp_ratios``, one number per stage each. Defaults to 'small'.
        sr_ratios (Sequence[int]): Pooling of keys and values in every stage: (4, 2, 1, 1) on the
            compact image, (8, 4, 2, 1) dense. The weights do not depend on it. Defaults to
            (4, 2, 1, 1).
        img_size (int | tuple[int, int]): Image size of the position embedding, one side or
            (height, width) in pixels. Dense images of other sizes get it resized bicubically,
            masked ones get fixed sin-cos positions of their own grid. Defaults to 256.
        in_channels (int): Channels of the images. Defaults to 3.
        learn_positions (bool): Whether the position embedding, which starts as sin-cos, is a
            parameter (as in the authors' fine-tuned files) instead of fixed. Dense only. Defaults
            to False.
        drop_path_rate (float): Stochastic depth of the last block; the rate grows linearly from 0.
            Defaults to 0.
        out_indices (int | Sequence[int]): Stages to return; -1 is the last. Defaults to (3, ).
        compact (bool): Whether a mask makes the backbone run on the compact image (UM-MAE) or, if
            False, on the whole image with masked units hidden (SimMIM). Defaults to True.
        with_cp (bool): Activation checkpointing of every block in training. Defaults to False.
        frozen_stages (int): Freeze patch and position embedding (0) and this many stages after
            them. Defaults to -1: nothing.
        norm_cfg (dict, optional): Norm of every returned stage; None for none. Defaults to
            ``dict(type='LN', eps=1e-6)``.
        weight_init (str): 'xavier', the authors' start of training, or 'trunc_normal', Swin's; see
            :class:`PyramidBackbone`. Defaults to 'xavier'.
        dense_sr_ratios (Sequence[int], optional): Pooling without a mask, for a backbone that is
            pre-trained and looked at densely too. Defaults to None: ``sr_ratios``.
        init_cfg (dict, optional): For example
            ``dict(type='BackboneCheckpoint', checkpoint='FILE')``. Defaults to None.

    Raises:
        InputError: If the arch, ``sr_ratios`` or ``out_indices`` cannot be.
    """

    arch_zoo = dict(
        small=dict(
            embed_dims=(64, 128, 320, 512),
            depths=(3, 4, 6, 3),
            num_heads=(1, 2, 5, 8),
            mlp_ratios=(8, 8, 4, 4),
        )
    )
    arch_keys = ('embed_dims', 'depths', 'num_heads', 'mlp_ratios')

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'small',
        sr_ratios: Sequence[int] = (4, 2, 1, 1),
        img_size: int | tuple[int, int] = 256,
        in_channels: int = 3,
        learn_positions: bool = False,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = (3,),
        compact: bool = True,
        with_cp: bool = False,
        frozen_stages: int = -1,
        norm_cfg: Mapping[str, Any] | None = dict(type='LN', eps=1e-6),
        weight_init: str = 'xavier',
        dense_sr_ratios: Sequence[int] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        stages = len(self.resolve_arch(arch)['depths'])
        for ratios in (sr_ratios, dense_sr_ratios or sr_ratios):
            if len(ratios) != stages or min(ratios) < 1:
                raise InputError(
                    f'sr_ratios={ratios} of UMPVT should be {stages} positive numbers, one per '
                    'stage of its arch'
                )
        self.sr_ratios, self.dense_sr_ratios = sr_ratios, dense_sr_ratios or sr_ratios
        super().__init__(
            arch,
            in_channels=in_channels,
            patch_norm=False,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            compact=compact,
            with_cp=with_cp,
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg,
            weight_init=weight_init,
            init_cfg=init_cfg,
        )
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid = (height // self.patch_size, width // self.patch_size)
        self.pos_embed = None
        if learn_positions:
            positions = sincos_positions(self.grid, self.dims[0], torch.device('cpu'))
            self.pos_embed = nn.Parameter(positions.clone())
            self.freeze_stages()

    def make_stage(self, index: int, drop_paths: Sequence[float]) -> nn.Module:
        """Make the merge before a stage and its blocks."""
        dim, heads, ratio = (
            self.arch[key][index] for key in ('embed_dims', 'num_heads', 'mlp_ratios')
        )
        return PVTStage(
            ConvMerging(self.dims[index - 1], dim) if index else None,
            [PVTBlock(dim, heads, ratio, rate) for rate in drop_paths],
        )

    def block_context(self, stage: int, x: Tensor, positions: Tensor | None) -> Iterable[int]:
        """Pooling of keys and values, the same for every block of a stage."""
        ratios = self.dense_sr_ratios if positions is None else self.sr_ratios
        return [ratios[stage]] * self.depths[stage]

    def convolutions(self) -> Iterator[nn.Module]:
        """As the base class, and the 1x1 reductions of keys and values."""
        yield from super().convolutions()
        for module in self.modules():
            if isinstance(module, SpatialReductionAttention):
                yield module.sr

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Embed patches as the base class does, and add the position of their true place."""
        height, width = (-(-side // self.patch_size) for side in x.shape[2:])
        x, positions = super().embed(x, mask)
        if positions is None:
            table = self.pos_embed
            if table is None:
                table = sincos_positions(self.grid, x.shape[3], x.device)
            return x + resize_positions(table, self.grid, (height, width)).to(x.dtype), None
        if self.pos_embed is None:
            table = sincos_positions((height, width), x.shape[3], x.device)
        else:
            table = resize_positions(self.pos_embed, self.grid, (height, width)).flatten(0, -2)
        index = (positions[:, 0] * width + positions[:, 1]).long()
        return x + table.to(x.dtype)[index], positions
