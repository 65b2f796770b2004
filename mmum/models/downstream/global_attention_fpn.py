"""The global self-attention layer of HTC++."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.necks import FPN
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmum.models.layers import TransformerBlock


class GlobalAttention(BaseModule):
    """One transformer block over all tokens of the last stage, without windows (Swin paper, HTC++).

    It is a whole block, with its MLP: only then the number of parameters is the one that the Swin
    paper prints for HTC++. The last projections start at zero, so that training begins with the
    pre-trained features.

    Args:
        in_channels (int): Channels of the last stage.
        num_heads (int, optional): Number of heads; divides the channels. Defaults to 32 channels
            per head, as in Swin.
        init_cfg (dict, optional): Initialisation config. Defaults to None.
    """

    def __init__(
        self,
        in_channels: int,
        num_heads: int | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.block = TransformerBlock(in_channels, num_heads or in_channels // 32)

    def init_weights(self) -> None:
        """Initialise, and set the last projections to zero."""
        super().init_weights()
        for last in (self.block.attn.proj, self.block.mlp.fc2):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        tokens = self.block(x.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).reshape(x.shape)


@MODELS.register_module()
class GlobalAttentionFPN(FPN):
    """mmdet's ``FPN`` after a :class:`GlobalAttention` of the last stage.

    Args:
        in_channels (list[int]): Channels of the stages.
        *args: Further arguments of ``FPN``.
        num_heads (int, optional): Heads of the attention layer. Defaults to 32 channels per head,
            as in Swin.
        **kwargs: Further arguments of ``FPN``.
    """

    def __init__(
        self, in_channels: Sequence[int], *args: Any, num_heads: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, *args, **kwargs)
        self.attention = GlobalAttention(in_channels[-1], num_heads)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps of the stages -> maps of the pyramid levels."""
        return super().forward((*inputs[:-1], self.attention(inputs[-1])))
