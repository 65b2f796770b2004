from .insta_boost import OpenCVInstaBoost
from .labelled import LabelledImages
from .load_crop_resize import LoadCropResize
from .repeat_sampler import RepeatSampler
from .transforms import LoadImageStrict, RandomMask, UniformMask
from .unlabelled import UnlabelledImages

__all__ = [
    'LabelledImages', 'LoadCropResize', 'LoadImageStrict', 'RandomMask', 'RepeatSampler', 'OpenCVInstaBoost',
    'UniformMask', 'UnlabelledImages'
]
