from .transforms import LoadWholeImage, RandomMask, UniformMask
from .unlabelled import UnlabelledImages

__all__ = ['LoadWholeImage', 'RandomMask', 'UniformMask', 'UnlabelledImages']
