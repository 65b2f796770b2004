"""Swin with a position MLP, dense or on the compact image: one class for both."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmum.models.base_backbone import PyramidBackbone
from mmum.models.layers import MLP, Attention, attend
from mmum.models.recompute import norm_linear
from mmum.models.windows import PositionBias, Windows

WindowContext = tuple[Windows, PositionBias]


class WindowAttention(Attention):
    """Attention in windows, with a bias that an MLP makes of the offset between two tokens.

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of heads.
        pos_mlp_dims (int): Hidden channels of the position MLP.
    """

    def __init__(self, embed_dims: int, num_heads: int, pos_mlp_dims: int) -> None:
        super().__init__(embed_dims, num_heads)
        self.pos_mlp = nn.Sequential(
            nn.Linear(2, pos_mlp_dims), nn.ReLU(), nn.Linear(pos_mlp_dims, num_heads)
        )

    def forward(self, x: Tensor, norm: nn.LayerNorm, context: WindowContext) -> Tensor:
        """Normalise, then attend within windows: (N, H, W, C) -> (N, H, W, C)."""
        windows, position_bias = context
        # Projected before the cut, every token is projected once. Padding tokens are zeros after
        # the norm, so their projection is the bias.
        q, k, v = windows.split(self.project(x, norm), 3, self.num_heads, fill=self.qkv.bias)
        bias = position_bias.lookup(self.pos_mlp(position_bias.log_offsets.to(x.dtype)))
        return self.proj(windows.join(attend(q, k, v, bias)))


class SwinBlock(nn.Module):
    """Pre-norm Swin block: x + attn(LN x), x + mlp(LN x).

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of heads.
        pos_mlp_dims (int): Hidden channels of the position MLP.
        drop_path (float): Stochastic depth rate. Defaults to 0.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, pos_mlp_dims: int, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.attn = WindowAttention(embed_dims, num_heads, pos_mlp_dims)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.mlp = MLP(embed_dims, 4 * embed_dims)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, context: WindowContext) -> Tensor:
        """Run the block: (N, H, W, C) -> (N, H, W, C)."""
        x = x + self.drop_path(self.attn(x, self.norm1, context))
        return x + self.drop_path(self.mlp(x, self.norm2))


