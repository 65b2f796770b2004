"""Worker processes: how many there can be, and that they end with their parent, not before."""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial

from torch.utils.data import DataLoader

# what ends a training early: preemption, a time limit, another tool
SIGNALS = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGUSR1') if hasattr(signal, name))
SECONDS_BETWEEN_LOOKS = 5  # at whether the parent is there; torch's own interval


def usable_cores() -> int:
    """Number of CPU cores that this process may use: a scheduler such as Slurm gives a job some of
    the machine's."""
    if hasattr(os, 'sched_getaffinity'):  # on Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shield_workers(loader: DataLoader) -> None:
    """Let the workers of a data loader end with the process that needs them, and not before.

    They outlive a signal that ends training, whose last step still needs them: else they would die
    at once, and training with them, before its checkpoint. They do not outlive a process that was
    killed: torch's workers leave their loop then, but wait for ever, with all their memory, to hand
    over a batch that nobody takes.

    Args:
        loader (DataLoader): A data loader that was not iterated yet.
    """
    if getattr(loader.worker_init_fn, 'func', None) is not _begin_worker:  # or it is shielded
        loader.worker_init_fn = partial(_begin_worker, loader.worker_init_fn)


def end_with_parent() -> None:
    """Let this process end as soon as its parent tells it to or is gone, and at nobody else's
    signal. The initializer of a pool of processes."""
    if hasattr(signal, 'sigtimedwait'):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        threading.Thread(target=_wait_for_parent, args=(os.getppid(),), daemon=True).start()


def _begin_worker(init_fn: Callable[[int], None] | None, worker_id: int) -> None:
    end_with_parent()
    if init_fn is not None:
        init_fn(worker_id)


def _wait_for_parent(parent: int) -> None:
    told = None
    while os.getppid() == parent and (told is None or told.si_pid != parent):
        told = signal.sigtimedwait(SIGNALS, SECONDS_BETWEEN_LOOKS)
    os._exit(0)
