"""Label maps: one channel, whose values are numbers of classes."""

import io
from dataclasses import dataclass

import mmengine.fileio as fileio
import numpy as np
from PIL import Image

from mmum.errors import InputError, UnreadableImage, preview

IGNORED = 255  # no class, in files and after all mappings
ANY_NUMBER = 255  # of classes, where nobody says how many files know


def read_label_map(path: str) -> np.ndarray:
    """Read a label map as it is meant.

    mmseg casts whatever it finds to 8 bits: of a map in colour it keeps three channels, and of 16
    bits the lower half.

    Args:
        path (str): The file, of any format that Pillow reads. A palette's indices are the labels.

    Returns:
        np.ndarray: (H, W), uint8.

    Raises:
        UnreadableImage: If the file cannot be decoded.
        InputError: If it is in colour, or has labels beyond 255.
    """
    try:
        with Image.open(io.BytesIO(fileio.get(path))) as image:
            pixels = np.asarray(image)
    except Exception as error:  # decoders raise many kinds
        raise UnreadableImage(
            f'{path} cannot be read as a label map ({error}): replace the file or remove it'
        ) from error
    if pixels.ndim == 3:
        colours = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
        if (colours != colours[..., :1]).any():
            raise InputError(
                f'{path} is a picture in colour, and a label map has one channel, whose values are '
                'the numbers of classes: write the number of each colour in its place'
            )
        pixels = colours[..., 0]
    if pixels.dtype != np.uint8 and pixels.size and not 0 <= pixels.min() <= pixels.max() <= 255:
        raise InputError(
            f'{path} has labels from {pixels.min()} to {pixels.max()}, and labels are 0 to 254, '
            'with 255 for pixels to ignore: renumber them'
        )
    return pixels.astype(np.uint8)


@dataclass(frozen=True)
class Labels:
    """The meaning of the values in label maps.

    Attributes:
        number (int): Number of classes that files know.
        from_one (bool): Whether files count classes from 1, with 0 for pixels to ignore
            (``reduce_zero_label`` of mmseg). Defaults to False.
    """

    number: int
    from_one: bool = False

    @property
    def last(self) -> int:
        """Highest value of a class in files."""
        return self.number - 1 + self.from_one

    def table(self, label_map: dict[int, int] | None = None) -> np.ndarray:
        """Value in the file -> label that is trained on, (256,) uint8.

        Args:
            label_map (dict[int, int], optional): Further renumbering, as mmseg gives it to data
                sets with fewer classes than their files. Defaults to None.
        """
        table = np.arange(256)
        if self.from_one:
            table = np.where((table == 0) | (table == IGNORED), IGNORED, table - 1)
        if label_map is not None:
            table = np.array([label_map.get(int(label), int(label)) for label in table])
        return table.astype(np.uint8)

    def check(self, values: np.ndarray, path: str) -> None:
        """Raise InputError for values that are of no class.

        Args:
            values (np.ndarray): Values of a file, or those that occur in it.
            path (str): The file.
        """
        wrong = [int(v) for v in np.unique(values) if self.last < v < IGNORED]
        if not wrong:
            return
        first = int(self.from_one)
        meaning = f'{first} to {self.last} are the {self.number} classes'
        remedy = 'name all classes in metainfo, and set num_classes to their number'
        if not self.from_one and wrong == [self.number]:
            remedy = (
                'if classes count from 1 and 0 is no class, set reduce_zero_label=True of the data '
                f'set; if not, {remedy}'
            )
        raise InputError(f'{path} has the label {preview(wrong)}, and {meaning}: {remedy}')
