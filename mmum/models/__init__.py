from .downstream import *  # noqa: F403
from .downstream import __all__ as _downstream
from .um_cross_decoder import UMCrossDecoder
from .um_decoder import UMDecoder
from .um_head import UMHead
from .um_mae import UMMAE
from .um_pvt import UMPVT
from .um_stock_swin import UMStockSwin
from .um_swin import UMSwin
from .um_vit import UMViT

__all__ = [
    'UMCrossDecoder',
    'UMDecoder',
    'UMHead',
    'UMMAE',
    'UMPVT',
    'UMStockSwin',
    'UMSwin',
    'UMViT',
]
__all__ += _downstream
