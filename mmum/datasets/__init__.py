from .labelled import LabelledImages
from .load_crop_resize import LoadCropResize
from .transforms import LoadWholeImage, RandomMask, UniformMask
from .unlabelled import UnlabelledImages

__all__ = ['LabelledImages', 'LoadCropResize', 'LoadWholeImage', 'RandomMask', 'UniformMask', 'UnlabelledImages']
