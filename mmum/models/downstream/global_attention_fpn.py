"""The global self-attention layer of HTC++."""
from mmdet.models.necks import FPN
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

from mmum.models.layers import TransformerBlock


class GlobalAttention(BaseModule):
    """One transformer block over all tokens of the last stage, without windows (the Swin paper, HTC++).

    A whole block, with its MLP: the parameters that the Swin paper prints for HTC++ are those with it. The last projections
    start at zero, so that a training begins with the features that were pre-trained.

    Args:
        in_channels (int): Channels of the last stage.
        num_heads (int): Heads; they divide the channels. Defaults to 32 channels a head, as in Swin.
        init_cfg (dict, optional): For ``BaseModule``. Defaults to None.
    """

    def __init__(self, in_channels, num_heads=None, init_cfg=None):
        super().__init__(init_cfg)
        self.block = TransformerBlock(in_channels, num_heads or in_channels // 32)

    def init_weights(self):
        super().init_weights()
        for last in (self.block.attn.proj, self.block.mlp.fc2):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, last):
        """(N, C, H, W) -> the same."""
        x = self.block(last.flatten(2).transpose(1, 2))
        return x.transpose(1, 2).reshape(last.shape)


@MODELS.register_module()
class GlobalAttentionFPN(FPN):
    """mmdet's ``FPN`` after a :class:`GlobalAttention` of the last stage.

    Args:
        in_channels (list[int]): Channels of the stages.
        num_heads (int): Heads of the attention layer. Defaults to 32 channels a head, as in Swin.
        **kwargs: Of ``FPN``.
    """

    def __init__(self, in_channels, *args, num_heads=None, **kwargs):
        super().__init__(in_channels, *args, **kwargs)
        self.attention = GlobalAttention(in_channels[-1], num_heads)

    def forward(self, inputs):
        return super().forward((*inputs[:-1], self.attention(inputs[-1])))
