"""Save a checkpoint and exit on SIGTERM or SIGUSR1."""

import os
import signal
import sys
import threading
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_backend, get_world_size, is_distributed
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.distributed import destroy_process_group

from mmum.workers import SIGNALS, shield_workers

EXIT_PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: try again later


def shutdown_process_group() -> None:
    """End the process group once all ranks are here.

    A rank that leaves earlier breaks connections that others still use, and torchrun ends the
    others with it. Gloo's connections end with the process: taking its threads down before may
    abort it.
    """
    if is_distributed():
        barrier()
        if get_backend() != 'gloo':
            destroy_process_group()


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Save a checkpoint and exit on SIGTERM and SIGUSR1 (preemption, slurm's time limit).

    The checkpoint ``iter_N.pth`` is written at the end of the step and removed when the next
    regular one is there. The process exits with code 75, and ``--resume`` continues exactly there.
    All ranks stop at the same step, whichever got the signal; with accumulated steps, after the
    last of them. A second signal ends the process at once. Data-loading workers, to which slurm and
    torchrun send the signal too, serve on until then.
    """

    priority = 'LOWEST'  # after the scheduler, the log and regular checkpoints

    def __init__(self) -> None:
        self.received: str | None = None
        self.process = os.getpid()

    def before_train(self, runner: Any) -> None:
        """Install the signal handlers, which Python allows in the main thread only."""
        main = threading.current_thread() is threading.main_thread()
        if main and not hasattr(self, 'previous'):  # after a roll-back they are there already
            self.process = os.getpid()
            for loop in (runner.train_loop, runner.val_loop):
                if loop is not None:
                    shield_workers(loop.dataloader)
            self.previous = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def after_train(self, runner: Any) -> None:
        """Restore the signal handlers."""
        for number, handler in getattr(self, 'previous', {}).items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: Any) -> None:
        if os.getpid() != self.process:
            return  # a data-loading worker, which inherited the handler
        self.received = signal.Signals(number).name
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop after a step if any rank got a signal."""
        wrapper = runner.optim_wrapper
        accumulating = not getattr(wrapper, 'should_update', lambda: True)()
        if accumulating or not self._any_rank(self.received is not None):
            return
        self.after_train(runner)
        hooks = [hook for hook in runner.hooks if hasattr(hook, 'save_now')]
        saved = hooks[0].save_now(runner) if hooks else None
        with_checkpoint = f'with the checkpoint {saved}; --resume continues there'
        runner.logger.info(
            f'{self.received or "another rank has a signal"}: stopped after iteration '
            f'{runner.iter + 1}, {with_checkpoint if saved else "without a checkpoint"} (exit code '
            f'{EXIT_PREEMPTED})'
        )
        shutdown_process_group()  # not before the first rank has written
        sys.exit(EXIT_PREEMPTED)

    @staticmethod
    def _any_rank(flag: bool) -> bool:
        if get_world_size() == 1:
            return flag
        flags = torch.tensor(float(flag))
        all_reduce(flags, 'max')
        return bool(flags)
