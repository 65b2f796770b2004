"""The trainings that a study consists of: each made once, several at a time, resumable."""

import argparse
import json
import os
import statistics
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.registry import MODELS, init_default_scope

from benchmarks import CONFIGS, ROOT
from benchmarks.stages import logged, run_stage
from mmum.cli.command import add_config_options
from mmum.engine.config import load_config
from mmum.errors import InputError
from mmum.files import atomic_write

TRAIN, TEST = 'tools/train.py', 'tools/test.py'
METRICS = ('bbox_mAP', 'bbox_mAP_50', 'segm_mAP', 'segm_mAP_50')
SEGMENTATION = ('mIoU', 'mAcc', 'aAcc')
SCORES = {'mask AP': 'segm_mAP', 'mIoU': 'mIoU', 'top-1': 'top1'}
CURVES = ('loss', 'mean_colour', 'interpolation')
MAX_POINTS = 60  # of a curve that a result file keeps


@dataclass(frozen=True)
class Run:
    """A training, or a test: a command of the project in a folder of its own.

    Attributes:
        folder (str): Name of its work directory, one for every run.
        title (str): In words, for lines of progress; no part of what it is.
        config (str): Its config, from ``configs/``.
        options (tuple[str, ...]): ``--cfg-options``. Defaults to ().
        arguments (tuple[str, ...]): Further arguments of the tool. Defaults to ().
        start (Run, optional): The pre-training that its backbone comes from. Defaults to None.
        tool (str): ``TRAIN``, or ``TEST``, which tests the weights of the start as they are.
            Defaults to ``TRAIN``.
    """

    folder: str
    title: str = field(compare=False)
    config: str
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    start: 'Run | None' = None
    tool: str = TRAIN

    @property
    def command(self):
        """Words that identify it, those of its start included."""
        start = ['from', *self.start.command] if self.start else []
        return [Path(self.config).name, *self.arguments, *self.options, *start]

    @property
    def pretrains(self):
        """Whether it is a pre-training without labels."""
        return self.config.startswith('selfsup/')

    def all_starts(self):
        """The runs that it needs, the first one first."""
        return [*self.start.all_starts(), self.start] if self.start else []


