"""Images of any number of bands: microscopes, satellites."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from mmum.datasets.bands import read_bands
from mmum.errors import InputError


@TRANSFORMS.register_module()
class LoadBands(BaseTransform):
    """Load an image of any number of bands, normalised band by band.

    mmengine's preprocessors know one or three channels: set ``mean=None, std=None`` of
    ``data_preprocessor``, since this has normalised already.

    **Required Keys:** img_path (str).

    **Added Keys:** img (np.float32, (H, W, bands)), img_shape, ori_shape (tuple[int, int]).

    Args:
        mean (Sequence[float]): Mean of every band, in the units of the file.
        std (Sequence[float]): Its deviation.

    Raises:
        InputError: If there are not as many deviations as means, or one is not above 0.
        UnreadableImage: If a file cannot be read, or has another number of bands.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = (np.array(values, np.float32) for values in (mean, std))
        if len(self.mean) != len(self.std) or not (self.std > 0).all():
            raise InputError(
                f'mean={list(mean)} and std={list(std)} of LoadBands should be one number per '
                'band each, deviations above 0'
            )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the image."""
        image = read_bands(results['img_path'], len(self.mean))
        shape = image.shape[:2]
        pixels = (image.astype(np.float32) - self.mean) / self.std
        results.update(img=pixels, img_shape=shape, ori_shape=shape)
        return results
