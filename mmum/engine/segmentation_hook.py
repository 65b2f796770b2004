"""Pictures of a segmentation, while it is validated and tested."""

import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmum.engine.pictures import harmless, image_to_draw_on


@HOOKS.register_module()
class SegmentationPicturesHook(Hook):
    """Draw truth and prediction: of the same images in every validation, and of all in a test.

    mmseg's ``SegVisualizationHook`` draws every so many steps, counted through the whole training,
    and a test into the log of the run.

    Args:
        max_images (int): Number of pictures that a validation sends to the visualisation backends,
            one of each of the first batches. Defaults to 0.
        show_dir (str, optional): Folder for the pictures of a test. Defaults to None: none.
        show (bool): Whether to show those of a test in a window. Defaults to False.
    """

    def __init__(
        self, max_images: int = 0, show_dir: str | None = None, show: bool = False
    ) -> None:
        self.max_images, self.show_dir, self.show = max_images, show_dir, show

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the first image of a batch."""
        if batch_idx < self.max_images and outputs:
            with harmless('labels of the validation'):
                name, image = f'segmentation_{batch_idx}', data_batch['inputs'][0]
                self._draw(runner, outputs[0], image, name, step=runner.iter)

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw all images of a batch."""
        if not (self.show_dir or self.show):
            return
        for sample, image in zip(outputs or (), data_batch['inputs']):
            image = image[0] if isinstance(image, list) else image  # of several views
            self._draw(runner, sample, image, self._name(runner, sample), show=self.show)

    def _name(self, runner: Any, sample: Any) -> str:
        """Path of an image within its data set."""
        prefix = getattr(runner.test_dataloader.dataset, 'data_prefix', {}).get('img_path') or ''
        path = osp.abspath(sample.img_path)
        inside = prefix and path.startswith(osp.join(osp.abspath(prefix), ''))
        return osp.relpath(path, prefix) if inside else osp.basename(path)

    @master_only
    def _draw(self, runner: Any, sample: Any, inputs: Any, name: str, **kwargs: Any) -> None:
        out_file = None
        if self.show_dir and 'step' not in kwargs:
            out_file = str(Path(self.show_dir, name).with_suffix('.jpg'))
        image = image_to_draw_on(sample, inputs)
        runner.visualizer.add_datasample(name, image, sample, out_file=out_file, **kwargs)
