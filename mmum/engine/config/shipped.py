"""Find the configs that ship with mmum by name."""

import difflib
import os.path as osp
from pathlib import Path

from mmum.errors import InputError
from mmum.resources import resources


def list_configs() -> dict[str, Path]:
    """List the configs that ship with mmum: name -> file, in the order of their folders."""
    files = sorted((resources() / 'configs').glob('[!_]*/*.py'))
    return {file.stem: file for file in files}


def find_config(config: str) -> str:
    """Find a config file.

    Args:
        config (str): A file, or the name of a config that ships with mmum: ``um_mae_swin_t``,
            ``selfsup/um_mae_swin_t.py``, or ``configs/selfsup/um_mae_swin_t.py`` outside a clone.

    Returns:
        str: The file.

    Raises:
        InputError: If there is none.
    """
    if osp.isfile(config):
        return config
    parts = [part for part in Path(config).parts if part not in ('.', 'configs')]
    shipped = list_configs()
    name = Path(config).stem if config.endswith('.py') else Path(config).name
    found = shipped.get(name)
    if found is not None and parts[:-1] in ([], [found.parent.name]):
        return str(found)
    close = difflib.get_close_matches(name, shipped, n=1)
    hint = f'did you mean {close[0]}? ' if close else ''
    raise InputError(
        f'the config {config} does not exist: {hint}give a .py file, or a name that `mmum configs` '
        'lists'
    )


def summary(file: Path) -> str:
    """First sentence of the comment at the top of a config."""
    lines: list[str] = []
    for line in file.read_text().splitlines():
        if not line.startswith('# '):
            break
        lines.append(line[2:])
    return ' '.join(lines).split('. ')[0].rstrip('.')
