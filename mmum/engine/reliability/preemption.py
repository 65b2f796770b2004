"""Told to go: a checkpoint at the end of the step, and an exit code that means "resume me"."""
import os
import signal
import sys
import threading
from functools import partial

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmum.cli.command import shutdown_process_group

EXIT_PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: try again later
SIGNALS = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGUSR1') if hasattr(signal, name))


def shield_workers(loader):
    """Has the workers of a data loader stay when they get a signal that ends a training: its step still needs them.

    Without it they die at once, and the training with them, before its checkpoint.

    Args:
        loader (DataLoader): Not iterated yet.
    """
    loader.worker_init_fn = partial(_begin_worker, loader.worker_init_fn)


def _begin_worker(init_fn, worker_id):
    if hasattr(signal, 'sigwaitinfo'):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        threading.Thread(target=_wait_for_parent, daemon=True).start()
    if init_fn is not None:
        init_fn(worker_id)


def _wait_for_parent():
    """Ends a worker as soon as the training itself tells it to, and at nobody else's signal."""
    while signal.sigwaitinfo(SIGNALS).si_pid != os.getppid():
        pass
    os._exit(0)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """SIGTERM and SIGUSR1 (preemption, slurm's time limit) end a training at the end of the step, with a checkpoint.

    The checkpoint is ``iter_N.pth`` and goes when the next regular one is written. The process exits with code 75, and
    ``--resume`` goes on exactly there. All ranks stop at the same step, whichever got the signal. With accumulated steps it
    is the end of the last of them. A second signal ends the process at once. Data-loading workers, to which slurm and torchrun
    send it too, serve on until then.
    """
    priority = 'LOWEST'  # after the scheduler, the log and regular checkpoints

    def __init__(self):
        self.received, self.process = None, os.getpid()

    def before_train(self, runner):
        # Python allows it in the main thread only; after going back they are there already
        if threading.current_thread() is threading.main_thread() and not hasattr(self, 'previous'):
            self.process = os.getpid()
            for loop in (runner.train_loop, runner.val_loop):
                if loop is not None:
                    shield_workers(loop.dataloader)
            self.previous = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def after_train(self, runner):
        for number, handler in getattr(self, 'previous', {}).items():
            signal.signal(number, handler)

    def _receive(self, number, frame):
        if os.getpid() != self.process:
            return  # a data-loading worker, which inherited this: it goes when the training does
        self.received = signal.Signals(number).name
        for one in SIGNALS:
            signal.signal(one, signal.SIG_DFL)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        wrapper = runner.optim_wrapper
        accumulating = not getattr(wrapper, 'should_update', lambda: True)()
        if accumulating or not self._any_rank(self.received is not None):
            return
        self.after_train(runner)
        checkpoints = [hook for hook in runner.hooks if hasattr(hook, 'save_now')]
        saved = checkpoints[0].save_now(runner) if checkpoints else None
        runner.logger.info(f'{self.received or "another rank has a signal"}: stopped after iteration {runner.iter + 1}, '
                           f'{f"with the checkpoint {saved}" if saved else "without a checkpoint"}; --resume goes on there '
                           f'(exit code {EXIT_PREEMPTED})')
        shutdown_process_group()  # not before the first rank has written
        sys.exit(EXIT_PREEMPTED)

    @staticmethod
    def _any_rank(flag):
        if get_world_size() == 1:
            return flag
        flag = torch.tensor(float(flag))
        all_reduce(flag, 'max')
        return bool(flag)
