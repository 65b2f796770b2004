"""Data transforms."""
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.registry import TRANSFORMS
from PIL import Image

from mmum.datasets.checks.images import check_mode
from mmum.errors import InputError
from mmum.masking import SECONDARY, VISIBLE, check_input_size, sample_mask_map


def _grid(input_size, unit, stride, name):
    """Checks an input size, and gives the grid of units."""
    size = (input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if len(size) != 2:
        raise InputError(f'input_size={input_size} of {name} should be one side or (height, width)')
    check_input_size(*size, unit, stride)
    return size[0] // unit, size[1] // unit


@TRANSFORMS.register_module()
class UniformMask(BaseTransform):
    """Draws the mask map of uniform sampling and secondary masking (the paper: Uniform Sampling, Secondary Masking).

    It reads nothing from the results. Randomness is numpy's global one, which mmengine seeds: the same seed gives the
    same masks, and data-loading workers and ranks differ.

    **Added Keys:**

    - mask (np.uint8, (H / unit, W / unit)): 0 visible, 1 secondary, 2 removed.

    Args:
        input_size (int | tuple[int, int]): Size of the images in pixels, one side or (h, w), multiples of twice the stride.
            Defaults to 256.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        secondary_ratio (float): Share of the sampled units that lose their content, 0 to 1. Defaults to 0.25.
        stride (int): Stride of the backbone: 32 for a pyramid, 16 for a ViT. Defaults to 32.

    Raises:
        InputError: If the size or the ratio cannot be.
    """

    def __init__(self, input_size=256, unit=16, secondary_ratio=0.25, stride=32):
        self.grid = _grid(input_size, unit, stride, 'UniformMask')
        if not 0 <= secondary_ratio <= 1:
            raise InputError(f'secondary_ratio={secondary_ratio} of UniformMask should lie between 0 and 1')
        self.secondary_ratio = secondary_ratio

    def transform(self, results):
        results['mask'] = sample_mask_map(self.grid, self.secondary_ratio)
        return results

    def __repr__(self):
        return f'{type(self).__name__}(grid={self.grid}, secondary_ratio={self.secondary_ratio})'


@TRANSFORMS.register_module()
class RandomMask(BaseTransform):
    """Draws a mask map of units chosen at random, for SimMIM: masked units keep their place, none is removed.

    It reads nothing from the results; randomness is numpy's global one.

    **Added Keys:**

    - mask (np.uint8, (H / unit, W / unit)): 0 visible, 1 secondary (masked).

    Args:
        input_size (int | tuple[int, int]): Size of the images in pixels, one side or (h, w), multiples of 64. Defaults to
            256.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        mask_ratio (float): Share of the units that are masked, rounded to whole units. Defaults to 0.75.

    Raises:
        InputError: If the size or the ratio cannot be.
    """

    def __init__(self, input_size=256, unit=16, mask_ratio=0.75):
        self.grid = _grid(input_size, unit, 32, 'RandomMask')
        if not 0 <= mask_ratio <= 1:
            raise InputError(f'mask_ratio={mask_ratio} of RandomMask should lie between 0 and 1')
        self.num_masked = round(self.grid[0] * self.grid[1] * mask_ratio)

    def transform(self, results):
        mask = np.full(self.grid, VISIBLE, np.uint8)
        mask.flat[np.random.permutation(mask.size)[:self.num_masked]] = SECONDARY
        results['mask'] = mask
        return results

    def __repr__(self):
        return f'{type(self).__name__}(grid={self.grid}, num_masked={self.num_masked})'


@TRANSFORMS.register_module()
class LoadImageStrict(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, which names a file that is no image or is cut short and stops.

    OpenCV would return what it could decode of a file that is cut short, the rest grey; Pillow notices.

    Args:
        **kwargs: Those of ``LoadImageFromFile``; ``imdecode_backend`` defaults to 'pillow' here.

    Raises:
        InputError: If the file cannot be read as an image, or has more than 8 bits.
    """

    def __init__(self, imdecode_backend='pillow', **kwargs):
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)

    def transform(self, results):
        try:
            if '://' not in results['img_path']:
                with Image.open(results['img_path']) as image:  # its header
                    check_mode(image.mode)
            return super().transform(results)
        except Exception as error:  # decoders raise many kinds
            raise InputError(f'{results["img_path"]} cannot be read as an image ({error}): replace the file or remove '
                             'it') from error
