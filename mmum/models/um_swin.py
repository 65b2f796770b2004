"""Swin with a position MLP, dense or on the compact image of uniform masking: one class for both."""
from itertools import cycle

import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.registry import MODELS
from torch import nn

from mmum.models.layers import MLP, Attention, attend, norm_linear
from mmum.models.base_backbone import PyramidBackbone
from mmum.models.windows import compact_layout, dense_layout, fit_window


class WindowAttention(Attention):
    """Attention in windows, with a bias that an MLP makes of the offset between two tokens.

    Args:
        embed_dims (int): Channels.
        num_heads (int): Heads.
        pos_mlp_dims (int): Hidden channels of the position MLP.
    """

    def __init__(self, embed_dims, num_heads, pos_mlp_dims):
        super().__init__(embed_dims, num_heads)
        self.pos_mlp = nn.Sequential(
            nn.Linear(2, pos_mlp_dims), nn.ReLU(), nn.Linear(pos_mlp_dims, num_heads))

    def forward(self, x, norm, layout):
        """(N, H, W, C) -> (N, H, W, C), normalised first, within the windows of a :class:`WindowLayout`."""
        # before the cut every token is projected once, and padding tokens, zeros after the norm, are the bias
        q, k, v = layout.split(self.project(x, norm), 3, self.num_heads, fill=self.qkv.bias)
        return self.proj(layout.join(attend(q, k, v, layout.bias(self.pos_mlp(layout.log_offsets)))))


class SwinBlock(nn.Module):
    """Pre-norm Swin block: x + attn(LN x), x + mlp(LN x).

    Args:
        embed_dims (int): Channels.
        num_heads (int): Heads.
        pos_mlp_dims (int): Hidden channels of the position MLP.
        drop_path (float): Stochastic depth rate. Defaults to 0.
    """

    def __init__(self, embed_dims, num_heads, pos_mlp_dims, drop_path=0.):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.attn = WindowAttention(embed_dims, num_heads, pos_mlp_dims)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.mlp = MLP(embed_dims, 4 * embed_dims)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x, layout):
        x = x + self.drop_path(self.attn(x, self.norm1, layout))
        return x + self.drop_path(self.mlp(x, self.norm2))


