from mmum.environment import can_detect

from .knn import KNNClassifier
from .mean_pool_norm import MeanPoolNorm

__all__ = ['KNNClassifier', 'MeanPoolNorm']

if can_detect():  # pre-training does without
    from .global_attention_fpn import GlobalAttentionFPN
    from .mask_tta import MaskTTAModel

    __all__ += ['GlobalAttentionFPN', 'MaskTTAModel']
