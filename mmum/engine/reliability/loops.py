"""mmengine's training loops, which go on exactly where a checkpoint was made, and can go back to one."""
import logging

from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmum.engine.reliability.sampling import make_resumable, seed_all
from mmum.engine.reliability.resume import find_latest_checkpoint
from mmum.errors import InputError

MAX_ROLL_BACKS = 3  # to one checkpoint


class RollBack(Exception):
    """Raised by a hook: the training is to go back to its last checkpoint, and on with other draws."""


class _Resumable:
    """What both loops share."""
    endless = False

    def __init__(self, runner, dataloader, **kwargs):
        super().__init__(runner, dataloader, **kwargs)
        self.dataloader = make_resumable(self.dataloader, self.endless, get_rank(), get_world_size())
        self.rolled_back = []

    @property
    def seed(self):
        """The run's, the same on all ranks: mmengine adds the rank to its own."""
        differs = getattr(self.runner, '_randomness_cfg', {}).get('diff_rank_seed', False)
        return self.runner.seed - (get_rank() if differs else 0)

    @property
    def rollbacks(self):
        """How often the run has gone back."""
        return self.runner.message_hub.runtime_info.get('rollbacks', 0)

    def run(self):
        while True:
            try:
                return super().run()
            except RollBack as reason:
                self._roll_back(reason)

    def run_iter(self, *args):
        # dropout, drop path, sampling of boxes; ranks differ
        seed_all((self.seed, self.rollbacks, self._iter, get_rank()))
        super().run_iter(*args)

    def _roll_back(self, reason):
        runner, rollbacks = self.runner, self.rollbacks + 1
        path = find_latest_checkpoint(runner.work_dir)
        if path is None or self.rolled_back.count(path) == MAX_ROLL_BACKS:
            after = f'after going back to {path} {MAX_ROLL_BACKS} times' if path else 'before there was a checkpoint'
            raise InputError(f'{reason}, {after}: lower optim_wrapper.optimizer.lr, set optim_wrapper.clip_grad, or look at '
                             f'the batches in {runner.work_dir}/blow_ups') from reason
        print_log(f'{reason}: going back to {path}, and on with other crops and masks', 'current', logging.WARNING)
        self.rolled_back.append(path)
        runner.optim_wrapper.zero_grad()
        runner.resume(path)
        runner.message_hub.update_info('rollbacks', rollbacks)
        runner.optim_wrapper.initialize_count_status(runner.model, self._iter, self._max_iters)


@LOOPS.register_module()
class ResumableEpochTrainLoop(_Resumable, EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that also goes on in the middle of an epoch, without loading what was seen.

    Args:
        **kwargs: Of ``EpochBasedTrainLoop``.
    """

    def run_epoch(self):
        done = self._batches_done()
        self.dataloader.batch_sampler.begin(self.seed, self.rollbacks, self._epoch, done)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader, done):
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _batches_done(self):
        """How many batches of this epoch a resumed run has seen; notes where the epoch began, for checkpoints."""
        hub, batches = self.runner.message_hub, len(self.dataloader)
        begun = hub.runtime_info.get('epoch_begun') or {}
        done = self._iter - begun['iter'] if begun.get('epoch') == self._epoch else 0
        if done and begun['batches'] != batches:
            print_log(f'an epoch had {begun["batches"]} batches and now has {batches}: it begins again, since images, batch '
                      'size or ranks are others', 'current', logging.WARNING)
            done = 0
        hub.update_info('epoch_begun', dict(epoch=self._epoch, iter=self._iter - done, batches=batches))
        return done


@LOOPS.register_module()
class ResumableIterTrainLoop(_Resumable, IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that goes on without loading what was seen, whatever the sampler.

    Args:
        **kwargs: Of ``IterBasedTrainLoop``.
    """
    endless = True

    def run(self):
        self.dataloader_iterator = self
        self.batches = None
        return super().run()

    def _roll_back(self, reason):
        super()._roll_back(reason)
        self.batches = None

    def skip_iter(self, number):
        """mmengine's loop calls it where it goes on: the batches begin there in any case."""

    def __next__(self):
        if self.batches is None:
            self.dataloader.batch_sampler.begin(self.seed, self.rollbacks, 0, self._iter)
            self.batches = iter(self.dataloader)
        return next(self.batches)
