from .blow_up import NonFiniteGradHook
from .compile import CompileBlocksHook
from .deepspeed import ZeROOptimWrapper, ZeROStrategy
from .hooks import ReconstructionHook
from .knn import KNNHook, KNNTestLoop
from .layer_decay import LayerDecayOptimWrapperConstructor
from .loops import ResumableEpochTrainLoop, ResumableIterTrainLoop
from .optim import BFloat16OptimWrapper
from .preemption import PreemptionHook
from .preflight import CheckpointMatchHook
from .safe_checkpoint import AtomicCheckpointHook, FaultTolerantLocalVisBackend
from .sharding import ResumableFSDPStrategy, wrap_blocks
from .zero import ShardedOptimizer

__all__ = [
    'BFloat16OptimWrapper', 'NonFiniteGradHook', 'CheckpointMatchHook', 'CompileBlocksHook', 'ResumableEpochTrainLoop',
    'ResumableIterTrainLoop', 'KNNHook', 'KNNTestLoop', 'LayerDecayOptimWrapperConstructor', 'PreemptionHook',
    'ReconstructionHook', 'ResumableFSDPStrategy', 'AtomicCheckpointHook', 'FaultTolerantLocalVisBackend', 'ShardedOptimizer',
    'ZeROOptimWrapper', 'ZeROStrategy', 'wrap_blocks'
]
