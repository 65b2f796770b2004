"""Pixels of more than 8 bits."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mmum.errors import InputError

BitDepth = str | Sequence[float]


def check_bit_depth(bit_depth: BitDepth) -> BitDepth:
    """Check the ``bit_depth`` of a loader, and return it.

    Raises:
        InputError: If it is none.
    """
    if bit_depth in ('refuse', 'scale'):
        return bit_depth
    numbers = isinstance(bit_depth, Sequence) and not isinstance(bit_depth, str)
    if numbers and len(bit_depth) == 2 and float(bit_depth[0]) < float(bit_depth[1]):
        return tuple(map(float, bit_depth))
    raise InputError(
        f"bit_depth={bit_depth} should be 'refuse', 'scale', or the values that become black and "
        'white, for example (0, 4095)'
    )


def read_deep(data: bytes, bit_depth: BitDepth) -> np.ndarray:
    """Read an image of more than 8 bits as BGR of 8 bits.

    Args:
        data (bytes): The file.
        bit_depth (str | Sequence[float]): 'scale' from the lowest to the highest pixel, or the
            values of black and white.

    Returns:
        np.ndarray: uint8 (H, W, 3); grey as three equal channels, transparency left out.

    Raises:
        InputError: If the file cannot be decoded.
    """
    decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise InputError('OpenCV cannot decode it')
    pixels = decoded.astype(np.float64)
    pixels = pixels[..., None].repeat(3, 2) if pixels.ndim == 2 else pixels[..., :3]
    ends: Any = (np.nanmin(pixels), np.nanmax(pixels)) if bit_depth == 'scale' else bit_depth
    low, high = ends
    scaled = (pixels - low) * (255 / max(high - low, 1e-12))
    return np.nan_to_num(scaled).clip(0, 255).round().astype(np.uint8)
