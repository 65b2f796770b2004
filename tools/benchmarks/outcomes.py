"""Scores, losses and weights that finished runs of a study left."""

import json
import statistics
from pathlib import Path

from benchmarks.scores import curve, last_ap, score
from benchmarks.stages import logged
from mmum.errors import InputError


def read_known(path):
    """The runs that a result file records, by their folders.

    Raises:
        InputError: If it records none.
    """
    try:
        record = json.loads(Path(path).read_text())['record']
        return {folder: dict(found) for folder, found in record.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'--known {path} is no result of `python tools/study.py` that records its runs '
            f'({type(error).__name__}: {error})'
        ) from error


def read_log(run, folder):
    """Read the log of a finished run: ``step_seconds``, ``loss`` and ``curve``, or ``ap``, which is
    empty for a training that does not validate."""
    lines, found = list(logged(folder)), {}
    times = [values['time'] for values in lines if 'loss' in values and 'time' in values]
    if times:
        found['step_seconds'] = statistics.median(times)
    elif run.trains:
        raise InputError(
            f'{folder} logged no step: it needs at least as many as default_hooks.logger.interval '
            f'of configs/{run.config}'
        )
    if run.pretrains:
        return dict(found, loss=curve(lines)[-1]['loss'], curve=curve(lines))
    return dict(found, ap=last_ap(lines))


def weights_of(work_dir, run):
    """The weights that a run left: of a pre-training the backbone alone."""
    folder = work_dir / run.folder
    backbone, last = folder / 'backbone.safetensors', folder / 'last_checkpoint'
    if backbone.exists():
        return backbone
    if not last.exists():
        raise InputError(
            f'{folder} has a result and no weights: remove the folder, and the run is made again'
        )
    return last.read_text().strip()


def summary(found):
    """Time and result of a run, in words."""
    words = f'{found["seconds"]:.0f} s'
    if ap := found.get('ap'):
        name, metric = score(ap)
        words += f', {name} {100 * ap[metric]:.1f}'
    elif 'loss' in found:
        words += f', loss {found["loss"]:.3f}'
    return words
