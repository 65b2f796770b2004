"""Reading of images of any number of bands."""

import io

import mmengine.fileio as fileio
import numpy as np

from mmum.errors import InputError, UnreadableImage


def read_bands(path: str, bands: int) -> np.ndarray:
    """Read an image of a given number of bands.

    Args:
        path (str): A TIFF file, for which tifffile is needed, or ``.npy``.
        bands (int): Number of bands: the last axis, or the first.

    Returns:
        np.ndarray: (H, W, bands), of the type in the file.

    Raises:
        UnreadableImage: If it cannot be read, has another number of bands, or pixels that are no
            finite numbers.
        InputError: If tifffile is not installed.
    """
    try:
        import tifffile
    except ImportError as error:
        raise InputError(
            'images of many bands need tifffile, which is not installed: pip install tifffile'
        ) from error
    try:
        data = io.BytesIO(fileio.get(path))
        numpy_file = path.endswith('.npy')
        image = np.load(data, allow_pickle=False) if numpy_file else tifffile.imread(data)
    except Exception as error:  # decoders raise many kinds
        raise UnreadableImage(
            f'{path} cannot be read as an image ({error}): replace the file or remove it'
        ) from error
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim != 3 or bands not in (image.shape[-1], image.shape[0]):
        raise UnreadableImage(
            f'{path} cannot be read as an image of {bands} bands (it is of shape {image.shape}): '
            'give as many means and deviations as it has bands, or replace it'
        )
    if not np.isfinite(image).all():
        raise UnreadableImage(
            f'{path} has pixels that are no finite numbers, with which no loss is one: fill them, '
            'for example with the mean of their band'
        )
    return image if image.shape[-1] == bands else np.moveaxis(image, 0, -1)
