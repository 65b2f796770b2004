"""Write pictures of what the model reconstructs."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop
from mmengine.visualization import LocalVisBackend
from mmpretrain.structures import DataSample
from torch import Tensor

from mmum.files import warn_on_write_error
from mmum.visualization import reconstruction_picture, write_picture


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Write pictures of masked input, reconstruction and original, always of the same images.

    Works for UM-MAE and for SimMIM, also mmpretrain's own. Checkpoints keep the images and their
    masks, for a run that resumes from them.

    In training they are ``WORK_DIR/reconstruction/epoch_N.png`` (or ``iter_N.png`` for training by
    iterations). In testing, with ``show_dir``, there is one picture per batch in that folder.

    Args:
        interval (int): Epochs (or iterations, for training by iterations) between pictures; there
            is always one of the last. Defaults to 10.
        max_images (int): Number of rows of a picture. Defaults to 4.
        show_dir (str, optional): Folder for pictures in testing. Defaults to None: no pictures.
    """

    priority = 'LOW'

    def __init__(
        self, interval: int = 10, max_images: int = 4, show_dir: str | None = None
    ) -> None:
        self.interval, self.max_images, self.show_dir = interval, max_images, show_dir
        self.batch: dict[str, Any] | None = None

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the first batch; write a picture at an interval of iterations."""
        if self.batch is None:
            self.batch = self._first(data_batch)
        if not self.by_epoch(runner) and (
            self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        ):
            self._write(runner, f'iter_{runner.iter + 1}')

    def after_train_epoch(self, runner: Any) -> None:
        """Write a picture at an interval of epochs."""
        if self.by_epoch(runner) and (
            self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)
        ):
            self._write(runner, f'epoch_{runner.epoch + 1}')

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Write a picture of a batch in testing."""
        if self.show_dir is not None:
            rgb = self._picture(runner.model, self._first(data_batch))
            path = Path(self.show_dir, f'batch_{batch_idx:05d}_rank_{runner.rank}.png')
            write_picture(path, rgb)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep images and masks in a checkpoint."""
        if self.batch is not None:
            inputs, samples = self.batch['inputs'], self.batch['data_samples']
            masks = torch.stack([torch.as_tensor(sample.mask) for sample in samples])
            checkpoint['reconstruction'] = dict(inputs=inputs, masks=masks)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take the images and masks of the run that is resumed."""
        kept = deepcopy(checkpoint.get('reconstruction'))  # its tensors lie in the file
        if kept is not None and runner._resume and self.batch is None:
            samples = [DataSample().set_mask(mask) for mask in kept['masks']]
            self.batch = dict(inputs=kept['inputs'], data_samples=samples)

    @staticmethod
    def by_epoch(runner: Any) -> bool:
        """Whether the runner trains by epochs."""
        return not isinstance(runner.train_loop, IterBasedTrainLoop)

    def _first(self, data_batch: Any) -> dict[str, Any]:
        inputs = data_batch['inputs'][: self.max_images]
        if isinstance(inputs, Tensor):
            inputs = inputs.clone()  # a view would keep the whole batch, in checkpoints too
        return dict(inputs=inputs, data_samples=data_batch['data_samples'][: self.max_images])

    def _picture(self, model: Any, batch: Any) -> np.ndarray:
        model = model.module if is_model_wrapper(model) else model
        with torch.no_grad():
            data = model.data_preprocessor(batch, False)
            mask = torch.stack([sample.mask for sample in data['data_samples']])
            return reconstruction_picture(model, data['inputs'], mask)

    @master_only
    def _write(self, runner: Any, name: str) -> None:
        path = Path(runner.work_dir) / 'reconstruction' / f'{name}.png'
        rgb = self._picture(runner.model, self.batch)
        with warn_on_write_error(str(path)):
            write_picture(path, rgb)
        for backend in runner.visualizer._vis_backends.values():
            if not isinstance(backend, LocalVisBackend):  # the file above is the local one
                backend.add_image('reconstruction', rgb, runner.iter + 1)
