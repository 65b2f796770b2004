from .hooks import ReconstructionHook
from .optim import BFloat16OptimWrapper

__all__ = ['BFloat16OptimWrapper', 'ReconstructionHook']
