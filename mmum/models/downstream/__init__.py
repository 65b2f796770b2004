from mmum.environment import has_operators

from .knn import KNNClassifier
from .mean_pool_norm import MeanPoolNorm

__all__ = ['KNNClassifier', 'MeanPoolNorm']

if has_operators():  # detectors need mmcv's compiled operators, pre-training does without
    from .global_attention_fpn import GlobalAttentionFPN
    from .mask_tta import MaskTTAModel

    __all__ += ['GlobalAttentionFPN', 'MaskTTAModel']
