"""Transforms that load images."""

import io
from pathlib import Path
from typing import Any

import mmcv
import mmengine.fileio as fileio
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import Image

from mmum.datasets.checks.images import ORIENTATION, check_header, check_size, has_deep_pixels
from mmum.datasets.coco.report import wrong_size
from mmum.datasets.transforms.deep import BitDepth, check_bit_depth, read_deep
from mmum.errors import InputError, UnreadableImage

try:
    import simplejpeg
except ImportError:  # Pillow then decodes everything, in full size
    simplejpeg = None

Box = tuple[int, int, int, int]  # top, left, height, width


@TRANSFORMS.register_module()
class LoadImageStrict(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, which names a file that is truncated or no image, and stops.

    OpenCV would return what it could decode of a truncated file, and grey for the rest; Pillow
    notices.

    Args:
        imdecode_backend (str): Decoder. Defaults to 'pillow'.
        bit_depth (str | tuple[float, float]): What happens to pixels of more than 8 bits: 'refuse',
            'scale' from the lowest to the highest of the image, or the two values that become black
            and white. Defaults to 'refuse'.
        **kwargs: Further arguments of ``LoadImageFromFile``.

    Raises:
        UnreadableImage: If the file cannot be read as an image, or has more than 8 bits.
        InputError: If it is of another size than its annotations say.
    """

    def __init__(
        self,
        imdecode_backend: str = 'pillow',
        bit_depth: BitDepth = 'refuse',
        **kwargs: Any,
    ) -> None:
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)
        self.bit_depth = check_bit_depth(bit_depth)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the image."""
        try:
            deep = False
            if '://' not in results['img_path']:
                with Image.open(results['img_path']) as image:  # its header
                    deep = self.bit_depth != 'refuse' and has_deep_pixels(image)
                    if not deep:
                        check_header(image)
            if deep:
                pixels = read_deep(Path(results['img_path']).read_bytes(), self.bit_depth)
                shape = pixels.shape[:2]
                results.update(img=pixels, img_shape=shape, ori_shape=shape)
            else:
                results = super().transform(results)
        except Exception as error:  # decoders raise many kinds
            raise UnreadableImage(
                f'{results["img_path"]} cannot be read as an image ({error}): replace '
                'the file or remove it'
            ) from error
        annotated = (results.get('height'), results.get('width'))
        if None not in annotated and annotated != results['ori_shape']:
            sentence = wrong_size(results, Path(results['img_path']))
            raise InputError(sentence or f'{results["img_path"]} is of another size than annotated')
        return results


@TRANSFORMS.register_module()
class LoadCropResize(BaseTransform):
    """``LoadImageStrict`` and mmpretrain's ``RandomResizedCrop`` (bicubic) in one, and faster.

    The crop is drawn first, from the same distribution. A JPEG of which it is 2, 4 or 8 times
    larger than the output is decoded at 1/2, 1/4 or 1/8 of its size, which skips most of the
    inverse DCT; the crop then snaps to the pixels of that size, by at most half a pixel of the
    output. The resize is torch's on uint8, antialiased, which equals Pillow's up to rounding: less
    than 0.1 grey levels on average, a few at hard edges. Whatever simplejpeg does not decode (other
    formats, CMYK, files rotated by EXIF) goes through Pillow in full size.

    **Required Keys:**

    - img_path (str)

    **Added Keys:**

    - img (np.uint8, (H, W, 3)): BGR.
    - img_shape (tuple[int, int]), ori_shape (tuple[int, int]).

    Args:
        scale (int | tuple[int, int]): Output side, or (width, height), in pixels.
        crop_ratio_range (tuple[float, float]): Area of the crop over that of the image. Defaults to
            (0.2, 1.0), MAE's.
        aspect_ratio_range (tuple[float, float]): Width of the crop over its height. Defaults to
            (3 / 4, 4 / 3).
        reuse (bool): Whether to keep the last image decoded, for ``RepeatSampler``. Defaults to
            False.
        bit_depth (str | tuple[float, float]): As for :class:`LoadImageStrict`. Defaults to
            'refuse'.

    Raises:
        UnreadableImage: If a file cannot be read as an image, is truncated, has more than 8 bits,
            or a side of less than 16 or more than 20000 pixels.
    """

    def __init__(
        self,
        scale: int | tuple[int, int],
        crop_ratio_range: tuple[float, float] = (0.2, 1.0),
        aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
        reuse: bool = False,
        bit_depth: BitDepth = 'refuse',
    ) -> None:
        self.reuse, self.bit_depth = reuse, check_bit_depth(bit_depth)
        self.last: dict[str, Any] = {}
        self.crop = RandomResizedCrop(scale, crop_ratio_range, aspect_ratio_range)
        self.scale = self.crop.scale

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load a crop of the image."""
        try:
            image, box, shape = self._load_crop(results['img_path'])
        except Exception as error:  # decoders and file systems raise many kinds
            raise UnreadableImage(
                f'{results["img_path"]} cannot be read as an image ({error}): replace '
                'the file or remove it'
            ) from error
        top, left, height, width = box
        # The resize is faster on contiguous pixels.
        image = np.ascontiguousarray(image[top : top + height, left : left + width])
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
        pixels = F.interpolate(pixels, self.scale[::-1], mode='bicubic', antialias=True)[0]
        img = pixels.permute(1, 2, 0).numpy()
        results.update(img=img, img_shape=self.scale[::-1], ori_shape=shape)
        return results

    def _load_crop(self, path: str) -> tuple[np.ndarray, Box, tuple[int, int]]:
        """Load the decoded image, the crop in its pixels, and the full size."""
        if path in self.last:
            image, factor, shape = self.last[path]
            box = self._draw(*shape)
            if factor <= self._factor(box):  # decoded finely enough for this crop too
                return image, snap(box, factor, image.shape[:2]), shape
        else:
            box = None
        data = fileio.get(path)
        image, factor, box, shape = self._decode_jpeg(data, box) or self._decode(data)
        if self.reuse:
            self.last = {path: (image, factor, shape)}
        return image, snap(box, factor, image.shape[:2]), shape

    def _factor(self, box: Box) -> int:
        """Factor by which an image may be decoded smaller for a crop."""
        _, _, height, width = box
        return max(
            f
            for f in (1, 2, 4, 8)
            if f == 1 or (height >= f * self.scale[1] and width >= f * self.scale[0])
        )

    def _draw(self, height: int, width: int) -> Box:
        """Draw a crop in pixels of an image of this size."""
        return self.crop.rand_crop_params(np.broadcast_to(np.uint8(0), (height, width)))

    def _decode_jpeg(
        self, data: bytes, box: Box | None
    ) -> tuple[np.ndarray, int, Box, tuple[int, int]] | None:
        """Decode with simplejpeg.

        Returns:
            tuple | None: The image, the factor by which it is smaller, the crop in full pixels, and
            the full size; None for what simplejpeg does not decode.
        """
        if simplejpeg is None or data[:2] != b'\xff\xd8' or _is_rotated(data):
            return None
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        check_size(width, height)
        if colours.upper() not in ('YCBCR', 'GRAY', 'RGB'):
            return None
        box = box or self._draw(height, width)
        factor = self._factor(box)
        image = simplejpeg.decode_jpeg(
            data,
            'BGR',
            min_height=-(-height // factor),
            min_width=-(-width // factor),
            min_factor=factor,
        )
        return image, factor, box, (height, width)

    def _decode(self, data: bytes) -> tuple[np.ndarray, int, Box, tuple[int, int]]:
        """Decode with Pillow, in full size."""
        with Image.open(io.BytesIO(data)) as header:
            check_size(*header.size)
            deep = self.bit_depth != 'refuse' and has_deep_pixels(header)
            if not deep:
                check_header(header)
        if deep:
            image = read_deep(data, self.bit_depth)
            return image, 1, self._draw(*image.shape[:2]), image.shape[:2]
        image = mmcv.imfrombytes(data, flag='color', backend='pillow')
        return image, 1, self._draw(*image.shape[:2]), image.shape[:2]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scale={self.scale}, '
            f'crop_ratio_range={self.crop.crop_ratio_range}, '
            f'aspect_ratio_range={self.crop.aspect_ratio_range})'
        )


def snap(box: Box, factor: int, size: tuple[int, ...]) -> Box:
    """Snap a crop to the pixels of an image that was reduced by a factor to a size."""
    top, left, height, width = (round(value / factor) for value in box)
    top, left = min(top, size[0] - 1), min(left, size[1] - 1)
    return top, left, min(height, size[0] - top), min(width, size[1] - left)


def _is_rotated(data: bytes) -> bool:
    """Whether EXIF says that the picture must be rotated."""
    if b'Exif\0\0' not in data[:4096]:
        return False
    return Image.open(io.BytesIO(data)).getexif().get(ORIENTATION, 1) != 1
