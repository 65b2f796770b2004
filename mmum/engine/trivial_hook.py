"""Compare the loss of a pre-training with answers that need no learning."""

import logging
from collections import deque
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from mmum.models import UMMAE
from mmum.models.trivial import trivial_losses


@HOOKS.register_module()
class TrivialAnswersHook(Hook):
    """Log what trivial answers score on the batches of a pre-training, and say what it means.

    Two answers fill removed units with the mean colour of the visible ones, and by interpolation
    between them; a third one, which knows the truth, gives every removed unit its own colour, so
    that what is better shows structure (:mod:`mmum.models.trivial`). Their scores,
    ``mean_colour``, ``interpolation`` and ``own_colour``, are in the units of the loss, in every
    log line and curve. At the first checkpoints, and at the end, a sentence compares them with the
    loss of the same batches.

    Args:
        interval (int): Steps between two scores. Defaults to 10.
        sentences (int): Checkpoints after which a sentence is logged. Defaults to 3.
    """

    priority = 'NORMAL'

    def __init__(self, interval: int = 10, sentences: int = 3) -> None:
        self.interval, self.sentences = interval, sentences
        # loss and scores of the same batches, the last ones
        self.scores: deque[tuple[float, ...]] = deque(maxlen=10)
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
        if runner.iter == 0 or self.every_n_train_iters(runner, self.interval):
            with torch.no_grad():
                data = model.data_preprocessor(data_batch, False)
                mask = model.masks(data['data_samples'])
                losses = trivial_losses(model.head, data['inputs'], mask)
            scores = {name: float(values.mean()) for name, values in losses.items()}
            self.scores.append((float(outputs['loss'].detach()), *scores.values()))
            for name, score in scores.items():
                runner.message_hub.update_scalar(f'train/{name}', score)
        checkpoint = runner.message_hub.runtime_info.get('last_ckpt')
        if checkpoint != self.seen_checkpoint and self.said < self.sentences:
            self.seen_checkpoint = checkpoint
            self.said += 1
            self._say()

    def after_train(self, runner: Any) -> None:
        """Compare at the end."""
        self._say()

    def _say(self) -> None:
        """Compare the loss with the scores of the same batches, on average."""
        if not self.scores or not is_main_process():
            return
        means = [sum(values) / len(self.scores) for values in zip(*self.scores)]
        loss, colour, between, own = means
        numbers = (
            f'loss {loss:.4f}, mean colour {colour:.4f}, interpolation {between:.4f}, '
            f'own colour {own:.4f}'
        )
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
        structure = (
            'structure is not certain: every removed unit in its own colour would score better'
            if loss >= own
            else 'and it predicts structure: no single colour per unit scores as well'
        )
        print_log(
            f'better than the mean colour, {rest} than interpolation; {structure} ({numbers})',
            'current',
        )
