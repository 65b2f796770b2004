"""The light decoder: sampled and mask tokens, each at its own place, through plain blocks."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmum.errors import InputError
from mmum.masking import removed_units, sampled_units
from mmum.models.embedding import sincos_positions
from mmum.models.layers import TransformerBlock, init_transformer
from mmum.models.recompute import norm_linear


@MODELS.register_module()
class UMDecoder(BaseModule):
    """Decoder of UM-MAE (paper: pipeline, decoder).

    Behind a pyramid, Linear to 4D channels and PixelShuffle take the map from stride 32 to stride
    16: one token per sampled unit, in cell order. A ViT has these tokens already, and a class token
    before them. They and a mask token per removed unit get their positions and run through plain
    transformer blocks, which predict the removed units.

    Args:
        in_channels (int): Channels of the last stage of the backbone.
        embed_dims (int): Width D of the decoder, a multiple of 4. Defaults to 512.
        depth (int): Number of blocks: 2 in the paper, 8 for Swin-L. Defaults to 2.
        num_heads (int): Number of attention heads. Defaults to 16.
        visible_positions (str): 'aligned' gives every sampled token the position of its own unit.
            'official' repeats the authors' code behind a pyramid, which hands out the positions in
            unit raster order to tokens that are in cell order, so that most tokens get another's
            position: for parity, for their weights and for ablation. Behind a ViT, where their
            code has no such fault, both are the same. Defaults to 'aligned'.
        stride (int): Stride of the backbone's output: 32 for the map of a pyramid, 16 for the raw
            tokens of a ViT. Defaults to 32.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        out_channels (int): Channels of the images to predict. Defaults to 3.
        init_cfg (dict, optional): Initialisation config. Defaults to None.

    Raises:
        InputError: If an argument cannot be.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int = 512,
        depth: int = 2,
        num_heads: int = 16,
        visible_positions: str = 'aligned',
        stride: int = 32,
        unit: int = 16,
        out_channels: int = 3,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if visible_positions not in ('aligned', 'official'):
            raise InputError(
                f"visible_positions='{visible_positions}' of UMDecoder is unknown: "
                "choose 'aligned' or 'official'"
            )
        if embed_dims % num_heads or embed_dims % 4:
            raise InputError(
                f'embed_dims={embed_dims} of UMDecoder should be a multiple of 4 and '
                f'of its num_heads={num_heads}'
            )
        if depth < 1:
            raise InputError(f'depth={depth} of UMDecoder should be at least 1 block')
        if stride not in (unit, 2 * unit):
            raise InputError(
                f'stride={stride} of UMDecoder should be {2 * unit} (a pyramid) or {unit} (a ViT)'
            )
        self.visible_positions, self.upscale = visible_positions, stride // unit
        self.embed = nn.Linear(in_channels, self.upscale**2 * embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(embed_dims))
        self.blocks = nn.ModuleList(TransformerBlock(embed_dims, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.pred = nn.Linear(embed_dims, unit**2 * out_channels)

    def init_weights(self) -> None:
        """Initialise as MAE does."""
        self.apply(init_transformer)
        nn.init.normal_(self.mask_token, std=0.02)
        super().init_weights()

    def forward(self, latent: Tensor, mask: Tensor) -> Tensor:
        """Predict the removed units.

        Args:
            latent (Tensor): (N, C, H/64, W/64), the last stage on the compact image; of a ViT
                (N, 1 + cells, C), class token and sampled units in cell order.
            mask (Tensor): Mask map (N, H/16, W/16).

        Returns:
            Tensor: (N, removed units, unit * unit * channels), units in unit raster order.
        """
        sampled, removed = sampled_units(mask), removed_units(mask)
        if self.upscale == 1:
            x = self.embed(latent)
            cls_token, x = x[:, :1], x[:, 1:]  # the class token has no position
        else:
            # (N, h, w, C) -> (N, 4D, h, w) -> (N, D, 2h, 2w) -> (N, cells, D), in cell order
            x = self.embed(latent.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            x = F.pixel_shuffle(x, self.upscale).flatten(2).transpose(1, 2)
            cls_token = x[:, :0]
            if self.visible_positions == 'official':
                sampled = sampled.sort(
                    1
                ).values  # unit raster order, where tokens are in cell order
        grid = (mask.shape[1], mask.shape[2])
        positions = sincos_positions(grid, x.shape[2], x.device).to(x.dtype)
        x = torch.cat([cls_token, x + positions[sampled]], 1)
        # What the first block projects of a mask token depends on its position alone: once for all
        # images of the batch.
        shared = (self.mask_token.to(x.dtype) + positions)[None], removed
        x = self.blocks[0](x, shared, self._queries(0, removed))
        for i, block in enumerate(self.blocks[1:], 1):
            x = block(x, num_queries=self._queries(i, removed))
        return norm_linear(self.norm, x, self.pred.weight, self.pred.bias)

    def _queries(self, block: int, removed: Tensor) -> int | None:
        """Number of queries of a block: nothing reads the last block's output of other tokens."""
        return removed.shape[1] if block == len(self.blocks) - 1 else None
