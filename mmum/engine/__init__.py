from .hooks import ReconstructionHook
from .optim import BFloat16OptimWrapper
from .preflight import CheckpointMatchHook

__all__ = ['BFloat16OptimWrapper', 'CheckpointMatchHook', 'ReconstructionHook']
