"""Check image files: size, bit depth, truncation, orientation."""

import io
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from mmengine.fileio import get
from PIL import Image
from rich.progress import track

from mmum.datasets.bands import read_bands
from mmum.errors import InputError
from mmum.workers import end_with_parent

try:
    import simplejpeg
except ImportError:  # Pillow decodes everything then
    simplejpeg = None

MIN_SIDE = 16  # one mask unit
MAX_SIDE = 20000
ORIENTATION = 0x0112  # the EXIF tag
# TIFF tags
BITS, BANDS, EXTRA_BANDS, SAMPLE_FORMAT, PAGE_KIND = 258, 277, 338, 339, 254
SUFFIXES = dict(
    JPEG=('.jpg', '.jpeg'),
    MPO=('.jpg', '.jpeg'),
    PNG=('.png',),
    BMP=('.bmp',),
    TIFF=('.tif', '.tiff'),
    WEBP=('.webp',),
    PPM=('.ppm', '.pgm'),
)


def check_size(width: int, height: int) -> None:
    """Raise InputError for an image of a few pixels, a strip too long, or a decompression bomb."""
    if width * height > 2 * (Image.MAX_IMAGE_PIXELS or 0):  # Pillow's limit
        raise InputError(f'{width}x{height} pixels are a decompression bomb')
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise InputError(
            f'{width}x{height} pixels: sides should be {MIN_SIDE} to {MAX_SIDE} pixels'
        )


def has_deep_pixels(image: Image.Image) -> bool:
    """Whether the header says that pixels have more than 8 bits, are signed or floating.

    Pillow's mode does not say it: 16-bit colour opens as RGB of 8 bits, of which the lower eight
    are dropped.
    """
    if image.mode[0] in 'IF':
        return True
    tags = getattr(image, 'tag_v2', None)
    if tags is not None:
        return max(tags.get(BITS, (1,))) > 8 or tags.get(SAMPLE_FORMAT, (1,))[0] in (2, 3)
    decoders = getattr(image, 'tile', None) or []
    return any('16' in str(decoder[3]) for decoder in decoders if image.format == 'PNG')


def check_header(image: Image.Image) -> None:
    """Raise InputError where an image holds more than its first 8 bits, three bands or one page."""
    if has_deep_pixels(image):
        raise InputError(
            f'its pixels have more than 8 bits (mode {image.mode}): convert it to 8 bits, or set '
            "bit_depth='scale' of its loader"
        )
    tags = getattr(image, 'tag_v2', None)
    if tags is None:
        return
    bands, extra = tags.get(BANDS, 1), tags.get(EXTRA_BANDS, ())
    if bands > 4 or (bands in (2, 4) and 0 in extra) or (bands == 2 and not extra):
        raise InputError(
            f'it has {bands} bands, of which one or three would be read: convert it to RGB, or '
            'use a loader for many channels'
        )
    pages = getattr(image, 'n_frames', 1)
    if pages > 1:
        image.seek(1)
        preview_page = image.tag_v2.get(PAGE_KIND, 0) & 1  # type: ignore[attr-defined]
        image.seek(0)
        if not preview_page:
            raise InputError(
                f'it is a stack of {pages} pages, of which the first alone would be read: save '
                'the pages as files of their own'
            )


def inspect_image(path: str) -> tuple[str | None, list[str]]:
    """Decode an image completely.

    Args:
        path (str): The file, or an image in a shard (:mod:`mmum.datasets.shards`).

    Returns:
        tuple[str | None, list[str]]: The reason why pre-training would replace the image, or None;
        and what is unusual about it but read correctly: a suffix of another format, CMYK or a
        palette (converted), rotation by EXIF.
    """
    notes = []
    try:
        content = get(path)
        if not content:
            raise InputError('the file is empty')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of a large image that is no bomb yet
            with Image.open(io.BytesIO(content)) as image:
                check_size(*image.size)
                check_header(image)
                suffix = Path(path).suffix.lower()
                if suffix not in SUFFIXES.get(str(image.format), (suffix,)):
                    notes.append(f'is a {image.format} by its content')
                if image.mode in ('CMYK', 'P'):
                    notes.append(dict(CMYK='CMYK', P='palette')[image.mode])
                if image.getexif().get(ORIENTATION, 1) != 1:
                    notes.append('turned by EXIF')
                image.convert('RGB')
            if simplejpeg and content[:2] == b'\xff\xd8' and image.mode in ('RGB', 'L'):
                simplejpeg.decode_jpeg(content, 'BGR')  # stricter than Pillow, and what loads it
    except Exception as error:  # decoders raise many kinds
        reason = re.sub(r' <_io\.BytesIO[^>]*>', '', ' '.join(str(error).split()))
        return reason or type(error).__name__, notes
    return None, notes


def inspect_bands(path: str, bands: int) -> tuple[str | None, list[str]]:
    """Decode an image of many bands, as :func:`inspect_image`."""
    try:
        read_bands(path, bands)
    except InputError as error:
        return str(error), []
    return None, []


def inspect_images(
    paths: Sequence[str], workers: int, bands: int | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Decode many images, with a progress bar.

    Args:
        paths (Sequence[str]): The files.
        workers (int): Number of processes.
        bands (int, optional): Their number of bands, for ``LoadBands``. Defaults to None: of 8
            bits, grey or in colour.

    Returns:
        tuple[dict, dict]: Path -> fault, and path -> what is unusual.
    """
    with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
        inspect = partial(inspect_bands, bands=bands) if bands else inspect_image
        inspected = pool.map(inspect, paths, chunksize=16)
        results = list(track(inspected, f'{len(paths)} images', total=len(paths)))
    faults = {path: fault for path, (fault, _) in zip(paths, results) if fault}
    notes = {path: ', '.join(notes) for path, (_, notes) in zip(paths, results) if notes}
    return faults, notes
