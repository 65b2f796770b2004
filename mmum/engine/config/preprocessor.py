"""Refuse settings of a preprocessor that a run would not use.

mmengine takes the common ``data_preprocessor`` only where the model has none of its own. What is
set in the other one would be lost without a word, the order of the channels for example.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmum.errors import InputError

KEY = 'data_preprocessor'


def check_preprocessor(cfg: Config) -> None:
    """Raise InputError where the preprocessor of the model lacks settings of the common one."""
    own, common = _both(cfg)
    lost = [
        f'{name}={value}'
        for name, value in common.items()
        if own and name not in own and name not in ('type', '_scope_')
    ]
    if lost:
        instead = ', '.join(f'{KEY}.{name}' for name in own)
        raise InputError(
            f'model.{KEY} takes the place of {KEY}, whose {", ".join(lost)} would not be used: '
            f'set {instead} instead, or all of it there'
        )


def check_options(cfg: Config, options: Iterable[str]) -> None:
    """Raise InputError where an option sets the common one, and the model has its own."""
    for option in options:
        if _both(cfg)[0] and option.split('.')[0] == KEY:
            raise InputError(
                f'the option {option} changes nothing: the model has a preprocessor of its own; '
                f'set model.{option}'
            )


def redefined_in_vain(cfg: Config) -> list[str]:
    """Settings of the common one that differ from those of the model's."""
    own, common = _both(cfg)
    return [name for name in common if name in own and not _same(own[name], common[name])]


def check_redefined(cfg: Config, names: Iterable[str], bases: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError where a file, and none of its bases, sets the common one in vain.

    Args:
        cfg (Config): The config.
        names (Iterable[str]): What :func:`redefined_in_vain` found.
        bases (Sequence[Mapping]): The common ones of its bases. A file without any, such as the
            config that a run writes, may have both: one was an option then.
    """
    common = _both(cfg)[1]
    for name in names:
        if bases and all(not _same(base.get(name), common[name]) for base in bases):
            raise InputError(
                f'{KEY}.{name}={common[name]} of {cfg.filename} would not be used, because the '
                f'model has a preprocessor of its own: add model=dict({KEY}={KEY})'
            )


def _both(cfg: Config) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The preprocessor of the model, and the common one; empty where there is none."""
    return cfg.model.get(KEY) or {}, cfg.get(KEY) or {}


def _same(one: Any, other: Any) -> bool:
    """Whether two entries are equal; a list equals a tuple."""
    lists = isinstance(one, (list, tuple)) and isinstance(other, (list, tuple))
    return list(one) == list(other) if lists else one == other
