"""What goes wrong, on request: for configs of tests."""
import os
import signal
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS


@HOOKS.register_module()
class FaultHook(Hook):
    """Sends this process a signal, or raises, after an iteration (counted from 1), on one rank."""

    def __init__(self, at, fault, rank=0):
        self.at, self.fault, self.rank = at, fault, rank

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.at and get_rank() == self.rank:
            if self.fault == 'raise':
                raise RuntimeError('this rank has a fault')
            os.kill(os.getpid(), getattr(signal, self.fault))


@TRANSFORMS.register_module()
class Poison(BaseTransform):
    """Makes images not a number as long as a file is there, from the draw of some image on."""

    def __init__(self, file):
        self.file = file

    def transform(self, results):
        if Path(self.file).exists():
            results['img'] = np.full(results['img'].shape, np.nan, np.float32)
        return results


@TRANSFORMS.register_module()
class Count(BaseTransform):
    """Adds a line to a file for every image loaded."""

    def __init__(self, file):
        self.file = file

    def transform(self, results):
        with open(self.file, 'a') as file:
            file.write(results['img_path'] + '\n')
        return results
