from .config import load_config, prepare
from .console import ProgressLogProcessor
from .detection_hook import DetectionPicturesHook
from .knn import KNNHook, KNNTestLoop
from .layer_decay import LayerDecayOptimWrapperConstructor
from .reconstruction_hook import ReconstructionHook
from .reliability import (
    AtomicCheckpointHook,
    CheckpointMatchHook,
    FaultTolerantLocalVisBackend,
    NonFiniteGradHook,
    PreemptionHook,
    ResumableEpochTrainLoop,
    ResumableIterTrainLoop,
)
from .runner import FaultTolerantFlexibleRunner, FaultTolerantRunner
from .scale import (
    BFloat16OptimWrapper,
    CompileBlocksHook,
    ResumableFSDPStrategy,
    ShardedOptimizer,
    ZeROOptimWrapper,
    ZeROStrategy,
    wrap_blocks,
)
from .segmentation_hook import SegmentationPicturesHook
from .trivial_hook import TrivialAnswersHook
from .utilisation_hook import UtilisationHook

__all__ = [
    'AtomicCheckpointHook',
    'BFloat16OptimWrapper',
    'CheckpointMatchHook',
    'CompileBlocksHook',
    'DetectionPicturesHook',
    'FaultTolerantFlexibleRunner',
    'FaultTolerantLocalVisBackend',
    'FaultTolerantRunner',
    'KNNHook',
    'KNNTestLoop',
    'LayerDecayOptimWrapperConstructor',
    'NonFiniteGradHook',
    'PreemptionHook',
    'ProgressLogProcessor',
    'ReconstructionHook',
    'ResumableEpochTrainLoop',
    'ResumableFSDPStrategy',
    'ResumableIterTrainLoop',
    'SegmentationPicturesHook',
    'ShardedOptimizer',
    'TrivialAnswersHook',
    'UtilisationHook',
    'ZeROOptimWrapper',
    'ZeROStrategy',
    'load_config',
    'prepare',
    'wrap_blocks',
]
