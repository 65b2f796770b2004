"""Base class of the decoders: one token per sampled unit, from one stage or several."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmum.errors import InputError
from mmum.masking import removed_units
from mmum.models.layers import init_transformer

PATCH_STRIDE = 4  # of the first stage of a pyramid


class BaseDecoder(BaseModule):
    """Read the outputs of a backbone, and predict pixels of units.

    Every output that is read is brought to one token of D channels per sampled unit, in cell
    order: a coarser map (stride 32) by Linear and PixelShuffle, one of stride 16 by a Linear, a
    finer map is average-pooled first. Several are summed with learned weights. The outputs come
    normed from the backbone.

    Args:
        in_channels (int | Sequence[int]): Channels of the outputs that are read, in the order of
            ``stages``.
        embed_dims (int): Width D of the decoder, a multiple of 4.
        depth (int): Number of blocks.
        num_heads (int): Number of attention heads.
        stride (int): Stride of the last output that is read: 32 for the last map of a pyramid, 16
            for the raw tokens of a ViT.
        stages (Sequence[int], optional): Stages of a pyramid (0 to 3), or blocks of a ViT, to read.
            :class:`~mmum.models.UMMAE` lets the backbone return them. None: the last output.
        unit (int): Side of a mask unit in pixels.
        out_channels (int): Channels of the images to predict.
        distance_bias (float): Logits per unit of distance, see :meth:`bias_of`.
        num_mixes (int): Sums of the stages, each with weights of its own.
        init_cfg (dict, optional): Initialisation config.

    Raises:
        InputError: If an argument cannot be.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        embed_dims: int,
        depth: int,
        num_heads: int,
        stride: int,
        stages: Sequence[int] | None,
        unit: int,
        out_channels: int,
        distance_bias: float,
        num_mixes: int,
        init_cfg: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        if embed_dims % num_heads or embed_dims % 4:
            raise InputError(
                f'embed_dims={embed_dims} of {name} should be a multiple of 4 and '
                f'of its num_heads={num_heads}'
            )
        if depth < 1:
            raise InputError(f'depth={depth} of {name} should be at least 1 block')
        if stride not in (unit, 2 * unit):
            raise InputError(
                f'stride={stride} of {name} should be {2 * unit} (a pyramid) or {unit} (a ViT)'
            )
        if distance_bias < 0:
            raise InputError(f'distance_bias={distance_bias:g} of {name} should not be negative')
        channels = [in_channels] if isinstance(in_channels, int) else list(in_channels)
        self.stages = None if stages is None else tuple(stages)
        number = 1 if self.stages is None else len(self.stages)
        if len(channels) != number or number < 1 or len(set(self.stages or [0])) != number:
            raise InputError(
                f'stages={stages} of {name} should be different ones, and in_channels='
                f'{in_channels} one number for each'
            )
        self.is_vit = stride == unit
        self.num_heads, self.distance_bias = num_heads, distance_bias
        strides = [self._stride_of(stage, unit) for stage in self.stages or ()] or [stride]
        self.scales = [s / unit for s in strides]  # units along the side of a token
        if max(self.scales) > 2:
            raise InputError(f'stages={stages} of {name} should be from 0 to 3')
        # the last keeps the name that it has in checkpoints of one stage
        self.embed = self._projection(channels[-1], embed_dims, self.scales[-1])
        self.laterals = nn.ModuleList(
            self._projection(c, embed_dims, scale) for c, scale in zip(channels[:-1], self.scales)
        )
        if number > 1:
            self.stage_weights = nn.Parameter(torch.ones(num_mixes * number))  # 1-D: no decay
        self.mask_token = nn.Parameter(torch.zeros(embed_dims))
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.pred = nn.Linear(embed_dims, unit**2 * out_channels)

    def _stride_of(self, stage: int, unit: int) -> int:
        return unit if self.is_vit else PATCH_STRIDE * 2**stage

    @staticmethod
    def _projection(channels: int, embed_dims: int, scale: float) -> nn.Linear:
        return nn.Linear(channels, embed_dims * max(1, int(scale)) ** 2)

    def init_weights(self) -> None:
        """Initialise as MAE does."""
        self.apply(init_transformer)
        nn.init.normal_(self.mask_token, std=0.02)
        super().init_weights()

    def units_to_predict(self, mask: Tensor) -> Tensor:
        """Unit raster indices of the units to predict in this step: all removed ones.

        Args:
            mask (Tensor): Mask map (N, H/16, W/16).

        Returns:
            Tensor: int64 (N, K).
        """
        return removed_units(mask)

    def unit_tokens(self, latents: Sequence[Tensor] | Tensor) -> list[Tensor]:
        """Bring outputs of the backbone to one token per sampled unit.

        Args:
            latents (Sequence[Tensor] | Tensor): Maps on the compact image, or raw tokens of a ViT.

        Returns:
            list[Tensor]: One (N, cells, D) per mix, in cell order; of a ViT (N, 1 + cells, D), the
            class token first.
        """
        latents = [latents] if isinstance(latents, Tensor) else list(latents)
        projections = [*self.laterals, self.embed]
        tokens = [
            self._tokens_of(latent, projection, scale)
            for latent, projection, scale in zip(latents, projections, self.scales)
        ]
        if len(tokens) == 1:
            return tokens
        stacked = torch.stack(tokens, -1)  # (N, cells, D, stages)
        mixes = self.stage_weights.to(stacked.dtype).view(-1, len(tokens))
        return [stacked @ mix for mix in mixes]

    def _tokens_of(self, latent: Tensor, projection: nn.Module, scale: float) -> Tensor:
        """One output as tokens (N, cells, D)."""
        if self.is_vit:
            return projection(latent)
        if scale < 1:
            latent = F.avg_pool2d(latent, round(1 / scale))
        # (N, h, w, C) -> (N, D * upscale ** 2, h, w) -> (N, D, ...) -> (N, cells, D), in cell order
        x = projection(latent.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if scale > 1:
            x = F.pixel_shuffle(x, int(scale))
        return x.flatten(2).transpose(1, 2)

    def bias_of(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor | None:
        """Bias by which the attention of a unit prefers near units, without anything to learn.

        A logit loses ``slope * distance``, with the Euclidean distance in units, as in ALiBi (arXiv
        2108.12409). The slopes of the heads fall geometrically, from ``distance_bias`` to half of
        it.

        Args:
            queries (Tensor): Unit raster indices (N, K).
            keys (Tensor): Unit raster indices (N, L).
            mask (Tensor): Mask map (N, H/16, W/16).

        Returns:
            Tensor | None: float32 (N, heads, K, L); None without a ``distance_bias``.
        """
        if not self.distance_bias:
            return None
        columns, heads = mask.shape[2], torch.arange(self.num_heads, device=mask.device)
        slopes = self.distance_bias * 0.5 ** (heads / max(1, self.num_heads - 1))
        rows_apart = queries[:, :, None] // columns - keys[:, None] // columns
        columns_apart = queries[:, :, None] % columns - keys[:, None] % columns
        distance = (rows_apart**2 + columns_apart**2).float().sqrt()
        return -slopes[:, None, None] * distance[:, None]

    def split_class_token(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class token, which has no position and is empty behind a pyramid, and unit tokens."""
        return (x[:, :1], x[:, 1:]) if self.is_vit else (x[:, :0], x)
