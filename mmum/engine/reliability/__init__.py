from .checkpoint_hook import AtomicCheckpointHook, FaultTolerantLocalVisBackend
from .checkpoint_match import CheckpointMatchHook
from .divergence import NonFiniteGradHook
from .loops import ResumableEpochTrainLoop, ResumableIterTrainLoop
from .preemption import PreemptionHook

__all__ = [
    'AtomicCheckpointHook',
    'CheckpointMatchHook',
    'FaultTolerantLocalVisBackend',
    'NonFiniteGradHook',
    'PreemptionHook',
    'ResumableEpochTrainLoop',
    'ResumableIterTrainLoop',
]
