from .bands import LoadBands
from .insta_boost import OpenCVInstaBoost
from .loading import LoadCropResize, LoadImageStrict
from .masks import RandomMask, UniformMask

__all__ = [
    'LoadBands',
    'LoadCropResize',
    'LoadImageStrict',
    'OpenCVInstaBoost',
    'RandomMask',
    'UniformMask',
]
