from .labelled import LabelledImages
from .transforms import LoadWholeImage, RandomMask, UniformMask
from .unlabelled import UnlabelledImages

__all__ = ['LabelledImages', 'LoadWholeImage', 'RandomMask', 'UniformMask', 'UnlabelledImages']
