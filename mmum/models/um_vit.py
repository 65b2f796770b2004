"""A plain ViT with uniform masking, dense or on the sampled units: one class for both."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmum.errors import InputError
from mmum.masking import check_mask_map, sampled_units
from mmum.models.backbone_mixin import BackboneMixin
from mmum.models.embedding import embed_compact, embed_dense, resize_positions, sincos_positions
from mmum.models.layers import TransformerBlock, init_transformer


@MODELS.register_module()
class UMViT(BackboneMixin, BaseModule):
    """ViT backbone of UM-MAE (paper: pre-training of plain ViT).

    A patch is a mask unit; with a mask, the tokens are the sampled units in cell order. Dense for
    transfer, on the sampled units for pre-training.

    Args:
        arch (str | dict): 'base', 'large', 'huge', or a dict with ``embed_dims``, ``num_layers``,
            ``num_heads`` and ``feedforward_channels``. Defaults to 'base'.
        img_size (int | tuple[int, int]): Image size of the fixed position embedding, one side or
            (height, width) in pixels. Dense images of other sizes get it resized bicubically.
            Defaults to 224.
        patch_size (int): Side of a patch in pixels. Defaults to 16.
        in_channels (int): Channels of the images. Defaults to 3.
        learn_positions (bool): Whether the position embedding of the patches, which starts as
            sin-cos, is a parameter (as in the authors' and MAE's fine-tuned files) instead of
            fixed. Dense only. Defaults to False.
        out_type (str): 'featmap' for maps, 'cls_token' for the class token (N, C), 'avg_featmap'
            for the mean of the patches (N, C), 'raw' for all tokens (N, 1 + L, C) with the class
            token first, which pre-training takes. Defaults to 'featmap'.
        drop_path_rate (float): Stochastic depth of the last block; the rate grows linearly from 0.
            Defaults to 0.
        out_indices (int | Sequence[int]): Blocks to return; -1 is the last. Defaults to (-1, ).
        with_cp (bool): Activation checkpointing of every block in training. Defaults to False.
        frozen_stages (int): Freeze the embedding (0) and this many blocks after it. Defaults to
            -1: nothing.
        norm_cfg (dict, optional): Norm of every returned block; None for none. Defaults to
            ``dict(type='LN', eps=1e-6)``.
        init_cfg (dict, optional): For example
            ``dict(type='BackboneCheckpoint', checkpoint='FILE')``. Defaults to None.

    Raises:
        InputError: If the arch, ``out_indices`` or ``out_type`` cannot be.
    """

    arch_zoo = dict(
        base=dict(embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072),
        large=dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
        huge=dict(embed_dims=1280, num_layers=32, num_heads=16, feedforward_channels=5120),
    )
    arch_keys = ('embed_dims', 'num_layers', 'num_heads', 'feedforward_channels')
    out_types = ('featmap', 'cls_token', 'avg_featmap', 'raw')

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'base',
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        learn_positions: bool = False,
        out_type: str = 'featmap',
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = (-1,),
        with_cp: bool = False,
        frozen_stages: int = -1,
        norm_cfg: Mapping[str, Any] | None = dict(type='LN', eps=1e-6),
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        arch = self.resolve_arch(arch)
        if out_type not in self.out_types:
            raise InputError(
                f"out_type='{out_type}' of UMViT is unknown: choose one of "
                f'{", ".join(self.out_types)}'
            )
        dims, depth, num_heads = (arch[key] for key in ('embed_dims', 'num_layers', 'num_heads'))
        self.check_heads([dims], [num_heads])
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid = (height // patch_size, width // patch_size)
        self.patch_size, self.out_type, self.with_cp = patch_size, out_type, with_cp
        self.frozen_stages, self.depths = frozen_stages, (1,) * depth
        self.out_indices = self.resolve_out_indices(out_indices, depth)
        self.patch_embed = nn.Conv2d(in_channels, dims, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(dims))
        self.secondary_token = nn.Parameter(torch.zeros(dims))
        self.pos_embed = None
        if learn_positions:
            positions = sincos_positions(self.grid, dims, torch.device('cpu'))
            self.pos_embed = nn.Parameter(positions.clone())
        self.blocks = nn.ModuleList(
            TransformerBlock(
                dims,
                num_heads,
                arch['feedforward_channels'] / dims,
                drop_path=drop_path_rate * i / max(depth - 1, 1),
            )
            for i in range(depth)
        )
        if norm_cfg is not None:
            for i in self.out_indices:
                self.add_module(f'norm{i}', build_norm_layer(norm_cfg, dims)[1])
        self.freeze_stages()

    def stage_of(self, name: str) -> int:
        """Stage of a parameter or module: a block is a stage of its own."""
        return super().stage_of(re.sub(r'^blocks\.', 'stages.', name))

    def init_weights(self) -> None:
        """Initialise from scratch as MAE does, then from ``init_cfg`` if it names a checkpoint."""
        self.apply(init_transformer)
        nn.init.xavier_uniform_(self.patch_embed.weight.flatten(1))
        nn.init.normal_(self.cls_token, std=0.02)
        nn.init.normal_(self.secondary_token, std=0.02)
        super().init_weights()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode images, whole or masked.

        Args:
            x (Tensor): Images (N, C, H, W): of any size without a mask, multiples of two patches
                with one.
            mask (Tensor, optional): Mask map (N, H/16, W/16); see :mod:`mmum.masking`. Defaults to
                None: dense.

        Returns:
            tuple[Tensor]: The blocks in ``out_indices`` as ``out_type`` says. Maps are
            (N, C, H/16, W/16); with a mask half of that per side: the map of the compact image.
        """
        self.check_has_weights()
        x = self.embed(x, mask)  # (N, h, w, C)
        n, height, width, c = x.shape
        x = torch.cat([self.cls_token.to(x.dtype).expand(n, 1, -1), x.flatten(1, 2)], 1)
        outputs = []
        for i, block in enumerate(self.blocks):
            if self.with_cp and x.requires_grad:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
            if i in self.out_indices:
                norm = getattr(self, f'norm{i}', nn.Identity())
                outputs.append(self._format(norm(x), height, width))
        return tuple(outputs)

    def _format(self, x: Tensor, height: int, width: int) -> Tensor:
        if self.out_type == 'raw':
            return x
        if self.out_type == 'cls_token':
            return x[:, 0]
        if self.out_type == 'avg_featmap':
            return x[:, 1:].mean(1)
        return x[:, 1:].transpose(1, 2).reshape(len(x), -1, height, width)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embed patches with their positions; with a mask those of the sampled units alone.

        Args:
            x (Tensor): Images (N, C, H, W).
            mask (Tensor, optional): Mask map. Defaults to None: dense.

        Returns:
            Tensor: (N, h, w, C); with a mask, in cell order.
        """
        height, width = (-(-side // self.patch_size) for side in x.shape[2:])
        if mask is None:
            x = embed_dense(x, self.patch_embed, self.secondary_token)
            table = self.pos_embed
            if table is None:
                table = sincos_positions(self.grid, x.shape[3], x.device)
            return x + resize_positions(table, self.grid, (height, width)).to(x.dtype)
        check_mask_map(mask, x.shape[2], x.shape[3], self.patch_size, self.patch_size)
        x = embed_compact(x, mask, self.patch_embed, self.secondary_token)
        if self.pos_embed is None:
            table = sincos_positions((height, width), x.shape[3], x.device)
        else:
            table = resize_positions(self.pos_embed, self.grid, (height, width)).flatten(0, -2)
        return x + table.to(x.dtype)[sampled_units(mask)].view_as(x)
