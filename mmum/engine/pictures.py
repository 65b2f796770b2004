"""Base of the hooks that draw predictions of the same images and never stop a training."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import mmengine.fileio as fileio
import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmum.visualization import first_three

_said: set[str] = set()


def image_to_draw_on(sample: Any, inputs: Any) -> np.ndarray:
    """Read the image of a data sample as RGB, in the size that predictions have.

    Args:
        sample (BaseDataElement): The data sample.
        inputs (Tensor): The image as the pipeline gave it, (C, H, W): its first three bands are
            taken where OpenCV does not know the file.
    """
    content = np.frombuffer(fileio.get(sample.img_path), np.uint8)
    image: Any = cv2.imdecode(content, cv2.IMREAD_COLOR)
    if image is None:
        pixels = np.ascontiguousarray(first_three(inputs.permute(1, 2, 0).cpu().numpy()))
        image = cv2.resize(pixels, sample.ori_shape[::-1])
    return np.ascontiguousarray(image[..., ::-1])


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a warning, once: a picture is not worth a training.

    Args:
        what (str): What is drawn inside, for the warning.
    """
    try:
        yield
    except Exception as error:  # decoders and visualisers raise many kinds
        if what not in _said:
            _said.add(what)
            reason = ' '.join(str(error).split()) or type(error).__name__
            print_log(
                f'{what} cannot be drawn ({reason}): training continues without',
                'current',
                logging.WARNING,
            )


class PicturesHook(Hook):
    """Draw truth and prediction of the same images in every validation.

    The visualisation hooks of mmdet and mmseg draw every so many steps, counted through the whole
    training: of a small validation set often none, and each time others.

    Args:
        max_images (int): Number of pictures that go to the visualisation backends, one of each of
            the first batches.
    """

    what: str  # name of the pictures

    def __init__(self, max_images: int) -> None:
        self.max_images = max_images

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the first image of a batch."""
        if batch_idx < self.max_images and outputs:
            with harmless(f'{self.what} of the validation'):
                name, inputs = f'{self.what}_{batch_idx}', data_batch['inputs'][0]
                self.draw(runner, outputs[0], inputs, name, step=runner.iter)

    def prepare(self, image: np.ndarray, sample: Any) -> tuple[np.ndarray, Any]:
        """Image and data sample as they are drawn: here as they are."""
        return image, sample

    @master_only
    def draw(self, runner: Any, sample: Any, inputs: Any, name: str, **kwargs: Any) -> None:
        """Draw an image.

        Args:
            runner (Runner): The runner, which has the visualiser.
            sample (BaseDataElement): Truth and prediction.
            inputs (Tensor): The image as the pipeline gave it, (C, H, W).
            name (str): Of the picture.
            **kwargs: Further arguments of ``add_datasample`` of the visualiser.
        """
        image, sample = self.prepare(image_to_draw_on(sample, inputs), sample)
        runner.visualizer.add_datasample(name, image, data_sample=sample, **kwargs)
