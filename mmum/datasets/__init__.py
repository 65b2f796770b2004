from .transforms import RandomMask, UniformMask
from .unlabelled import UnlabelledImages

__all__ = ['RandomMask', 'UniformMask', 'UnlabelledImages']
