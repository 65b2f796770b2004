"""Read a config file, with its variables carried to all that was made of them."""

import os.path as osp
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmum.engine.config.redefined import carry_redefined
from mmum.engine.config.shipped import find_config
from mmum.engine.config.unused import tell_unused
from mmum.engine.config.variables import RUNNER_KEYS, carry_variables, merge_options
from mmum.errors import InputError

# Packages that a base may be of, as mmengine names them when they are missing.
INSTALL = dict(mmdet="'mmum[detection]'", mmseg="'mmum[segmentation]'")


def load_config(path: str, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config file and apply ``--cfg-options``, top-level variables included.

    Args:
        path (str): The config file, or the name of one that mmum ships (``um_mae_swin_t``).
        options (dict, optional): Values by dotted keys, as mmengine's ``DictAction`` gives them.
            Defaults to None: none.

    Returns:
        Config: The config.

    Raises:
        InputError: If the file does not exist or is no config, if a setting in it seems to be
            misspelt, or if an option does not fit it or changes nothing.
    """
    path = find_config(path)
    try:
        cfg = Config.fromfile(path)
    except ModuleNotFoundError as error:
        package = str(error.name or error).split()[0].strip("'")
        install = INSTALL.get(package, package)
        raise InputError(
            f'the config {path} needs {package}, which is not installed: pip install {install}'
        ) from error
    except Exception as error:  # a config is Python, and mmengine raises many kinds
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise InputError(
            f'the config {path} cannot be read ({reason}): it should be a .py file in '
            "mmengine's format"
        ) from error
    if not isinstance(cfg.get('model'), dict):
        raise InputError(f'the config {path} has no model: give one of configs/ or your own')
    carry_redefined(cfg)
    tell_unused(cfg)
    if options:
        merge_options(cfg, options, path)
    mark_carried(cfg)
    return cfg


def mark_carried(cfg: Config) -> None:
    """Note on a config that its variables have been carried; a note is not part of its content."""
    object.__setattr__(cfg, '_mmum_variables', True)


def carry_from_file(cfg: Config) -> None:
    """Carry variables that another launcher overrode without carrying them.

    The old values are those of the config file.

    Args:
        cfg (Config): The config, changed in place.

    Raises:
        InputError: If a variable reaches nothing.
    """
    filename = getattr(cfg, 'filename', None)
    if getattr(cfg, '_mmum_variables', False) or not filename or not osp.isfile(filename):
        return
    carry_redefined(cfg)
    tell_unused(cfg)
    original = dict(Config.fromfile(filename).items())
    names = [
        key
        for key in cfg.keys()
        if key not in RUNNER_KEYS
        and cfg[key] != original.get(key)
        and (isinstance(original.get(key), (str, int, type(None))))
    ]
    carry_variables(cfg, original, {name: cfg[name] for name in names})
    mark_carried(cfg)
