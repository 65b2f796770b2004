"""The trainings that a study consists of: each made once, several at a time, resumable."""

import json
import os
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import CONFIGS, ROOT
from benchmarks.stages import logged, run_stage
from mmum.errors import InputError
from mmum.files import atomic_write

METRICS = ('bbox_mAP', 'bbox_mAP_50', 'segm_mAP', 'segm_mAP_50')
SEGMENTATION = ('mIoU', 'mAcc', 'aAcc')
CURVES = ('loss', 'mean_colour', 'interpolation')
MAX_POINTS = 60  # of a curve that a result file keeps


@dataclass(frozen=True)
class Run:
    """A training: a command of the project in a folder of its own.

    Attributes:
        folder (str): Name of its work directory, one for every run.
        title (str): In words, for lines of progress; no part of what it is.
        config (str): Its config, from ``configs/``.
        options (tuple[str, ...]): ``--cfg-options``. Defaults to ().
        arguments (tuple[str, ...]): Further arguments of ``tools/train.py``. Defaults to ().
        start (Run, optional): The pre-training that its backbone comes from. Defaults to None.
    """

    folder: str
    title: str = field(compare=False)
    config: str
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    start: 'Run | None' = None

    @property
    def command(self):
        """Words that identify it."""
        return [Path(self.config).name, *self.arguments, *self.options]


def run_all(runs, work_dir, jobs, report):
    """Make all runs, and the pre-trainings that they start from.

    One that was finished is not made again, one that was interrupted goes on (``--resume``), so the
    same call goes on with a study. A run begins when its own pre-training is done.

    Args:
        runs (Sequence[Run]): In the order in which they begin.
        work_dir (str | Path): For the runs and their logs.
        jobs (int): Runs at a time, which share the cores.
        report (Callable): Gets lines of progress.

    Returns:
        dict[Run, dict]: Of every run ``seconds``, and ``ap`` of a detector; ``loss`` and ``curve``
        of a pre-training.
    """
    waiting = list(dict.fromkeys([*(run.start for run in runs if run.start), *runs]))
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
                    going[pool.submit(_run, run, Path(work_dir), threads)] = run
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


def _run(run, work_dir, threads):
    """Make one run, unless it is finished: what is known of it, and whether it was made now."""
    folder = work_dir / run.folder
    result, command = folder / 'result.json', list(run.command)
    if result.exists():
        known = json.loads(result.read_text())
        if known.pop('command') != command:
            raise InputError(
                f'{folder} holds a run with other settings ({result}): give another --work-dir'
            )
        return known, False
    options = list(run.options)
    transfer = not run.config.startswith('selfsup/')
    if transfer:
        start = run.start and work_dir / run.start.folder / 'backbone.safetensors'
        options.append(f'pretrained={start}')
    seconds, _ = run_stage(
        run.title,
        work_dir / f'{run.folder}.log',
        ROOT / 'tools' / 'train.py',
        CONFIGS / run.config,
        '--amp',
        '--work-dir',
        folder,
        '--resume',
        *run.arguments,
        '--cfg-options',
        *options,
        OMP_NUM_THREADS=threads,
    )
    lines = list(logged(folder))
    found = dict(seconds=seconds)
    if transfer:
        found['ap'] = last_ap(lines)
    else:
        found |= dict(loss=curve(lines)[-1]['loss'], curve=curve(lines))
    atomic_write(result, json.dumps(dict(found, command=command)).encode())
    return found, True


def _summary(found, new):
    if not new:
        return 'was there'
    if 'ap' in found:
        name, value = score(found['ap'])
        score_text = f'{name} {100 * value:.1f}'
    else:
        score_text = f'loss {found["loss"]:.3f}'
    return f'{found["seconds"]:.0f} s, {score_text}'


def score(metrics):
    """The one number of a transfer: its name, and its value from 0 to 1."""
    name, key = ('mIoU', 'mIoU') if 'mIoU' in metrics else ('mask AP', 'segm_mAP')
    return name, metrics[key]


def last_ap(lines):
    """The AP of a run's last validation, or the IoU of a segmentation's, from 0 to 1."""
    last = [values for values in lines if {'coco/segm_mAP', 'mIoU'} & set(values)][-1]
    if 'mIoU' in last:
        return {metric: last[metric] / 100 for metric in SEGMENTATION}
    return {metric: last[f'coco/{metric}'] for metric in METRICS}


def curve(lines):
    """Read the loss and the trivial answers that were logged, at up to MAX_POINTS steps."""
    points = [
        dict(step=values['step'], **{key: values[key] for key in CURVES if key in values})
        for values in lines
        if 'loss' in values
    ]
    apart = -(-len(points) // MAX_POINTS)
    return points[(len(points) - 1) % apart :: apart]
