"""Settings of a detector, a file that has them, and what tells two versions of a config apart."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmum.engine.config.differences import TRAINING, flatten
from mmum.errors import InputError


@dataclass(frozen=True)
class Setting:
    """Learning rate and layer decay of a detector."""

    lr: float
    layer_decay: float

    def __str__(self):
        return f', lr {self.lr:g}, layer decay {self.layer_decay:g}'

    @property
    def options(self):
        return (
            f'optim_wrapper.optimizer.lr={self.lr}',
            f'optim_wrapper.paramwise_cfg.layer_decay_rate={self.layer_decay}',
        )


# What the results of a run depend on.
MEASURED = (
    *TRAINING,
    *('param_scheduler', 'train_cfg'),
    *('val_dataloader', 'val_evaluator', 'test_dataloader', 'test_evaluator'),
)
# those of the config
DEFAULTS = dict(scratch=Setting(1e-3, 1.0), um_mae=Setting(1e-3, 1.0))


def read_settings(path):
    """The setting of every start that a result of ``starts`` chose, over ``DEFAULTS``.

    Raises:
        InputError: If the file is no such result.
    """
    try:
        chosen = json.loads(Path(path).read_text())['chosen']
        return DEFAULTS | {start: Setting(**values) for start, values in chosen.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'--settings {path} is no result of `python tools/study.py starts` '
            f'({type(error).__name__}: {error})'
        ) from error


def digest_of(config):
    """Digest of what a config says, with its bases, of a training and a test; comments do not
    count."""
    cfg = Config.fromfile(config)
    said = flatten({key: cfg[key] for key in MEASURED if key in cfg})
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
