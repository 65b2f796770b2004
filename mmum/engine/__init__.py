from .hooks import ReconstructionHook
from .knn import KNNHook, KNNTestLoop
from .layer_decay import LayerDecayOptimWrapperConstructor
from .optim import BFloat16OptimWrapper
from .preflight import CheckpointMatchHook

__all__ = ['BFloat16OptimWrapper', 'CheckpointMatchHook', 'KNNHook', 'KNNTestLoop', 'LayerDecayOptimWrapperConstructor',
           'ReconstructionHook']
