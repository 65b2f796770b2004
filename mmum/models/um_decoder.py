"""The light decoder: sampled and mask tokens, each at its own place, through plain blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmum.errors import InputError
from mmum.masking import sampled_units
from mmum.models.base_decoder import BaseDecoder
from mmum.models.embedding import sincos_positions
from mmum.models.layers import TransformerBlock
from mmum.models.recompute import norm_linear


@MODELS.register_module()
class UMDecoder(BaseDecoder):
    """Decoder of UM-MAE (paper: pipeline, decoder).

    Behind a pyramid, Linear to 4D channels and PixelShuffle take the map from stride 32 to stride
    16: one token per sampled unit, in cell order. A ViT has these tokens already, and a class token
    before them. They and a mask token per removed unit get their positions and run through plain
    transformer blocks, which predict the removed units.

    Args:
        in_channels (int | Sequence[int]): Channels of the last stage of the backbone, or of every
            one of ``stages``.
        embed_dims (int): Width D of the decoder, a multiple of 4. Defaults to 512.
        depth (int): Number of blocks: 2 in the paper, 8 for Swin-L. Defaults to 2.
        num_heads (int): Number of attention heads. Defaults to 16.
        visible_positions (str): 'aligned' gives every sampled token the position of its own unit.
            'official' repeats the authors' code behind a pyramid, which hands out the positions in
            unit raster order to tokens that are in cell order, so that most tokens get another's
            position: for parity, for their weights and for ablation. Behind a ViT, where their
            code has no such fault, both are the same. Defaults to 'aligned'.
        stride (int): Stride of the backbone's last output: 32 for the map of a pyramid, 16 for the
            raw tokens of a ViT. Defaults to 32.
        stages (Sequence[int], optional): Stages of a pyramid to read, each brought to one token per
            sampled unit and summed with learned weights; ``(3, )`` is the paper's, ``(2, 3)`` adds
            the stage that has one token per unit by itself. Blocks of a ViT. Defaults to None: the
            last output.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        out_channels (int): Channels of the images to predict. Defaults to 3.
        distance_bias (float): Makes attention prefer near units: logits that the steepest head
            subtracts per unit of distance, as in ALiBi (arXiv 2108.12409); the slopes of the others
            fall geometrically to half of it. Defaults to 0, the paper's: none.
        init_cfg (dict, optional): Initialisation config. Defaults to None.

    Raises:
        InputError: If an argument cannot be.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        embed_dims: int = 512,
        depth: int = 2,
        num_heads: int = 16,
        visible_positions: str = 'aligned',
        stride: int = 32,
        stages: Sequence[int] | None = None,
        unit: int = 16,
        out_channels: int = 3,
        distance_bias: float = 0.0,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        if visible_positions not in ('aligned', 'official'):
            raise InputError(
                f"visible_positions='{visible_positions}' of UMDecoder is unknown: "
                "choose 'aligned' or 'official'"
            )
        super().__init__(
            in_channels,
            embed_dims,
            depth,
            num_heads,
            stride,
            stages,
            unit,
            out_channels,
            distance_bias,
            num_mixes=1,
            init_cfg=init_cfg,
        )
        self.visible_positions = visible_positions
        self.blocks = nn.ModuleList(TransformerBlock(embed_dims, num_heads) for _ in range(depth))

    def forward(
        self, latents: Sequence[Tensor] | Tensor, mask: Tensor, units: Tensor | None = None
    ) -> Tensor:
        """Predict the removed units.

        Args:
            latents (Sequence[Tensor] | Tensor): The stages that are read, on the compact image: the
                last is (N, C, H/64, W/64). Of a ViT (N, 1 + cells, C), class token and sampled
                units in cell order.
            mask (Tensor): Mask map (N, H/16, W/16).
            units (Tensor, optional): Removed units to predict, by their unit raster indices
                (N, K). Defaults to None: all, in unit raster order.

        Returns:
            Tensor: (N, K, unit * unit * channels).
        """
        sampled = sampled_units(mask)
        units = self.units_to_predict(mask) if units is None else units
        (x,) = self.unit_tokens(latents)
        cls_token, x = self.split_class_token(x)
        if self.visible_positions == 'official' and not self.is_vit:
            sampled = sampled.sort(1).values  # unit raster order, where tokens are in cell order
        grid = (mask.shape[1], mask.shape[2])
        positions = sincos_positions(grid, x.shape[2], x.device).to(x.dtype)
        x = torch.cat([cls_token, x + positions[sampled]], 1)
        # What the first block projects of a mask token depends on its position alone: once for all
        # images of the batch.
        shared = (self.mask_token.to(x.dtype) + positions)[None], units
        placed = torch.cat([sampled, units], 1)
        bias = self.bias_of(placed, placed, mask)
        if bias is not None:  # none for the class token
            bias = F.pad(bias.to(x.dtype), (cls_token.shape[1], 0, cls_token.shape[1], 0))
        x = self.blocks[0](x, shared, self._queries(0, units), bias)
        for i, block in enumerate(self.blocks[1:], 1):
            x = block(x, num_queries=self._queries(i, units), bias=bias)
        return norm_linear(self.norm, x, self.pred.weight, self.pred.bias)

    def _queries(self, block: int, units: Tensor) -> int | None:
        """Number of queries of a block: nothing reads the last block's output of other tokens."""
        return units.shape[1] if block == len(self.blocks) - 1 else None
