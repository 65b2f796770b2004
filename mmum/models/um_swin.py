"""Swin with a position MLP, dense or on the compact image of uniform masking: one class for both."""
from itertools import islice

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmum.errors import InputError
from mmum.masking import check_mask_map, gather_units, merge_positions, patch_positions, secondary_patches
from mmum.models.layers import MLP, Attention
from mmum.models.windows import compact_layout, dense_layout


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

    def forward(self, x, layout):
        """(N, H, W, C) -> (N, H, W, C) within the windows of a :class:`WindowLayout`."""
        bias = layout.bias(self.pos_mlp(layout.offsets))
        return layout.join(super().forward(layout.split(x), bias))


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
        x = x + self.drop_path(self.attn(self.norm1(x), layout))
        return x + self.drop_path(self.mlp(self.norm2(x)))


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
        x = pad_to_multiple(self.norm(x), 2)
        n, height, width, c = x.shape
        x = x.view(n, height // 2, 2, width // 2, 2, c).transpose(2, 3).flatten(3)
        # the convolution as a matrix product of the four children's channels: they are already side by side
        return F.linear(x, self.proj.weight.permute(0, 2, 3, 1).flatten(1), self.proj.bias)


class Stage(nn.Module):
    """Merging (but for the first stage) and blocks, every second of them with shifted windows."""

    def __init__(self, in_channels, embed_dims, num_heads, pos_mlp_dims, drop_paths, merge):
        super().__init__()
        self.downsample = PatchMerging(in_channels, embed_dims) if merge else None
        self.blocks = nn.ModuleList(
            SwinBlock(embed_dims, num_heads, pos_mlp_dims, drop_path) for drop_path in drop_paths)


def pad_to_multiple(x, step):
    """Pads (N, H, W, C) with zeros at the bottom and right until both sides are multiples of ``step``."""
    pad_h, pad_w = -x.shape[1] % step, -x.shape[2] % step
    return F.pad(x, (0, 0, 0, pad_w, 0, pad_h)) if pad_h or pad_w else x


@MODELS.register_module()
class UMSwin(BaseModule):
    """Swin backbone of UM-MAE (paper section 3.3): dense for transfer, on the compact image for pre-training.

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
    patch_size = 4
    unit = 16

    def __init__(self,
                 arch='tiny',
                 window_size=8,
                 pos_mlp_dims=32,
                 in_channels=3,
                 drop_path_rate=0.,
                 out_indices=(3, ),
                 pad_small_map=False,
                 with_cp=False,
                 frozen_stages=-1,
                 norm_cfg=dict(type='LN', eps=1e-6),
                 init_cfg=None):
        super().__init__(init_cfg)
        if isinstance(arch, str) and arch not in self.arch_zoo:
            raise InputError(f"unknown arch '{arch}' of {type(self).__name__}: choose one of {', '.join(self.arch_zoo)}, "
                             'or give a dict of embed_dims, depths and num_heads')
        arch = self.arch_zoo[arch] if isinstance(arch, str) else arch
        if set(arch) != {'embed_dims', 'depths', 'num_heads'} or len(arch['depths']) != len(arch['num_heads']):
            raise InputError(f'the arch {dict(arch)} of {type(self).__name__} should be a dict of embed_dims (an int), '
                             'depths and num_heads (one int a stage, equally many)')
        self.window_size, self.pad_small_map, self.with_cp = window_size, pad_small_map, with_cp
        self.depths, self.out_indices, self.frozen_stages = tuple(arch['depths']), tuple(out_indices), frozen_stages
        dims = [arch['embed_dims'] * 2**i for i in range(len(self.depths))]
        for dim, heads in zip(dims, arch['num_heads']):
            if dim % heads:
                raise InputError(f'{heads} attention heads do not divide the {dim} channels of their stage in the arch '
                                 f'{dict(arch)}: choose num_heads that divide embed_dims * 2 ** stage')

        self.patch_embed = nn.Conv2d(in_channels, dims[0], self.patch_size, self.patch_size)
        self.patch_norm = nn.LayerNorm(dims[0], eps=1e-6)
        self.secondary_token = nn.Parameter(torch.zeros(dims[0]))
        rates = iter(drop_path_rate * i / max(sum(self.depths) - 1, 1) for i in range(sum(self.depths)))
        self.stages = nn.ModuleList(
            Stage(dims[max(i - 1, 0)], dims[i], arch['num_heads'][i], pos_mlp_dims, list(islice(rates, depth)), merge=i > 0)
            for i, depth in enumerate(self.depths))
        if norm_cfg is not None:
            for i in self.out_indices:
                self.add_module(f'norm{i}', build_norm_layer(norm_cfg, dims[i])[1])
        self._freeze_stages()

    def init_weights(self):
        """Initialises from scratch, then from ``init_cfg`` if it names a checkpoint."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, WindowAttention):
                for layer in module.pos_mlp[::2]:
                    layer.reset_parameters()  # torch's own: at std 0.02 the bias would hardly tell offsets apart
        weight = self.patch_embed.weight
        nn.init.xavier_uniform_(weight.flatten(1))  # as a Linear, MAE's
        nn.init.normal_(self.secondary_token, std=.02)
        super().init_weights()

    def forward(self, x, mask=None):
        """Encodes images, whole or masked.

        Args:
            x (Tensor): Images (N, C, H, W), any H and W without a mask, multiples of 64 with one.
            mask (Tensor, optional): Mask map (N, H/16, W/16), see :mod:`mmum.masking`. Defaults to None: dense.

        Returns:
            tuple[Tensor]: The stages in ``out_indices``, each (N, C_i, H / 4 / 2**i, W / 4 / 2**i), or half of that
            a side with a mask: the map of the compact image.
        """
        x, positions = self.embed(x, mask)
        outputs = []
        for i, stage in enumerate(self.stages):
            if stage.downsample is not None:
                x = stage.downsample(x)
                positions = positions if mask is None else merge_positions(positions)
            layouts = self.layouts(i, x, positions)
            for j, block in enumerate(stage.blocks):
                if self.with_cp and x.requires_grad:
                    x = checkpoint(block, x, layouts[j % 2], use_reentrant=False)
                else:
                    x = block(x, layouts[j % 2])
            if i in self.out_indices:
                norm = getattr(self, f'norm{i}', nn.Identity())
                outputs.append(norm(x).permute(0, 3, 1, 2).contiguous())
        return tuple(outputs)

    def embed(self, x, mask=None):
        """Embeds patches: (N, C, H, W) -> tokens (N, H', W', C_0) and, with a mask, their true positions.

        With a mask only sampled units are embedded, and patches of secondary units become the learnable token.
        """
        if mask is None:
            # Nothing is masked; the zero keeps the token in the graph, because DDP wants a gradient of every parameter.
            bias = self.patch_embed.bias + 0 * self.secondary_token
            x = pad_to_multiple(x.permute(0, 2, 3, 1), self.patch_size).permute(0, 3, 1, 2)
            x = F.conv2d(x, self.patch_embed.weight, bias, self.patch_size).permute(0, 2, 3, 1)
            return self.patch_norm(x), None
        check_mask_map(mask, *x.shape[2:], self.unit)
        patches_per_unit = self.unit // self.patch_size
        x = self.patch_embed(gather_units(x, mask)).permute(0, 2, 3, 1)
        secondary = secondary_patches(mask, patches_per_unit)[..., None]
        x = torch.where(secondary, self.secondary_token.to(x.dtype), x)
        return self.patch_norm(x), patch_positions(mask, patches_per_unit)

    def layouts(self, stage, x, positions):
        """The window layouts of a stage: for its even blocks, and for its odd ones, which shift."""
        shifts = (0, self.window_size // 2)
        if positions is None:
            return [dense_layout(*x.shape[1:3], self.window_size, shift, self.pad_small_map, x.device) for shift in shifts]
        tokens_per_unit = self.unit / self.patch_size / 2**stage
        return [compact_layout(positions, self.window_size, shift, tokens_per_unit) for shift in shifts]

    def get_layer_depth(self, param_name, prefix=''):
        """Depth of a parameter for layer-wise learning-rate decay: (depth, number of layers).

        The embedding is 0, each block one more, the norms of the outputs the last.
        """
        num_layers = sum(self.depths) + 2
        name = param_name.removeprefix(prefix).split('.')
        if name[0] in ('patch_embed', 'patch_norm', 'secondary_token'):
            return 0, num_layers
        if name[0] != 'stages':
            return num_layers - 1, num_layers
        block = int(name[3]) if name[2] == 'blocks' else 0  # merging counts with the block after it
        return 1 + sum(self.depths[:int(name[1])]) + block, num_layers

    def train(self, mode=True):
        """Frozen stages stay in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        return self

    def _freeze_stages(self):
        if self.frozen_stages < 0:
            return
        self.secondary_token.requires_grad_(False)
        frozen = [self.patch_embed, self.patch_norm, *self.stages[:self.frozen_stages]]
        frozen += [getattr(self, f'norm{i}') for i in range(self.frozen_stages) if hasattr(self, f'norm{i}')]
        for module in frozen:
            module.eval().requires_grad_(False)
