"""mmengine's training loops, which resume exactly and can roll back to a checkpoint."""

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmum.engine.reliability.resume import find_latest_checkpoint
from mmum.engine.reliability.sampling import make_resumable, seed_all
from mmum.errors import InputError

MAX_ROLL_BACKS = 3  # to one checkpoint


class RollBack(Exception):
    """Raised by a hook: roll back to the last checkpoint, and continue with other crops."""


class _Resumable:
    """Base class of both loops."""

    endless = False
    runner: Any
    dataloader: Any
    _epoch: int
    _max_epochs: int
    _iter: int
    _max_iters: int

    def __init__(self, runner: Any, dataloader: Any, **kwargs: Any) -> None:
        super().__init__(runner, dataloader, **kwargs)  # type: ignore[call-arg]
        self.dataloader = make_resumable(
            self.dataloader, self.endless, get_rank(), get_world_size()
        )
        self.rolled_back: list[str] = []

    @property
    def seed(self) -> int:
        """Seed of the run, the same on all ranks: mmengine adds the rank to its own."""
        randomness = getattr(self.runner, '_randomness_cfg', {})
        differs = randomness.get('diff_rank_seed', False)
        return self.runner.seed - (get_rank() if differs else 0)

    @property
    def is_complete(self) -> bool:
        """Whether all epochs or iterations are made."""
        if self.endless:
            return self._iter >= self._max_iters
        return self._epoch >= self._max_epochs

    @property
    def rollbacks(self) -> int:
        """Number of times that the run was rolled back."""
        return self.runner.message_hub.runtime_info.get('rollbacks', 0)

    def run(self) -> Any:
        """Train, and roll back where a hook asks for it."""
        if self.is_complete:
            print_log(
                f'nothing is left to train: the run in {self.runner.work_dir} was complete. A '
                'longer one takes more --epochs or --iters, a new one another --work-dir',
                'current',
                logging.WARNING,
            )
        while True:
            try:
                return super().run()  # type: ignore[misc]
            except RollBack as reason:
                self._roll_back(reason)

    def run_iter(self, *args: Any) -> None:
        """Run a step, with the random numbers that belong to it."""
        # For dropout, drop path and the sampling of boxes; ranks differ.
        seed_all((self.seed, self.rollbacks, self._iter, get_rank()))
        super().run_iter(*args)  # type: ignore[misc]

    def _roll_back(self, reason: RollBack) -> None:
        runner, rollbacks = self.runner, self.rollbacks + 1
        path = find_latest_checkpoint(runner.work_dir)
        if path is None or self.rolled_back.count(path) == MAX_ROLL_BACKS:
            after = 'before there was a checkpoint'
            if path:
                after = f'after {MAX_ROLL_BACKS} roll-backs to {path}'
            raise InputError(
                f'{reason}, {after}: lower optim_wrapper.optimizer.lr, set '
                f'optim_wrapper.clip_grad, or look at the batches in {runner.work_dir}/non_finite'
            ) from reason
        print_log(
            f'{reason}: rolling back to {path}, and training on with other crops and masks',
            'current',
            logging.WARNING,
        )
        self.rolled_back.append(path)
        runner.optim_wrapper.zero_grad()
        runner.resume(path)
        runner.message_hub.update_info('rollbacks', rollbacks)
        runner.optim_wrapper.initialize_count_status(runner.model, self._iter, self._max_iters)


@LOOPS.register_module()
class ResumableEpochTrainLoop(_Resumable, EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that also resumes in the middle of an epoch.

    Images that were seen are not loaded again.

    Args:
        **kwargs: Arguments of ``EpochBasedTrainLoop``.
    """

    def run_epoch(self) -> None:
        """Train for an epoch, or for the rest of one."""
        done = self._batches_done()
        self.dataloader.batch_sampler.begin(self.seed, self.rollbacks, self._epoch, done)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader, done):
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _batches_done(self) -> int:
        """Batches of this epoch that a resumed run has seen; notes where the epoch began."""
        hub, batches = self.runner.message_hub, len(self.dataloader)
        begun = hub.runtime_info.get('epoch_begun') or {}
        done = self._iter - begun['iter'] if begun.get('epoch') == self._epoch else 0
        if done and begun['batches'] != batches:
            print_log(
                f'an epoch had {begun["batches"]} batches and now has {batches}: it begins '
                'again, since images, batch size or ranks are others',
                'current',
                logging.WARNING,
            )
            done = 0
        info = dict(epoch=self._epoch, iter=self._iter - done, batches=batches)
        hub.update_info('epoch_begun', info)
        return done


@LOOPS.register_module()
class ResumableIterTrainLoop(_Resumable, IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that resumes without loading what was seen, whatever the sampler.

    Args:
        **kwargs: Arguments of ``IterBasedTrainLoop``.
    """

    endless = True

    def run(self) -> Any:
        """Train from the iteration where the run is."""
        self.dataloader_iterator = self
        self.batches: Any = None
        return super().run()

    def _roll_back(self, reason: RollBack) -> None:
        super()._roll_back(reason)
        self.batches = None

    def skip_iter(self, number: int) -> None:
        """Do nothing: the batches begin at the iteration of a resumed run in any case."""

    def __next__(self) -> dict | tuple | Sequence:
        if self.batches is None:
            self.dataloader.batch_sampler.begin(self.seed, self.rollbacks, 0, self._iter)
            self.batches = iter(self.dataloader)
        return next(self.batches)
