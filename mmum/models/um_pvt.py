"""PVT with uniform masking, dense or on the compact image: one class for both."""
from itertools import repeat

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.registry import MODELS
from torch import nn

from mmum.models.layers import MLP, attend, norm_linear
from mmum.models.embedding import dense_positions, sincos_positions
from mmum.models.base_backbone import PyramidBackbone


class SpatialReductionAttention(nn.Module):
    """Attention of all tokens to average-pooled ones: pooling, 1x1 convolution and LayerNorm make keys and values.

    Convolution and norm are there without pooling too, so that the weights serve any ratio.

    Args:
        embed_dims (int): Channels.
        num_heads (int): Heads.
        sr_ratio (int): Side of the pooled squares in tokens; 1 for no pooling.
    """

    def __init__(self, embed_dims, num_heads, sr_ratio):
        super().__init__()
        self.num_heads, self.sr_ratio = num_heads, sr_ratio
        self.q = nn.Linear(embed_dims, embed_dims)
        self.kv = nn.Linear(embed_dims, 2 * embed_dims)
        self.sr = nn.Linear(embed_dims, embed_dims)  # the 1x1 convolution
        self.norm = nn.LayerNorm(embed_dims, eps=1e-5)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x, norm):
        """(N, H, W, C) -> (N, H, W, C), normalised first."""
        n, height, width, c = x.shape
        q = norm_linear(norm, x, self.q.weight, self.q.bias).view(n, height * width, self.num_heads, -1).transpose(1, 2)
        pooled = norm_linear(norm, x, self.sr.weight, self.sr.bias, self._pool)
        kv = norm_linear(self.norm, pooled, self.kv.weight, self.kv.bias)
        kv = kv.view(n, -1, 2, self.num_heads, c // self.num_heads)
        k, v = kv.permute(2, 0, 3, 1, 4)
        return self.proj(attend(q, k, v).transpose(1, 2).reshape(n, height, width, c))

    def _pool(self, x):
        """(N, H, W, C) -> means of squares; those at the border that are not whole average what there is."""
        if self.sr_ratio == 1:
            return x
        x = F.avg_pool2d(x.permute(0, 3, 1, 2), self.sr_ratio, ceil_mode=True, count_include_pad=False)
        return x.permute(0, 2, 3, 1)


class PVTBlock(nn.Module):
    """Pre-norm PVT block: x + attn(LN x), x + mlp(LN x).

    Args:
        embed_dims (int): Channels.
        num_heads (int): Heads.
        mlp_ratio (int): Hidden channels of the MLP over channels.
        sr_ratio (int): Of the attention.
        drop_path (float): Stochastic depth rate. Defaults to 0.
    """

    def __init__(self, embed_dims, num_heads, mlp_ratio, sr_ratio, drop_path=0.):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.attn = SpatialReductionAttention(embed_dims, num_heads, sr_ratio)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.mlp = MLP(embed_dims, mlp_ratio * embed_dims)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x, _):
        x = x + self.drop_path(self.attn(x, self.norm1))
        return x + self.drop_path(self.mlp(x, self.norm2))


class ConvMerging(nn.Module):
    """A 2x2 convolution of stride 2 with bias, no norm; odd sides are padded with zeros."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, 2, 2)

    def forward(self, x):
        """(N, H, W, C) -> (N, ceil(H / 2), ceil(W / 2), out_channels)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        return self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class PVTStage(nn.Module):
    """Merging (None for the first stage) and blocks."""

    def __init__(self, downsample, blocks):
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.ModuleList(blocks)


