"""From the last map to one vector an image."""
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn


@MODELS.register_module()
class MeanPoolNorm(BaseModule):
    """Mean over all positions, then a norm (the recipes: mean pool then LN).

    Args:
        in_channels (int): Channels.
        norm_cfg (dict, optional): None for none. Defaults to ``dict(type='LN', eps=1e-6)``.
        init_cfg (dict, optional): Initialisation config. Defaults to None.
    """

    def __init__(self, in_channels, norm_cfg=dict(type='LN', eps=1e-6), init_cfg=None):
        super().__init__(init_cfg)
        self.norm = nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, in_channels)[1]

    def forward(self, x):
        """A tuple of maps (N, C, H, W), or of vectors (N, C) that are means already -> a tuple of (N, C)."""
        return tuple(self.norm(one.mean((2, 3)) if one.dim() == 4 else one) for one in x)
