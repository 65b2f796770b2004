from .compile import CompileBlocksHook
from .precision import BFloat16DetectorOptimWrapper, BFloat16OptimWrapper, cpu_has_bfloat16
from .strategies import (
    ResumableFSDPStrategy,
    ShardedOptimizer,
    ZeROOptimWrapper,
    ZeROStrategy,
    wrap_blocks,
)

__all__ = [
    'BFloat16DetectorOptimWrapper',
    'BFloat16OptimWrapper',
    'CompileBlocksHook',
    'ResumableFSDPStrategy',
    'ShardedOptimizer',
    'ZeROOptimWrapper',
    'ZeROStrategy',
    'cpu_has_bfloat16',
    'wrap_blocks',
]