class PatchMerging(nn.Module):
    """LayerNorm(C), then a 2x2 convolution of stride 2 with bias, C -> 2C.

    Stock Swin has LayerNorm(4C) and a bias-free Linear(4C -> 2C) instead, so weights do not carry
    over.

    Args:
        in_channels (int): Number of channels C.
        out_channels (int): Number of channels 2C.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.proj = nn.Conv2d(in_channels, out_channels, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, ceil(H / 2), ceil(W / 2), 2C); odd sides are padded with zeros."""
        # The convolution as a matrix product of the channels of four children.
        weight = self.proj.weight.permute(0, 2, 3, 1).flatten(1)
        return norm_linear(self.norm, x, weight, self.proj.bias, self._children)

    @staticmethod
    def _children(x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, ceil(H / 2), ceil(W / 2), 4C): four tokens side by side."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        n, height, width, c = x.shape
        return x.view(n, height // 2, 2, width // 2, 2, c).transpose(2, 3).flatten(3)


class SwinStage(nn.Module):
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
class UMSwin(PyramidBackbone):
    """Swin backbone of UM-MAE (paper: pipeline, encoder).

    Dense for transfer, on the compact image for pre-training.

    Args:
        arch (str | dict): 'tiny', 'small', 'base', 'large', or a dict with ``embed_dims``,
            ``depths`` and ``num_heads`` (four stages each for the last two). Defaults to 'tiny'.
        window_size (int): Side of the attention windows in tokens: 8 on the compact image, where a
            window spans 16 tokens of the full grid, and 16 dense. The weights do not depend on it.
            Defaults to 8.
        pos_mlp_dims (int): Hidden channels of the position MLPs; 64 in the paper's Swin-L.
            Defaults to 32.
        in_channels (int): Channels of the images. Defaults to 3.
        drop_path_rate (float): Stochastic depth of the last block; the rate grows linearly from 0.
            Defaults to 0.
        out_indices (int | Sequence[int]): Stages to return; -1 is the last. Defaults to (3, ).
        pad_small_map (bool): Whether to pad maps smaller than a window and keep shifting (the rule
            of detection) instead of shrinking the window (of classification). Dense only.
            Defaults to False.
        compact (bool): Whether a mask makes the backbone run on the compact image (UM-MAE) or, if
            False, on the whole image with masked units hidden (SimMIM). Defaults to True.
        with_cp (bool): Activation checkpointing of every block in training. Defaults to False.
        frozen_stages (int): Freeze the patch embedding (0) and this many stages after it. Defaults
            to -1: nothing.
        norm_cfg (dict, optional): Norm of every returned stage; None for none. Defaults to
            ``dict(type='LN', eps=1e-6)``.
        weight_init (str): 'xavier', the authors' start of training, or 'trunc_normal', Swin's; see
            :class:`PyramidBackbone`. Defaults to 'xavier'.
        dense_window_size (int, optional): Window without a mask, for a backbone that is
            pre-trained and looked at densely too. Defaults to None: ``window_size``.
        init_cfg (dict, optional): For example
            ``dict(type='BackboneCheckpoint', checkpoint='FILE')``. Defaults to None.

    Raises:
        InputError: If the arch or ``out_indices`` cannot be.
    """

    arch_zoo = dict(
        tiny=dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
        small=dict(embed_dims=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24)),
        base=dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
        large=dict(embed_dims=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48)),
    )

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
        window_size: int = 8,
        pos_mlp_dims: int = 32,
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = (3,),
        pad_small_map: bool = False,
        compact: bool = True,
        with_cp: bool = False,
        frozen_stages: int = -1,
        norm_cfg: Mapping[str, Any] | None = dict(type='LN', eps=1e-6),
        weight_init: str = 'xavier',
        dense_window_size: int | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        self.window_size, self.pad_small_map = window_size, pad_small_map
        self.dense_window_size = dense_window_size or window_size
        self.pos_mlp_dims = pos_mlp_dims
        super().__init__(
            arch,
            in_channels=in_channels,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            compact=compact,
            with_cp=with_cp,
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg,
            weight_init=weight_init,
            init_cfg=init_cfg,
        )

    def make_stage(self, index: int, drop_paths: Sequence[float]) -> nn.Module:
        """Make the merge before a stage and its blocks."""
        dim, heads = self.dims[index], self.arch['num_heads'][index]
        return SwinStage(
            PatchMerging(self.dims[index - 1], dim) if index else None,
            [SwinBlock(dim, heads, self.pos_mlp_dims, drop_path) for drop_path in drop_paths],
        )

    def convolutions(self) -> Iterator[nn.Module]:
        """As the base class, and the layers of the position MLPs."""
        yield from super().convolutions()
        yield from self._position_layers()

    def _position_layers(self) -> Iterator[nn.Module]:
        for module in self.modules():
            if isinstance(module, WindowAttention):
                yield from (module.pos_mlp[0], module.pos_mlp[2])

    def init_from_scratch(self) -> None:
        """Initialise as the base class does, with torch's position MLPs for 'trunc_normal'."""
        super().init_from_scratch()
        if self.weight_init == 'trunc_normal':
            for layer in self._position_layers():
                # At std 0.02 the bias would hardly tell offsets apart.
                layer.reset_parameters()

    def block_context(
        self, stage: int, x: Tensor, positions: Tensor | None
    ) -> Iterable[WindowContext]:
        """Windows and their bias: unshifted for even blocks, shifted for odd ones."""
        pad_small_map = self.pad_small_map and positions is None
        window = self.dense_window_size if positions is None else self.window_size
        layouts = Windows.fit(x.shape[1], x.shape[2], window, pad_small_map)
        if positions is None:
            return cycle([(w, PositionBias.dense(w, x.device)) for w in layouts])
        tokens_per_unit = self.unit / self.patch_size / 2**stage
        return cycle([(w, PositionBias.compact(w, positions, tokens_per_unit)) for w in layouts])
