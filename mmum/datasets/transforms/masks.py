"""Transforms that draw masks."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from mmum.errors import InputError
from mmum.masking import SECONDARY, VISIBLE, check_input_size, sample_mask_map


def _grid(input_size: int | tuple[int, int], unit: int, stride: int, name: str) -> tuple[int, int]:
    """Check an input size, and return its grid of units."""
    size = (input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if len(size) != 2:
        raise InputError(f'input_size={input_size} of {name} should be one side or (height, width)')
    check_input_size(*size, unit, stride)
    return size[0] // unit, size[1] // unit


@TRANSFORMS.register_module()
class UniformMask(BaseTransform):
    """Draw the mask map of uniform sampling and secondary masking (paper: the two of this name).

    The transform reads nothing from the results. Randomness is numpy's global one, which mmengine
    seeds: the same seed gives the same masks, and data-loading workers and ranks differ.

    **Added Keys:**

    - mask (np.uint8, (H / unit, W / unit)): 0 visible, 1 secondary, 2 removed.

    Args:
        input_size (int | tuple[int, int]): Size of the images in pixels, one side or (height,
            width), multiples of twice the stride. Defaults to 256.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        secondary_ratio (float): Share of the sampled units that lose their content, from 0 to 1.
            Defaults to 0.25.
        stride (int): Stride of the backbone: 32 for a pyramid, 16 for a ViT. Defaults to 32.
        sampling (str): 'independent' draws every cell by itself, as the paper says; 'balanced'
            draws from a balanced pool, as the authors' code does. Defaults to 'independent'.

    Raises:
        InputError: If the size or the ratio cannot be.
    """

    def __init__(
        self,
        input_size: int | tuple[int, int] = 256,
        unit: int = 16,
        secondary_ratio: float = 0.25,
        stride: int = 32,
        sampling: str = 'independent',
    ) -> None:
        self.grid = _grid(input_size, unit, stride, 'UniformMask')
        if not 0 <= secondary_ratio <= 1:
            raise InputError(
                f'secondary_ratio={secondary_ratio} of UniformMask should lie between 0 and 1'
            )
        if sampling not in ('independent', 'balanced'):
            raise InputError(
                f"sampling='{sampling}' of UniformMask is unknown: choose 'independent' or "
                "'balanced'"
            )
        self.secondary_ratio, self.balanced = secondary_ratio, sampling == 'balanced'

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add a mask map."""
        results['mask'] = sample_mask_map(self.grid, self.secondary_ratio, balanced=self.balanced)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(grid={self.grid}, secondary_ratio={self.secondary_ratio})'


@TRANSFORMS.register_module()
class RandomMask(BaseTransform):
    """Draw a mask map of random units, for SimMIM: masked units keep their place, none is removed.

    The transform reads nothing from the results; randomness is numpy's global one.

    **Added Keys:**

    - mask (np.uint8, (H / unit, W / unit)): 0 visible, 1 secondary (masked).

    Args:
        input_size (int | tuple[int, int]): Size of the images in pixels, one side or (height,
            width), multiples of 64. Defaults to 256.
        unit (int): Side of a mask unit in pixels. Defaults to 16.
        mask_ratio (float): Share of the units that are masked, rounded to whole units. Defaults to
            0.75.

    Raises:
        InputError: If the size or the ratio cannot be.
    """

    def __init__(
        self, input_size: int | tuple[int, int] = 256, unit: int = 16, mask_ratio: float = 0.75
    ) -> None:
        self.grid = _grid(input_size, unit, 32, 'RandomMask')
        if not 0 <= mask_ratio <= 1:
            raise InputError(f'mask_ratio={mask_ratio} of RandomMask should lie between 0 and 1')
        self.num_masked = round(self.grid[0] * self.grid[1] * mask_ratio)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add a mask map."""
        mask: np.ndarray = np.full(self.grid, VISIBLE, np.uint8)
        mask.flat[np.random.permutation(mask.size)[: self.num_masked]] = SECONDARY
        results['mask'] = mask
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(grid={self.grid}, num_masked={self.num_masked})'
