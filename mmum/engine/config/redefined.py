"""Carry variables that a config redefines, where its base has used the old value already.

``data_root = 'DATA/'`` in a file with a ``_base_`` changes nothing that the base made of its own
``data_root``: mmengine evaluates the base first. Where the new value is used nowhere at all, it is
carried to everything that the old one had reached, as ``--cfg-options data_root=DATA/`` would. A
file that uses its variable itself is left alone.

Of any other variable that is redefined in vain, and of what seems to be a misspelt setting,
:mod:`mmum.engine.config.unused` tells.

A ``data_preprocessor`` is such a variable where the base's model has one of its own, as mmseg's
have: redefined without the model's, it is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmum.engine.config.preprocessor import KEY, check_redefined, redefined_in_vain
from mmum.engine.config.variables import RUNNER_KEYS, carry_variables

CARRIED = ('pretrained', 'num_classes')


def carry_redefined(cfg: Config) -> None:
    """Carry redefined variables that nothing uses, in place, with a line in the log for each.

    Args:
        cfg (Config): A config as it was read from its file.

    Raises:
        InputError: If it redefines a preprocessor that its model does not use.
    """
    if names := redefined_in_vain(cfg):
        check_redefined(cfg, names, ancestors_of(str(cfg.filename), _is_preprocessor).get(KEY, []))
    used = set(_values({key: cfg[key] for key in RUNNER_KEYS if key in cfg}))
    unused = [
        name
        for name, new in cfg.items()
        if is_carried(name, new) and new is not None and not _is_used(name, new, used)
    ]
    ancestors = ancestors_of(str(cfg.filename), is_carried) if unused else {}
    for name in unused:
        new, olds = cfg[name], ancestors.get(name, [])
        # None of pretrained stands for the checkpoint that is not there
        old = next((o for o in olds if o != new and (o is None or _is_used(name, o, used))), new)
        if old != new:
            print_log(f'{name} = {new!r} of {cfg.filename} is carried to its bases', 'current')
            carry_variables(cfg, {name: old}, {name: new})


def is_carried(name: str, value: Any) -> bool:
    return name in CARRIED or (name.endswith('_root') and isinstance(value, str))


def _is_preprocessor(name: str, value: Any) -> bool:
    return name == KEY


def _is_used(name: str, value: Any, used: set[Any]) -> bool:
    if isinstance(value, str) and name != 'pretrained':
        root = value.rstrip('/')
        return any(isinstance(v, str) and (v == root or v.startswith(f'{root}/')) for v in used)
    return value in used


def ancestors_of(filename: str, wanted: Callable[[str, Any], bool]) -> dict[str, list[Any]]:
    """Values of wanted variables in the bases of a file, nearest first."""
    values: dict[str, list[Any]] = {}
    if not filename.endswith('.py') or Config._is_lazy_import(filename):
        return values
    for base in Config._get_base_files(filename):
        path, _ = Config._get_cfg_path(base, filename)
        for name, value in Config.fromfile(path).items():
            if wanted(name, value):
                values.setdefault(name, []).append(value)
        for name, further in ancestors_of(path, wanted).items():
            values.setdefault(name, []).extend(further)
    return values


def _values(value: Any) -> Iterator[Any]:
    """All strings and numbers in a value, at any depth."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _values(item)
    elif isinstance(value, (str, int)):
        yield value
