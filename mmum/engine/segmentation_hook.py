"""Pictures of a segmentation, while it is validated and tested."""

import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import HOOKS

from mmum.engine.pictures import PicturesHook


@HOOKS.register_module()
class SegmentationPicturesHook(PicturesHook):
    """Draw truth and prediction: of the same images in every validation, and of all in a test.

    Args:
        max_images (int): Number of pictures of a validation, one of each of the first batches.
            Defaults to 0.
        show_dir (str, optional): Folder for the pictures of a test, which mmseg's hook would put
            into the log of the run. Defaults to None: none.
        show (bool): Whether to show those of a test in a window. Defaults to False.
    """

    what = 'segmentation'

    def __init__(
        self, max_images: int = 0, show_dir: str | None = None, show: bool = False
    ) -> None:
        super().__init__(max_images)
        self.show_dir, self.show = show_dir, show

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
        for sample, inputs in zip(outputs or (), data_batch['inputs']):
            inputs = inputs[0] if isinstance(inputs, list) else inputs  # of several views
            name, out_file = self._name(runner, sample), None
            if self.show_dir:
                out_file = str(Path(self.show_dir, name).with_suffix('.jpg'))
            self.draw(runner, sample, inputs, name, show=self.show, out_file=out_file)

    def _name(self, runner: Any, sample: Any) -> str:
        """Path of an image within its data set."""
        prefix = getattr(runner.test_dataloader.dataset, 'data_prefix', {}).get('img_path') or ''
        path = osp.abspath(sample.img_path)
        inside = prefix and path.startswith(osp.join(osp.abspath(prefix), ''))
        return osp.relpath(path, prefix) if inside else osp.basename(path)
