"""From the last map to one vector per image."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class MeanPoolNorm(BaseModule):
    """Mean over all positions, then a norm (the authors' fine-tuning: mean pooling, then LN).

    Args:
        in_channels (int | None): Number of channels; None without a norm.
        norm_cfg (dict, optional): The norm; None for none. Defaults to
            ``dict(type='LN', eps=1e-6)``.
        init_cfg (dict, optional): Initialisation config. Defaults to None.
    """

    def __init__(
        self,
        in_channels: int | None,
        norm_cfg: Mapping[str, Any] | None = dict(type='LN', eps=1e-6),
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.norm = nn.Identity()
        if norm_cfg is not None:
            self.norm = build_norm_layer(norm_cfg, in_channels)[1]

    def forward(self, x: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Pool maps (N, C, H, W); vectors (N, C), which are means already, are only normed."""
        return tuple(self.norm(y.mean((2, 3)) if y.dim() == 4 else y) for y in x)
