"""Cross-attention decoder: queries of removed units attend to sampled tokens only."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmum.errors import InputError
from mmum.masking import removed_units, sampled_units
from mmum.models.base_decoder import BaseDecoder
from mmum.models.embedding import sincos_positions
from mmum.models.layers import MLP, Attention, attend, gather_tokens
from mmum.models.recompute import norm_linear


class CrossBlock(nn.Module):
    """Pre-norm block of cross-attention: x + attn(LN x, LN context), x + mlp(LN x).

    Args:
        embed_dims (int): Number of channels.
        num_heads (int): Number of attention heads.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.norm_context = nn.LayerNorm(embed_dims, eps=1e-6)
        self.attn = Attention(embed_dims, num_heads)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.mlp = MLP(embed_dims, 4 * embed_dims)

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        index: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Run the block.

        Args:
            x (Tensor): Queries (N, K, C); with ``index`` the queries (1, M, C) that the images of a
                batch have in common, which are projected once.
            context (Tensor): Keys and values (N, L, C).
            index (Tensor, optional): int64 (N, K), the common queries of every image. Defaults to
                None.
            bias (Tensor, optional): Added to the logits, (N, heads, K, L). Defaults to None.

        Returns:
            Tensor: (N, K, C).
        """
        attn = self.attn
        projected = attn.project(x, self.norm1, 'q')
        if index is not None:
            projected, x = gather_tokens(projected, index), gather_tokens(x, index)
        (q,) = attn.split_heads(projected)
        k, v = attn.split_heads(attn.project(context, self.norm_context, 'kv'))
        x = x + attn.merge_heads(attend(q, k, v, bias))
        return x + self.mlp(x, self.norm2)


@MODELS.register_module()
class UMCrossDecoder(BaseDecoder):
    """Decoder without self-attention, after CrossMAE (arXiv 2401.14391, section 3).

    Queries of removed units attend to the sampled tokens and not to each other, so any share of the
    units can be predicted, and the decoder costs a fraction of
    :class:`~mmum.models.UMDecoder`. Every block reads a mix of the stages of its own. In training
    the units are drawn anew in every step, by the generators that the training loop seeds; in
    evaluation all are predicted.

    Args:
        in_channels (int | Sequence[int]): Channels of the last stage of the backbone, or of every
            one of ``stages``.
        embed_dims (int): Width D of the decoder, a multiple of 4. Defaults to 512.
        depth (int): Number of blocks. Defaults to 2.
        num_heads (int): Number of attention heads. Defaults to 16.
        predict_ratio (float): Share of all units to predict in training, above 0 and at most 0.75,
            the removed ones. Defaults to 0.25.
        stride (int): Stride of the backbone's last output: 32 for the map of a pyramid, 16 for the
            raw tokens of a ViT. Defaults to 32.
        stages (Sequence[int], optional): Stages of a pyramid, or blocks of a ViT, to read. Defaults
            to None: the last output.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        out_channels (int): Channels of the images to predict. Defaults to 3.
        distance_bias (float): Makes attention prefer near units: logits that the steepest head
            subtracts per unit of distance, as in ALiBi (arXiv 2108.12409); the slopes of the others
            fall geometrically to half of it. Defaults to 0, the paper's: none.
        init_cfg (dict, optional): Initialisation config. Defaults to None.

    Raises:
        InputError: If an argument cannot be.
    """

    visible_positions = 'aligned'

    def __init__(
        self,
        in_channels: int | Sequence[int],
        embed_dims: int = 512,
        depth: int = 2,
        num_heads: int = 16,
        predict_ratio: float = 0.25,
        stride: int = 32,
        stages: Sequence[int] | None = None,
        unit: int = 16,
        out_channels: int = 3,
        distance_bias: float = 0.0,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        if not 0 < predict_ratio <= 0.75:
            raise InputError(
                f'predict_ratio={predict_ratio} of UMCrossDecoder should be above 0 and at most '
                '0.75, the share of removed units'
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
            num_mixes=depth,
            init_cfg=init_cfg,
        )
        self.predict_ratio = predict_ratio
        self.blocks = nn.ModuleList(CrossBlock(embed_dims, num_heads) for _ in range(depth))

    def units_to_predict(self, mask: Tensor) -> Tensor:
        """Unit raster indices of the units to predict: in training a draw of the removed ones.

        Args:
            mask (Tensor): Mask map (N, H/16, W/16).

        Returns:
            Tensor: int64 (N, K), in ascending order.
        """
        removed = removed_units(mask)
        number = max(1, round(self.predict_ratio * mask[0].numel()))
        if not self.training or number >= removed.shape[1]:
            return removed
        drawn = torch.rand(removed.shape, device=mask.device).argsort(1)[:, :number]
        return removed.gather(1, drawn.sort(1).values)

    def forward(
        self, latents: Sequence[Tensor] | Tensor, mask: Tensor, units: Tensor | None = None
    ) -> Tensor:
        """Predict units.

        Args:
            latents (Sequence[Tensor] | Tensor): As for :class:`~mmum.models.UMDecoder`.
            mask (Tensor): Mask map (N, H/16, W/16).
            units (Tensor, optional): Units to predict, by their unit raster indices (N, K).
                Defaults to None: those of :meth:`units_to_predict`.

        Returns:
            Tensor: (N, K, unit * unit * channels).
        """
        units = self.units_to_predict(mask) if units is None else units
        contexts = self.unit_tokens(latents)
        grid, dims = (mask.shape[1], mask.shape[2]), self.mask_token.shape[0]
        positions = sincos_positions(grid, dims, mask.device).to(contexts[0].dtype)
        sampled = sampled_units(mask)
        places, bias = positions[sampled], self.bias_of(units, sampled, mask)
        if bias is not None and self.is_vit:
            bias = F.pad(bias, (1, 0))  # none for the class token
        # Before the first block a query depends on its position alone: projected once per batch.
        x, index = (self.mask_token.to(positions.dtype) + positions)[None], units
        for i, block in enumerate(self.blocks):
            cls_token, tokens = self.split_class_token(contexts[i % len(contexts)])
            context = torch.cat([cls_token, tokens + places], 1)
            x = block(x, context, index if i == 0 else None, bias)
        return norm_linear(self.norm, x, self.pred.weight, self.pred.bias)
