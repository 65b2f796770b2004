"""Decodes no more of a JPEG than the crop needs."""
import io

import mmcv
import mmengine.fileio as fileio
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import Image

from mmum.datasets.checks.images import ORIENTATION, check_mode, check_size
from mmum.errors import InputError

try:
    import simplejpeg
except ImportError:  # Pillow decodes everything, in full size
    simplejpeg = None


@TRANSFORMS.register_module()
class LoadCropResize(BaseTransform):
    """``LoadImageStrict`` and mmpretrain's ``RandomResizedCrop`` (bicubic, antialiased as Pillow's) in one, and faster.

    The crop is drawn first, with the same distribution. A JPEG of which it is 2, 4 or 8 times larger than the output is
    decoded at 1/2, 1/4 or 1/8 of its size, which skips most of the inverse DCT; the crop then snaps to the pixels of that
    size, by at most half a pixel of the output. The resize is torch's on uint8, which equals Pillow's but for rounding: less
    than 0.1 grey levels on average, a few at hard edges. Whatever simplejpeg does not decode (other formats, CMYK, rotated by
    EXIF) goes through Pillow in full size.

    **Required Keys:**

    - img_path (str)

    **Added Keys:**

    - img (np.uint8, (H, W, 3)): BGR.
    - img_shape (tuple[int, int]), ori_shape (tuple[int, int]).

    Args:
        scale (int | tuple[int, int]): Output side, or (width, height), in pixels.
        crop_ratio_range (tuple[float, float]): Area of the crop over that of the image. Defaults to (0.2, 1.0), MAE's.
        aspect_ratio_range (tuple[float, float]): Of the crop. Defaults to (3 / 4, 4 / 3).
        reuse (bool): Keep the last image decoded, for ``RepeatSampler``. Defaults to False.

    Raises:
        InputError: If a file cannot be read as an image, is cut short, has more than 8 bits, or a side of less than 16 or
            more than 20000 pixels.
    """

    def __init__(self, scale, crop_ratio_range=(0.2, 1.0), aspect_ratio_range=(3 / 4, 4 / 3), reuse=False):
        self.reuse, self.last = reuse, {}
        self.crop = RandomResizedCrop(scale, crop_ratio_range, aspect_ratio_range)
        self.scale = self.crop.scale

    def transform(self, results):
        try:
            image, box, shape = self._crop_of(results['img_path'])
        except Exception as error:  # decoders and file systems raise many kinds
            raise InputError(f'{results["img_path"]} cannot be read as an image ({error}): replace the file or remove '
                             'it') from error
        top, left, height, width = box
        image = np.ascontiguousarray(image[top:top + height, left:left + width])  # the resize is the faster for it
        image = torch.from_numpy(image).permute(2, 0, 1)[None]
        image = F.interpolate(image, self.scale[::-1], mode='bicubic', antialias=True)[0]
        results.update(img=image.permute(1, 2, 0).numpy(), img_shape=self.scale[::-1], ori_shape=shape)
        return results

    def _crop_of(self, path):
        """Decoded image, crop in its pixels, full size."""
        box = None
        if path in self.last:
            image, factor, shape = self.last[path]
            box = self._draw(*shape)
            if factor <= self._factor(box):  # decoded finely enough for this crop too
                return image, snap(box, factor, image.shape[:2]), shape
        data = fileio.get(path)
        image, factor, box, shape = self._jpeg(data, box) or self._any(data)
        if self.reuse:
            self.last = {path: (image, factor, shape)}
        return image, snap(box, factor, image.shape[:2]), shape

    def _factor(self, box):
        """How many times smaller an image may be decoded for a crop."""
        return max(f for f in (1, 2, 4, 8) if f == 1 or (box[2] >= f * self.scale[1] and box[3] >= f * self.scale[0]))

    def _draw(self, height, width):
        """Top, left, height and width of a crop in pixels of an image of this size."""
        return self.crop.rand_crop_params(np.broadcast_to(np.uint8(0), (height, width)))

    def _jpeg(self, data, box):
        """Decoded image, how many times smaller, crop in full pixels, full size; None for what is not for simplejpeg."""
        if simplejpeg is None or data[:2] != b'\xff\xd8' or _rotated(data):
            return None
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        check_size(width, height)
        if colours.upper() not in ('YCBCR', 'GRAY', 'RGB'):
            return None
        box = box or self._draw(height, width)
        factor = self._factor(box)
        image = simplejpeg.decode_jpeg(
            data, 'BGR', min_height=-(-height // factor), min_width=-(-width // factor), min_factor=factor)
        return image, factor, box, (height, width)

    def _any(self, data):
        with Image.open(io.BytesIO(data)) as image:  # its header
            check_size(*image.size)
            check_mode(image.mode)
        image = mmcv.imfrombytes(data, flag='color', backend='pillow')
        return image, 1, self._draw(*image.shape[:2]), image.shape[:2]

    def __repr__(self):
        return (f'{type(self).__name__}(scale={self.scale}, crop_ratio_range={self.crop.crop_ratio_range}, '
                f'aspect_ratio_range={self.crop.aspect_ratio_range})')


def snap(box, factor, size):
    """A crop (top, left, height, width) in pixels of an image reduced by a factor to a size."""
    top, left, height, width = (round(value / factor) for value in box)
    top, left = min(top, size[0] - 1), min(left, size[1] - 1)
    return top, left, min(height, size[0] - top), min(width, size[1] - left)


def _rotated(data):
    """Whether EXIF says that the picture is to be turned."""
    if b'Exif\0\0' not in data[:4096]:
        return False
    return Image.open(io.BytesIO(data)).getexif().get(ORIENTATION, 1) != 1