class PatchMerging(nn.Module):
    """LayerNorm(C), then a 2x2 convolution of stride 2 with bias, C -> 2C.

    Stock Swin has LayerNorm(4C) and a bias-free Linear(4C -> 2C) instead, so weights do not carry over.
    """

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.proj = nn.Conv2d(in_channels, out_channels, 2, 2)

    def forward(self, x):
        """(N, H, W, C) -> (N, ceil(H / 2), ceil(W / 2), 2C); odd sides are padded with zeros, as in Swin."""
        # the convolution as a matrix product of the four children's channels
        weight = self.proj.weight.permute(0, 2, 3, 1).flatten(1)
        return norm_linear(self.norm, x, weight, self.proj.bias, self._children)

    @staticmethod
    def _children(x):
        """(N, H, W, C) -> (N, ceil(H / 2), ceil(W / 2), 4C): the channels of four tokens side by side."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        n, height, width, c = x.shape
        return x.view(n, height // 2, 2, width // 2, 2, c).transpose(2, 3).flatten(3)


class Stage(nn.Module):
    """Merging (but for the first stage) and blocks, every second of them with shifted windows."""

    def __init__(self, in_channels, embed_dims, num_heads, pos_mlp_dims, drop_paths, merge):
        super().__init__()
        self.downsample = PatchMerging(in_channels, embed_dims) if merge else None
        self.blocks = nn.ModuleList(
            SwinBlock(embed_dims, num_heads, pos_mlp_dims, drop_path) for drop_path in drop_paths)


@MODELS.register_module()
class UMSwin(PyramidBackbone):
    """Swin backbone of UM-MAE (the paper: pipeline, encoder): dense for transfer, on the compact image for pre-training.

    Args:
        arch (str | dict): 'tiny', 'small', 'base', 'large', or a dict with ``embed_dims``, ``depths`` and ``num_heads``
            (four stages each for the last two). Defaults to 'tiny'.
        window_size (int): Side of the attention windows in tokens: 8 on the compact image, where a window spans 16 tokens
            of the full grid, and 16 dense. The weights do not depend on it. Defaults to 8.
        pos_mlp_dims (int): Hidden channels of the position MLPs; the paper's Swin-L has 64. Defaults to 32.
        in_channels (int): Channels of the images. Defaults to 3.
        drop_path_rate (float): Stochastic depth of the last block, growing linearly from 0. Defaults to 0.
        out_indices (Sequence[int]): Stages to return. Defaults to (3, ).
        pad_small_map (bool): Pad maps smaller than a window and keep shifting (the rule of detection) instead of
            shrinking the window (of classification). Dense only. Defaults to False.
        compact (bool): What to do with a mask: run on the compact image of the sampled units (UM-MAE), or, if False, on the
            whole image with the token in every unit that is not visible (SimMIM). Defaults to True.
        with_cp (bool): Activation checkpointing of every block while training. Defaults to False.
        frozen_stages (int): Freezes the patch embedding (0) and this many stages after it. Defaults to -1: nothing.
        norm_cfg (dict, optional): Norm of each returned stage; None for none. Defaults to ``dict(type='LN', eps=1e-6)``.
        init_cfg (dict, optional): For example ``dict(type='BackboneCheckpoint', checkpoint='FILE')``. Defaults to None.

    Raises:
        InputError: For an unknown or incomplete arch.
    """
    arch_zoo = dict(
        tiny=dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
        small=dict(embed_dims=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24)),
        base=dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
        large=dict(embed_dims=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48)))

    def __init__(self,
                 arch='tiny',
                 window_size=8,
                 pos_mlp_dims=32,
                 in_channels=3,
                 drop_path_rate=0.,
                 out_indices=(3, ),
                 pad_small_map=False,
                 compact=True,
                 with_cp=False,
                 frozen_stages=-1,
                 norm_cfg=dict(type='LN', eps=1e-6),
                 init_cfg=None):
        super().__init__(init_cfg)
        arch = self.resolve_arch(arch)
        self.window_size, self.pad_small_map = window_size, pad_small_map
        depths, num_heads = arch['depths'], arch['num_heads']
        dims = [arch['embed_dims'] * 2**i for i in range(len(depths))]
        self.build_embedding(in_channels, dims[0], patch_norm=True, compact=compact)
        self.build_stages(
            dims, num_heads, depths, drop_path_rate, out_indices, frozen_stages, norm_cfg, with_cp,
            lambda i, rates: Stage(dims[max(i - 1, 0)], dims[i], num_heads[i], pos_mlp_dims, rates, merge=i > 0))

    def init_from_scratch(self):
        super().init_from_scratch()
        for module in self.modules():
            if isinstance(module, WindowAttention):
                for layer in module.pos_mlp[::2]:
                    layer.reset_parameters()  # torch's own: at std 0.02 the bias would hardly tell offsets apart

    def block_context(self, stage, x, positions):
        """Window layouts: unshifted for even blocks, shifted for odd ones where the map is large enough to shift."""
        pad_small_map = self.pad_small_map and positions is None
        _, shift = fit_window(*x.shape[1:3], self.window_size, self.window_size // 2, pad_small_map)
        shifts = (0, shift) if shift else (0, )
        if positions is None:
            return cycle([dense_layout(*x.shape[1:3], self.window_size, shift, pad_small_map, x.device) for shift in shifts])
        tokens_per_unit = self.unit / self.patch_size / 2**stage
        return cycle([compact_layout(positions, self.window_size, shift, tokens_per_unit) for shift in shifts])
