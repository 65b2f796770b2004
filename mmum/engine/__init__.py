from .blow_up import BlowUpHook
from .compile import CompileBlocksHook
from .deepspeed import ZeROOptimWrapper, ZeROStrategy
from .hooks import ReconstructionHook
from .knn import KNNHook, KNNTestLoop
from .layer_decay import LayerDecayOptimWrapperConstructor
from .loops import ExactEpochTrainLoop, ExactIterTrainLoop
from .optim import BFloat16OptimWrapper
from .preemption import PreemptionHook
from .preflight import CheckpointMatchHook
from .safe_checkpoint import SafeCheckpointHook, SafeLocalVisBackend
from .sharding import ResumableFSDPStrategy, wrap_blocks
from .zero import ShardedOptimizer

__all__ = [
    'BFloat16OptimWrapper', 'BlowUpHook', 'CheckpointMatchHook', 'CompileBlocksHook', 'ExactEpochTrainLoop',
    'ExactIterTrainLoop', 'KNNHook', 'KNNTestLoop', 'LayerDecayOptimWrapperConstructor', 'PreemptionHook',
    'ReconstructionHook', 'ResumableFSDPStrategy', 'SafeCheckpointHook', 'SafeLocalVisBackend', 'ShardedOptimizer',
    'ZeROOptimWrapper', 'ZeROStrategy', 'wrap_blocks'
]
