"""A study as arms: each pre-trains in its way, trains a detector from that, and is one row."""

import hashlib
import statistics
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.report import caption_of, markdown_table
from benchmarks.runs import TEST, Run
from mmum.errors import InputError

RESAMPLES = 10_000
MAX_NAME = 90  # characters of one part of a folder name: file systems take 255


@dataclass(frozen=True)
class Stage:
    """A training before the detector's.

    Attributes:
        config (str): From ``configs/``, of a training by iterations.
        iters (int): Its steps.
        options (tuple[str, ...]): Its ``--cfg-options``. Defaults to ().
    """

    config: str
    iters: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arm:
    """One row of a study.

    Attributes:
        name (str): Of the row.
        detector (str): Config, from ``configs/``.
        detect_iters (int): Steps of the detector.
        detect_options (tuple[str, ...]): Its ``--cfg-options``. Defaults to ().
        test_options (tuple[str, ...]): Further ``--cfg-options`` of a test of the trained detector,
            whose AP counts then. Defaults to (): that of the training's own validation counts.
        stages (tuple[Stage, ...]): Trainings before it, each from the backbone of the one before.
            Defaults to (): from scratch.
        against (str, optional): The row whose AP is subtracted, seed by seed. Defaults to None.
        factors (dict): What the row stands for, in numbers, for charts. Defaults to {}.
        folder (str, optional): Words for the folder of the detector: rows of several studies that
            are the same runs have the same. Defaults to None: the name.
    """

    name: str
    detector: str
    detect_iters: int
    detect_options: tuple[str, ...] = ()
    test_options: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    against: str | None = None
    factors: dict[str, Any] = field(default_factory=dict, hash=False)
    folder: str | None = None

    @property
    def pretrain_iters(self):
        """Steps of all trainings before the detector's."""
        return sum(stage.iters for stage in self.stages)

    def detector_run(self, seed, first, named=False):
        """The detector of a seed, and in its ``start`` the pre-training, of the seed ``first``.

        ``named`` says whether the folder of the detector names that seed too.
        """
        start, folders = None, []
        for stage in self.stages:
            folders.append(slug(stage.config, stage.iters, *stage.options))
            start = Run(
                f'pretrain_{"_then_".join(folders)}_{first}',
                f'pre-training {self.name}, seed {first}',
                stage.config,
                (*stage.options, f'randomness.seed={first}'),
                ('--iters', str(stage.iters)),
                start,
            )
        after = ('after', self.pretrain_iters) if self.stages else ()
        after += ('of', first) if named and self.stages else ()
        return Run(
            f'detect_{slug(self.folder or self.name, *after, self.detect_iters)}_{seed}',
            f'{self.name}, seed {seed}',
            self.detector,
            (*self.detect_options, f'randomness.seed={seed}'),
            ('--iters', str(self.detect_iters)),
            start,
        )

    def test_run(self, detector):
        """The run whose AP counts: a test of this detector, or its own training."""
        if not self.test_options:
            return detector
        return Run(
            detector.folder.replace('detect_', 'test_'),
            f'{detector.title}, tested',
            self.detector,
            (*self.detect_options, *self.test_options),
            start=detector,
            tool=TEST,
        )


def slug(*parts):
    """A folder name: of a config its stem, of options what is set; a hash of what is too long."""
    words = []
    for part in map(str, parts):
        if part.startswith('data_root='):
            continue
        part = part.removesuffix('.py').rpartition('/')[2] if part.endswith('.py') else part
        words += ''.join(c if c.isalnum() or c in '.-' else ' ' for c in part).split()
    name = '_'.join(words)
    if len(name) <= MAX_NAME:
        return name
    return f'{name[:MAX_NAME]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}'


def run_arms(arms, seeds, runs, once=False, first=None):
    """Make the runs of all arms, seed by seed.

    Args:
        arms (Sequence[Arm]): The rows.
        seeds (Sequence[int]): Every arm is made with each.
        runs (Runs): Makes them.
        once (bool): Pre-train with one seed only, for the detectors of all seeds. Defaults to
            False.
        first (int, optional): That seed. Defaults to None: the first of ``seeds``.

    Returns:
        list[dict]: Of every arm ``name``, ``against``, ``factors``, and by seed: ``seeds``,
        ``seconds``, ``step_seconds``, ``ap``, and of the pre-trainings ``pretraining``: seconds,
        step_seconds, loss, curve.
    """
    named = first is not None
    first = first if named else seeds[0]
    detectors = {
        (arm, seed): arm.detector_run(seed, first if once else seed, named)
        for seed in seeds
        for arm in arms
    }
    tests = {(arm, seed): arm.test_run(run) for (arm, seed), run in detectors.items()}
    found = runs.make(list(tests.values()))
    rows = []
    for arm in arms:
        mine = [detectors[arm, seed] for seed in seeds]
        starts = dict.fromkeys(run.start for run in mine if run.start)
        rows.append(
            dict(
                name=arm.name,
                against=arm.against,
                factors=arm.factors,
                pretrain_iters=arm.pretrain_iters,
                detect_iters=arm.detect_iters,
                seeds=list(seeds),
                seconds=[found[run]['seconds'] for run in mine],
                step_seconds=[found[run]['step_seconds'] for run in mine],
                ap=[ap_of(tests[arm, seed], found) for seed in seeds],
                pretraining=[found[start] for start in starts],
            )
        )
    return rows


