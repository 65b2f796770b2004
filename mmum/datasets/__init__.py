from .transforms import UniformMask
from .unlabelled import UnlabelledImages

__all__ = ['UniformMask', 'UnlabelledImages']
