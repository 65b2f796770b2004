"""Base of the hooks that draw predictions, and never stop a training."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import mmengine.fileio as fileio
import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmum.visualization import first_three, picture_paths

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
    """Draw truth and prediction: of the same images in every validation, and of all in a test.

    The visualisation hooks of mmdet and mmseg draw every so many steps, counted through the whole
    training: of a small validation set often none, and each time others. In a test mmdet's gives
    one file to all images of a name, whatever their folders, and mmseg's writes into the log.

    Args:
        max_images (int): Number of pictures of a validation that go to the visualisation backends,
            one of each of the first batches.
        show_dir (str, optional): Folder for the pictures of a test. Defaults to None: none.
        show (bool): Whether to show those of a test in a window. Defaults to False.
    """

    what: str  # name of the pictures

    def __init__(self, max_images: int, show_dir: str | None = None, show: bool = False) -> None:
        self.max_images, self.show_dir, self.show = max_images, show_dir, show
        self.paths: dict[str, Path] = {}

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
                self._draw_first(runner, outputs[0], inputs, name)

    @master_only
    def _draw_first(self, runner: Any, sample: Any, inputs: Any, name: str) -> None:
        self.draw(runner, sample, inputs, name, step=runner.iter)

    def before_test(self, runner: Any) -> None:
        """Find out where the picture of every image goes."""
        if self.show_dir:
            dataset = runner.test_dataloader.dataset
            images = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
            paths = picture_paths(images, self.show_dir, f'--show-dir {self.show_dir}')
            self.paths = dict(zip(images, paths, strict=True))

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw all images of a batch, on every rank its own."""
        if not (self.show_dir or self.show):
            return
        for sample, inputs in zip(outputs or (), data_batch['inputs']):
            inputs = inputs[0] if isinstance(inputs, list) else inputs  # of several views
            name, path = os.path.basename(sample.img_path), self.paths.get(sample.img_path)
            out_file = None if path is None else str(path)
            self.draw(runner, sample, inputs, name, show=self.show, out_file=out_file)

    def prepare(self, image: np.ndarray, sample: Any) -> tuple[np.ndarray, Any]:
        """Image and data sample as they are drawn: here as they are."""
        return image, sample

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
