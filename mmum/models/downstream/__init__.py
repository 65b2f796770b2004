from .global_attention_fpn import GlobalAttentionFPN
from .knn import KNNClassifier
from .mask_tta import MaskTTAModel
from .mean_pool_norm import MeanPoolNorm

__all__ = ['GlobalAttentionFPN', 'KNNClassifier', 'MaskTTAModel', 'MeanPoolNorm']
