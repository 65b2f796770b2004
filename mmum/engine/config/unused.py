"""Tell of variables of a config file that have no effect.

mmengine takes any name at the top of a file for a variable, a misspelt setting too, and evaluates a
base before the file that redefines its variables.
"""

import difflib
import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmum.engine.config.redefined import ancestors_of, is_carried
from mmum.engine.config.variables import RUNNER_KEYS
from mmum.errors import InputError

# How like a setting the name of a variable must be: 1 is the same.
ALIKE = 0.8


def tell_unused(cfg: Config) -> None:
    """Refuse misspelt settings, and warn of variables that are redefined in vain.

    Args:
        cfg (Config): A config as it was read from its file, after its variables were carried.

    Raises:
        InputError: If a dict or list that nothing uses has nearly the name of a setting.
    """
    settings = _plain({key: cfg[key] for key in RUNNER_KEYS if key in cfg})
    unused = {
        name: _plain(value)
        for name, value in cfg.items()
        if name not in RUNNER_KEYS and value is not None and not is_carried(name, value)
    }
    unused = {name: value for name, value in unused.items() if not _holds(settings, value)}
    for name, value in unused.items():
        close = difflib.get_close_matches(name, RUNNER_KEYS, n=1, cutoff=ALIKE)
        if close and isinstance(value, (dict, list)) and not name.endswith('pipeline'):
            raise InputError(
                f'{name} of {cfg.filename} is used nowhere: did you mean {close[0]}? Otherwise '
                'rename it'
            )
    if not unused:
        return
    for name, olds in ancestors_of(str(cfg.filename), lambda name, _: name in unused).items():
        if any(old != unused[name] and _holds(settings, old) for old in map(_plain, olds)):
            print_log(
                f'{name} of {cfg.filename} changes nothing: a base has used its own {name} before. '
                'Set what was made of it, such as train_cfg or train_dataloader.dataset.pipeline',
                'current',
                logging.WARNING,
            )


def _plain(value: Any) -> Any:
    """A value with lists for tuples, and without the scopes that mmengine adds."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key != '_scope_'}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _holds(value: Any, item: Any) -> bool:
    """Whether an item occurs in a value, at any depth; of texts also as a part."""
    if type(value) is type(item) and value == item:
        return True
    if isinstance(value, dict):
        return any(_holds(part, item) for part in value.values())
    if isinstance(value, list):
        return any(_holds(part, item) for part in value)
    return isinstance(value, str) and isinstance(item, str) and item in value
