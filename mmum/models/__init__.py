from .downstream import GlobalAttentionFPN, KNNClassifier, MaskTTAModel, MeanPoolNorm
from .um_decoder import UMDecoder
from .um_head import UMHead
from .um_mae import UMMAE
from .um_pvt import UMPVT
from .um_stock_swin import UMStockSwin
from .um_swin import UMSwin
from .um_vit import UMViT

__all__ = [
    'GlobalAttentionFPN',
    'KNNClassifier',
    'MaskTTAModel',
    'MeanPoolNorm',
    'UMDecoder',
    'UMHead',
    'UMMAE',
    'UMPVT',
    'UMStockSwin',
    'UMSwin',
    'UMViT',
]
