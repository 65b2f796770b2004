from .insta_boost import SafeInstaBoost
from .labelled import LabelledImages
from .load_crop_resize import LoadCropResize
from .repeat_sampler import RepeatSampler
from .transforms import LoadWholeImage, RandomMask, UniformMask
from .unlabelled import UnlabelledImages

__all__ = [
    'LabelledImages', 'LoadCropResize', 'LoadWholeImage', 'RandomMask', 'RepeatSampler', 'SafeInstaBoost',
    'UniformMask', 'UnlabelledImages'
]
