from .compile import CompileBlocksHook
from .hooks import ReconstructionHook
from .knn import KNNHook, KNNTestLoop
from .layer_decay import LayerDecayOptimWrapperConstructor
from .optim import BFloat16OptimWrapper
from .preflight import CheckpointMatchHook
from .safe_checkpoint import SafeCheckpointHook
from .sharding import wrap_blocks
from .zero import ShardedOptimizer

__all__ = [
    'BFloat16OptimWrapper', 'CheckpointMatchHook', 'CompileBlocksHook', 'KNNHook', 'KNNTestLoop',
    'LayerDecayOptimWrapperConstructor', 'ReconstructionHook', 'SafeCheckpointHook', 'ShardedOptimizer', 'wrap_blocks'
]
