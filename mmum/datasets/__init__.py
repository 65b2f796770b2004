from .coco import *  # noqa: F403
from .labelled import LabelledImages
from .repeat_sampler import RepeatSampler
from .segmentation import *  # noqa: F403
from .transforms import (
    LoadBands,
    LoadCropResize,
    LoadImageStrict,
    OpenCVInstaBoost,
    RandomMask,
    UniformMask,
)
from .unlabelled import UnlabelledImages

__all__ = [
    'LabelledImages',
    'LoadBands',
    'LoadCropResize',
    'LoadImageStrict',
    'OpenCVInstaBoost',
    'RandomMask',
    'RepeatSampler',
    'UniformMask',
    'UnlabelledImages',
]
