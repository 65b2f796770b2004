"""Pictures of predictions: the image behind a data sample, and no harm to a training."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import mmengine.fileio as fileio
import numpy as np
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
                f'{what} cannot be drawn ({reason}): training goes on without',
                'current',
                logging.WARNING,
            )
