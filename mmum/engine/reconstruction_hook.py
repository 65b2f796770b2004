"""Pictures of what the model reconstructs."""
from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop

from mmum.files import warn_on_write_error
from mmum.visualization import reconstruction_picture, write_picture


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Writes pictures of masked input / reconstruction / original, always of the same images while training.

    Training: ``WORK_DIR/reconstruction/epoch_N.png`` (or ``iter_N.png`` for iteration-based training). Testing, with
    ``show_dir``: one picture per batch there.

    Args:
        interval (int): Epochs (or, for iteration-based training, iterations) between pictures; the last one gets a picture
            in any case. Defaults to 10.
        max_images (int): Rows of a picture. Defaults to 4.
        show_dir (str, optional): Where to put pictures while testing. Defaults to None: none.
    """
    priority = 'LOW'

    def __init__(self, interval=10, max_images=4, show_dir=None):
        self.interval, self.max_images, self.show_dir = interval, max_images, show_dir
        self.batch = None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.batch is None:
            self.batch = self._first(data_batch)
        if not self.by_epoch(runner) and (self.every_n_train_iters(runner, self.interval)
                                          or self.is_last_train_iter(runner)):
            self._write(runner, f'iter_{runner.iter + 1}')

    def after_train_epoch(self, runner):
        if self.by_epoch(runner) and (self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)):
            self._write(runner, f'epoch_{runner.epoch + 1}')

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.show_dir is not None:
            rgb = self._picture(runner.model, self._first(data_batch))
            write_picture(Path(self.show_dir) / f'batch_{batch_idx:05d}_rank_{runner.rank}.png', rgb)

    @staticmethod
    def by_epoch(runner):
        return not isinstance(runner.train_loop, IterBasedTrainLoop)

    def _first(self, data_batch):
        return {key: data_batch[key][:self.max_images] for key in ('inputs', 'data_samples')}

    def _picture(self, model, batch):
        model = model.module if is_model_wrapper(model) else model
        with torch.no_grad():
            data = model.data_preprocessor(batch, False)
            return reconstruction_picture(model, data['inputs'], model.masks(data['data_samples']))

    @master_only
    def _write(self, runner, name):
        path = Path(runner.work_dir) / 'reconstruction' / f'{name}.png'
        with warn_on_write_error(str(path)):
            write_picture(path, self._picture(runner.model, self.batch))
