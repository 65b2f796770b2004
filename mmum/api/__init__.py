from mmum.checkpoints import export

from .features import embed, load_backbone
from .names import register_with_mmpretrain, register_with_timm
from .pretraining import pretrain

__all__ = [
    'embed',
    'export',
    'load_backbone',
    'pretrain',
    'register_with_mmpretrain',
    'register_with_timm',
]
