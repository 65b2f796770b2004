"""What goes wrong, on request: for configs of tests."""

import signal
import time

import psutil
from mmcv.transforms import BaseTransform
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS


@HOOKS.register_module()
class FaultHook(Hook):
    """After an iteration (counted from 1), on one rank: raises, kills this process, or sends it and
    its workers a signal, as slurm and torchrun do."""

    def __init__(self, at, fault, rank=0):
        self.at, self.fault, self.rank = at, fault, rank

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.at and get_rank() == self.rank:
            if self.fault == 'raise':
                raise RuntimeError('this rank has a fault')
            this, number = psutil.Process(), getattr(signal, self.fault)
            if number != signal.SIGKILL:
                for worker in this.children(recursive=True):
                    worker.send_signal(number)
            this.send_signal(number)


@HOOKS.register_module()
class SlowDiskHook(Hook):
    """Writing a checkpoint takes these seconds more, on the one rank that does."""

    def __init__(self, seconds):
        self.seconds = seconds

    def before_save_checkpoint(self, runner, checkpoint):
        time.sleep(self.seconds)


@TRANSFORMS.register_module()
class Count(BaseTransform):
    """Adds a line to a file for every image loaded."""

    def __init__(self, file):
        self.file = file

    def transform(self, results):
        with open(self.file, 'a') as file:
            file.write(results['img_path'] + '\n')
        return results


@HOOKS.register_module()
class PoisonHook(Hook):
    """Makes images not a number from an iteration on (counted from 1), for so many steps."""

    def __init__(self, begin, steps):
        self.begin, self.left = begin, steps

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 >= self.begin and self.left > 0:
            self.left -= 1
            data_batch['inputs'] = data_batch['inputs'] * float('nan')