def run_all(runs, work_dir, jobs, report):
    """Make all runs, and the pre-trainings that they start from.

    Finished runs are kept and interrupted ones resume (``--resume``), so the same call resumes a
    study. A run begins when its own pre-training is done.

    Args:
        runs (Sequence[Run]): In the order in which they begin.
        work_dir (str | Path): For the runs and their logs.
        jobs (int): Runs at a time, which share the cores.
        report (Callable): Gets lines of progress.

    Returns:
        dict[Run, dict]: Of every run ``seconds`` and, of a training, ``step_seconds``, the median
        of a step; ``loss`` and ``curve`` of a pre-training, ``ap`` of all others.
    """
    starts = [start for run in runs for start in run.all_starts()]
    waiting = list(dict.fromkeys([*starts, *runs]))
    found, going = {}, {}
    total, begin, made = len(waiting), time.time(), 0
    # runs share the cores, unless the environment says how many threads each has
    share = max(1, (os.cpu_count() or 1) // jobs)
    threads = os.environ.get('OMP_NUM_THREADS', str(share))
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or going:
                ready = [run for run in waiting if run.start is None or run.start in found]
                for run in ready[: jobs - len(going)]:
                    waiting.remove(run)
                    going[pool.submit(_run, run, Path(work_dir), threads, report)] = run
                done, _ = wait(going, return_when=FIRST_COMPLETED)
                for future in done:
                    run = going.pop(future)
                    found[run], new = future.result()
                    made += new
                    spent = time.time() - begin
                    rest = spent / made * (total - len(found)) / 60 if made else 0
                    left = f', about {rest:.0f} left' if made else ''
                    report(
                        f'[{len(found)}/{total}] {spent / 60:.0f} min{left}: '
                        f'{run.title}: {_summary(found[run], new)}'
                    )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _run(run, work_dir, threads, report):
    """Make one run, unless it is finished: what is known of it, and whether it was made now."""
    folder = work_dir / run.folder
    result, command = folder / 'result.json', list(run.command)
    if result.exists():
        known = json.loads(result.read_text())
        if known.pop('command') != command:
            raise InputError(
                f'{folder} holds a run with other settings ({result}): remove it, or give another '
                'folder'
            )
        return known, False
    options, weights = list(run.options), run.start and weights_of(work_dir / run.start.folder)
    if run.tool == TEST:
        arguments = [weights or write_untrained(CONFIGS / run.config, run.options, folder)]
    else:
        arguments = ['--amp', '--resume']
        if run.start or not run.pretrains:
            options.append(f'pretrained={weights}')
    seconds, _ = run_stage(
        run.title,
        work_dir / f'{run.folder}.log',
        ROOT / run.tool,
        CONFIGS / run.config,
        *arguments,
        '--work-dir',
        folder,
        *run.arguments,
        '--cfg-options',
        *options,
        report=report,
        OMP_NUM_THREADS=threads,
    )
    lines = list(logged(folder))
    found = dict(seconds=seconds)
    times = [values['time'] for values in lines if 'loss' in values and 'time' in values]
    if times:
        found['step_seconds'] = statistics.median(times)
    elif run.tool == TRAIN:
        raise InputError(
            f'{folder} logged no step: it needs at least as many as default_hooks.logger.interval '
            f'of configs/{run.config}'
        )
    if run.pretrains:
        found |= dict(loss=curve(lines)[-1]['loss'], curve=curve(lines))
    else:
        found['ap'] = last_ap(lines)
    atomic_write(result, json.dumps(dict(found, command=command)).encode())
    return found, True


def weights_of(folder):
    """The weights that a run left: of a pre-training the backbone alone."""
    backbone = folder / 'backbone.safetensors'
    return backbone if backbone.exists() else (folder / 'last_checkpoint').read_text().strip()


def write_untrained(config, options, folder):
    """Write the weights that a training of a config would start from."""
    parser = argparse.ArgumentParser()
    add_config_options(parser)
    cfg = load_config(str(config), parser.parse_args(['--cfg-options', *options]).cfg_options)
    torch.manual_seed(int(cfg.randomness.seed))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=model.state_dict()), folder / 'untrained.pth')
    return folder / 'untrained.pth'


def _summary(found, new):
    if not new:
        return 'was there'
    if 'ap' in found:
        name, metric = score(found['ap'])
        score_text = f'{name} {100 * found["ap"][metric]:.1f}'
    else:
        score_text = f'loss {found["loss"]:.3f}'
    return f'{found["seconds"]:.0f} s, {score_text}'


def score(metrics):
    """The one number of a transfer: its name, and its metric."""
    return next((name, metric) for name, metric in SCORES.items() if metric in metrics)


def last_ap(lines):
    """Metrics of a run's last validation or test, from 0 to 1: the AP of a detector, the IoU of a
    segmentation, the accuracy of a classifier or of k-NN."""
    found = {}
    for values in lines:
        if 'coco/segm_mAP' in values:
            found = {metric: values[f'coco/{metric}'] for metric in METRICS}
        elif 'mIoU' in values:
            found = {metric: values[metric] / 100 for metric in SEGMENTATION}
        elif 'accuracy/top1' in values:
            found = dict(top1=values['accuracy/top1'] / 100)
    return found


def curve(lines):
    """Read the loss and the trivial answers that were logged, at up to MAX_POINTS steps."""
    points = [
        dict(step=values['step'], **{key: values[key] for key in CURVES if key in values})
        for values in lines
        if 'loss' in values
    ]
    apart = -(-len(points) // MAX_POINTS)
    return points[(len(points) - 1) % apart :: apart]
