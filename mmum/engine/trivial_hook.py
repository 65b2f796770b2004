"""Compare the loss of a pre-training with answers that need no learning."""

import logging
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from mmum.models import UMMAE
from mmum.models.trivial import trivial_losses


@HOOKS.register_module()
class TrivialAnswersHook(Hook):
    """Log what two trivial answers score on the batches of a pre-training, and say what it means.

    The answers fill removed units with the mean colour of the visible ones, and by interpolation
    between them (:mod:`mmum.models.trivial`). Their scores, ``mean_colour`` and ``interpolation``,
    are in the units of the loss, in every log line and curve. At the first checkpoints, and at the
    end, a sentence compares them with the loss.

    Args:
        interval (int): Steps between two scores. Defaults to 50.
        max_images (int): Images of a batch that are scored. Defaults to 16.
        sentences (int): Checkpoints after which a sentence is logged. Defaults to 3.
    """

    priority = 'NORMAL'

    def __init__(self, interval: int = 50, max_images: int = 16, sentences: int = 3) -> None:
        self.interval, self.max_images, self.sentences = interval, max_images, sentences
        self.seen_checkpoint: str | None = None
        self.said = 0

    def before_train(self, runner: Any) -> None:
        """Note the checkpoint that a resumed run begins with."""
        self.seen_checkpoint = runner.message_hub.runtime_info.get('last_ckpt')

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Score the trivial answers; after a new checkpoint, compare."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not isinstance(model, UMMAE):
            return
        interval = min(self.interval, self._log_interval(runner))
        if runner.iter == 0 or self.every_n_train_iters(runner, interval):
            batch = {key: data_batch[key][: self.max_images] for key in ('inputs', 'data_samples')}
            with torch.no_grad():
                data = model.data_preprocessor(batch, False)
                mask = model.masks(data['data_samples'])
                for name, losses in trivial_losses(model.head, data['inputs'], mask).items():
                    runner.message_hub.update_scalar(f'train/{name}', float(losses.mean()))
        checkpoint = runner.message_hub.runtime_info.get('last_ckpt')
        if checkpoint != self.seen_checkpoint and self.said < self.sentences:
            self.seen_checkpoint = checkpoint
            self.said += 1
            self._say(runner)

    def after_train(self, runner: Any) -> None:
        """Compare at the end."""
        self._say(runner)

    @staticmethod
    def _log_interval(runner: Any) -> int:
        intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
        return min(intervals, default=50)

    @staticmethod
    def _say(runner: Any) -> None:
        scalars = runner.message_hub.log_scalars
        if 'train/mean_colour' not in scalars or not is_main_process():
            return
        loss = scalars['train/loss'].mean(50)
        colour = scalars['train/mean_colour'].mean(10)
        between = scalars['train/interpolation'].mean(10)
        numbers = f'loss {loss:.4f}, mean colour {colour:.4f}, interpolation {between:.4f}'
        if loss >= colour:
            print_log(
                'not yet better than painting removed units in the mean colour of the visible '
                f'ones ({numbers}): if it stays so, lower optim_wrapper.optimizer.lr or train '
                'longer',
                'current',
                logging.WARNING,
            )
            return
        rest = 'not yet' if loss >= between else 'and'
        print_log(f'better than the mean colour, {rest} than interpolation ({numbers})', 'current')
