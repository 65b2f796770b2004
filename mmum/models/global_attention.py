"""The global self-attention layer of HTC++."""
from mmdet.models.necks import FPN
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

from mmum.models.layers import Attention, attend


class GlobalAttention(BaseModule):
    """One self-attention layer over all tokens of the last stage (the Swin paper, HTC++).

    ``x + attn(LN x)``, without positions. Its last projection starts at zero, so that a training begins with the features that
    were pre-trained.

    Args:
        in_channels (int): Channels of the last stage.
        num_heads (int): Heads; they divide the channels. Defaults to 32 channels a head, as in Swin.
        init_cfg (dict, optional): For ``BaseModule``. Defaults to None.
    """

    def __init__(self, in_channels, num_heads=None, init_cfg=None):
        super().__init__(init_cfg)
        self.norm = nn.LayerNorm(in_channels, eps=1e-5)
        self.attn = Attention(in_channels, num_heads or in_channels // 32)

    def init_weights(self):
        super().init_weights()
        nn.init.zeros_(self.attn.proj.weight)
        nn.init.zeros_(self.attn.proj.bias)

    def forward(self, last):
        """(N, C, H, W) -> the same."""
        n, c, height, width = last.shape
        x = last.flatten(2).transpose(1, 2)
        q, k, v = self.attn.split_heads(self.attn.project(x, self.norm))
        x = x + self.attn.merge_heads(attend(q, k, v, fused=True))
        return x.transpose(1, 2).reshape(n, c, height, width)


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