@MODELS.register_module()
class UMPVT(PyramidBackbone):
    """PVT backbone of UM-MAE (the paper: pipeline, encoder): dense for transfer, on the compact image for pre-training.

    Args:
        arch (str | dict): 'small', or a dict with ``embed_dims``, ``depths``, ``num_heads`` and ``mlp_ratios``, one number a
            stage each. Defaults to 'small'.
        sr_ratios (Sequence[int]): Pooling of keys and values in each stage: (4, 2, 1, 1) on the compact image, (8, 4, 2, 1)
            dense. The weights do not depend on it. Defaults to (4, 2, 1, 1).
        img_size (int | tuple[int, int]): Image size of the position embedding; images of other sizes get it resized
            bicubically when dense, and fixed sin-cos positions of their own grid when masked. Defaults to 256.
        in_channels (int): Channels of the images. Defaults to 3.
        learn_positions (bool): The position embedding, which starts as sin-cos, is a parameter (as the authors' fine-tuned
            files have it) instead of fixed. Dense only. Defaults to False.
        drop_path_rate (float): Stochastic depth of the last block, growing linearly from 0. Defaults to 0.
        out_indices (Sequence[int]): Stages to return. Defaults to (3, ).
        compact (bool): What to do with a mask: run on the compact image of the sampled units (UM-MAE), or, if False, on the
            whole image with the token in every unit that is not visible (SimMIM). Defaults to True.
        with_cp (bool): Activation checkpointing of every block while training. Defaults to False.
        frozen_stages (int): Freezes the patch embedding (0) and this many stages after it. Defaults to -1: nothing.
        norm_cfg (dict, optional): Norm of each returned stage; None for none. Defaults to ``dict(type='LN', eps=1e-6)``.
        init_cfg (dict, optional): For example ``dict(type='BackboneCheckpoint', checkpoint='FILE')``. Defaults to None.

    Raises:
        InputError: For an unknown or incomplete arch.
    """
    arch_zoo = dict(small=dict(
        embed_dims=(64, 128, 320, 512), depths=(3, 4, 6, 3), num_heads=(1, 2, 5, 8), mlp_ratios=(8, 8, 4, 4)))
    arch_keys = ('embed_dims', 'depths', 'num_heads', 'mlp_ratios')

    def __init__(self,
                 arch='small',
                 sr_ratios=(4, 2, 1, 1),
                 img_size=256,
                 in_channels=3,
                 learn_positions=False,
                 drop_path_rate=0.,
                 out_indices=(3, ),
                 compact=True,
                 with_cp=False,
                 frozen_stages=-1,
                 norm_cfg=dict(type='LN', eps=1e-6),
                 init_cfg=None):
        super().__init__(init_cfg)
        arch = self.resolve_arch(arch)
        dims, depths, num_heads = arch['embed_dims'], arch['depths'], arch['num_heads']
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid = (height // self.patch_size, width // self.patch_size)
        self.pos_embed = None
        if learn_positions:
            self.pos_embed = nn.Parameter(sincos_positions(self.grid, dims[0], torch.device('cpu')).clone())
        self.build_embedding(in_channels, dims[0], patch_norm=False, compact=compact)
        self.build_stages(
            dims, num_heads, depths, drop_path_rate, out_indices, frozen_stages, norm_cfg, with_cp,
            lambda i, rates: PVTStage(
                ConvMerging(dims[i - 1], dims[i]) if i else None,
                [PVTBlock(dims[i], num_heads[i], arch['mlp_ratios'][i], sr_ratios[i], rate) for rate in rates]))

    def embed(self, x, mask=None):
        """As the base class, plus the position embedding of every patch at its true place."""
        grid = tuple(-(-side // self.patch_size) for side in x.shape[2:])
        x, positions = super().embed(x, mask)
        if positions is None:
            table = self.pos_embed if self.pos_embed is not None else sincos_positions(self.grid, x.shape[3], x.device)
            return x + dense_positions(table, self.grid, grid).to(x.dtype), None
        table = sincos_positions(grid, x.shape[3], x.device).to(x.dtype)
        index = (positions[:, 0] * grid[1] + positions[:, 1]).long()
        return x + table[index], positions

    def block_context(self, stage, x, positions):
        """Nothing: positions enter with the embedding."""
        return repeat(None)

    def _freeze_stages(self):
        super()._freeze_stages()
        if self.frozen_stages >= 0 and self.pos_embed is not None:
            self.pos_embed.requires_grad_(False)