def ap_of(run, found):
    """The AP that counts of a detector.

    Raises:
        InputError: If it was neither validated nor tested.
    """
    if ap := found[run]['ap']:
        return ap
    raise InputError(
        f'{run.folder} has no AP: its training must validate, because no test of it follows'
    )


def interval(values, seed=0):
    """95 % interval of a mean, by resampling: lowest, highest."""
    draws = np.random.default_rng(seed).choice(values, (RESAMPLES, len(values))).mean(1)
    return tuple(float(end) for end in np.percentile(draws, [2.5, 97.5]))


def percent(row, metric):
    """AP of every seed in per cent."""
    return [100 * ap[metric] for ap in row['ap']]


def mean_ap(row):
    """Mask AP of a row in per cent, over its seeds."""
    return statistics.fmean(percent(row, 'segm_mAP'))


def differences(row, rows, metric='segm_mAP'):
    """AP minus that of the row it is compared with, seed by seed, in per cent; or None."""
    base = next((other for other in rows if other['name'] == row['against']), None)
    if base is None:
        return None
    return [a - b for a, b in zip(percent(row, metric), percent(base, metric))]


def gain_of(gains):
    """Differences by seed in words: their mean, and its interval."""
    gain = f'{statistics.fmean(gains):+.1f}'
    if len(gains) > 1:
        low, high = interval(gains)
        gain += f' ({low:+.1f} to {high:+.1f})'
    return gain


def table(result):
    """The result as Markdown."""
    rows = []
    for row in result['rows']:
        gains = differences(row, result['rows'])
        gain = gain_of(gains) if gains else '-'
        losses = [start['loss'] for start in row['pretraining'] if 'loss' in start]
        loss = f'{statistics.fmean(losses):.3f}' if losses else '-'
        rows.append(
            [
                row['name'],
                row['pretrain_iters'] or '-',
                loss,
                row['detect_iters'],
                *(spread(percent(row, metric)) for metric in ('bbox_mAP', 'segm_mAP')),
                spread(percent(row, 'segm_mAP_50')),
                gain,
            ]
        )
    settings, seeds = result['settings'], result['rows'][0]['seeds']
    first = 'one pre-training a row' if settings['once'] else 'each with its own pre-training'
    if (seed := settings.get('pretrain_seed')) is not None:
        first += f', of seed {seed}'
    caption = (
        f'{caption_of(result)} {settings["about"]} Seeds {", ".join(map(str, seeds))}, {first}. '
        'AP in per cent, mean (lowest-highest) over seeds; gain: mask AP minus that of the row it '
        'is compared with, paired by seed, with its bootstrapped 95 % interval.'
    )
    head = ['row', 'steps before', 'loss', 'steps', 'box AP', 'mask AP', 'mask AP50', 'gain']
    return (
        markdown_table(head, rows, caption) + tried_table(result.get('tried')) + pairs_table(result)
    )


def tried_table(tried):
    """The settings that the rows were chosen from, as Markdown; nothing where nothing was."""
    if not tried:
        return ''
    metrics = ('bbox_mAP', 'segm_mAP')
    rows = [
        [row['name'], len(row['seeds']), *(spread(percent(row, metric)) for metric in metrics)]
        for row in tried
    ]
    caption = 'Tried on the half that is chosen on:'
    return '\n' + markdown_table(['start and setting', 'seeds', 'box AP', 'mask AP'], rows, caption)


def pairs_table(result):
    """Gains over each of several rows (``bases`` of a result), as Markdown; nothing where the
    result names none."""
    bases = result.get('bases', ())
    rows = [
        [
            row['name'],
            *(gain_of(differences(dict(row, against=base), result['rows'])) for base in bases),
        ]
        for row in result['rows']
        if row['name'] not in bases
    ]
    if not bases or not rows:
        return ''
    caption = 'Mask AP minus that of each row from scratch, paired by seed, with 95 % intervals:'
    return '\n' + markdown_table(['row', *(f'minus {base}' for base in bases)], rows, caption)


def spread(values, digits=1):
    """Mean, and lowest to highest."""
    mean, lowest, highest = (f'{f(values):.{digits}f}' for f in (statistics.fmean, min, max))
    return f'{mean} ({lowest}-{highest})' if len(values) > 1 else mean
