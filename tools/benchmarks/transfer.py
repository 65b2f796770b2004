"""The worth of pre-training: the same detectors from scratch and from pre-trainings, on the mini
data set, over seeds."""

import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks import CONFIGS, ROOT
from benchmarks.report import caption_of, markdown_table
from benchmarks.stages import last_loss, logged, run_stage
from mmum.errors import InputError
from mmum.files import atomic_write

# start of the detector -> its pre-training, on the same images, with the same backbone and number
# of epochs
STARTS = {
    'scratch': None,
    'um_mae': 'um_mae_swin_nano_mini.py',
    'simmim': 'simmim_um_swin_nano_mini.py',
}
HEADS = {
    'mask_rcnn': 'mask-rcnn_um-swin-nano_fpn_mini.py',
    'cascade_mask_rcnn': 'cascade-mask-rcnn_um-swin-nano_fpn_mini.py',
    'htc': 'htc-without-semantic_um-swin-nano_fpn_mini.py',
}
NAMES = dict(
    scratch='from scratch',
    um_mae='UM-MAE',
    simmim='SimMIM',
    mask_rcnn='Mask R-CNN',
    cascade_mask_rcnn='Cascade Mask R-CNN',
    htc='HTC (without semantic)',
)
METRICS = ('bbox_mAP', 'bbox_mAP_50', 'segm_mAP', 'segm_mAP_50')


class TransferStudy:
    """Pre-trains once a seed and method, then trains every head from every start with every seed.

    Every run is a command of the project in a folder of its own. One that was finished is not made
    again, one that was interrupted goes on (``--resume``), so the same call goes on with a study.
    Detectors from scratch do not wait for the pre-trainings, nor those of one method for the
    other's.

    Args:
        work_dir (str | Path): For the runs and their logs.
        data (str | Path): The mini data set.
        seeds (Sequence[int]): One of everything for each.
        starts (Sequence[str]): Keys of ``STARTS``.
        heads (Sequence[str]): Keys of ``HEADS``.
        jobs (int): Runs at a time, which share the cores.
        report (Callable): Gets lines of progress.
        pretrain_options (Sequence[str]): ``--cfg-options`` of pre-trainings. Defaults to ().
        detect_options (Sequence[str]): ``--cfg-options`` of detectors. Defaults to ().
        once (bool): Pre-train with the first seed only, for the detectors of all seeds. Defaults to
            False.
    """

    def __init__(
        self,
        work_dir,
        data,
        seeds,
        starts,
        heads,
        jobs,
        report,
        pretrain_options=(),
        detect_options=(),
        once=False,
    ):
        self.work_dir, self.data, self.jobs, self.report, self.once = (
            Path(work_dir),
            Path(data),
            jobs,
            report,
            once,
        )
        self.seeds, self.starts, self.heads = seeds, starts, heads
        self.pretrain_options, self.detect_options = list(pretrain_options), list(detect_options)
        # runs share the cores, unless the environment says how many threads each has
        share = max(1, (os.cpu_count() or 1) // jobs)
        self.threads = os.environ.get('OMP_NUM_THREADS', str(share))

    def run(self):
        """All runs.

        Returns:
            dict: ``pretraining`` and ``runs``: method or head and start, seed, seconds; of runs
            also ``ap``.
        """
        methods, seeds = (
            [start for start in self.starts if STARTS[start]],
            self.seeds[:1] if self.once else self.seeds,
        )
        first = [(method, seed) for seed in seeds for method in methods]
        second = [
            (head, start, seed)
            for start in self.starts
            for seed in self.seeds
            for head in self.heads
        ]
        self.done, self.made, self.total, self.begin = 0, 0, len(first) + len(second), time.time()
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                # first come, first served: whatever waits for a pre-training was submitted after it
                self.pretraining = {one: pool.submit(self.pretrain, *one) for one in first}
                detectors = {one: pool.submit(self.detect, *one) for one in second}
                pretraining = [future.result() for future in self.pretraining.values()]
                runs = [
                    detectors[head, start, seed].result()
                    for seed in self.seeds
                    for head in self.heads
                    for start in self.starts
                ]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return dict(
            settings=dict(
                once=self.once,
                pretrain_options=self.pretrain_options,
                detect_options=self.detect_options,
            ),
            pretraining=pretraining,
            runs=runs,
        )

    def pretrain(self, method, seed):
        folder = self.work_dir / f'pretrain_{method}_{seed}'
        options = [
            f'data_root={self.data}/unlabelled',
            f'randomness.seed={seed}',
            *self.pretrain_options,
        ]
        return self.train(
            folder,
            f'pre-training {NAMES[method]}, seed {seed}',
            CONFIGS / 'selfsup' / STARTS[method],
            options,
            dict(method=method, seed=seed),
        )

    def detect(self, head, start, seed):
        folder = self.work_dir / f'{head}_{start}_{seed}'
        pretrained = None
        if STARTS[start]:
            first = self.seeds[0] if self.once else seed
            self.pretraining[start, first].result()
            pretrained = (
                self.work_dir / f'pretrain_{start}_{first}' / 'last_checkpoint'
            ).read_text()
        options = [
            f'data_root={self.data}',
            f'randomness.seed={seed}',
            *self.detect_options,
            f'pretrained={pretrained}',
        ]
        return self.train(
            folder,
            f'{NAMES[head]}, {NAMES[start]}, seed {seed}',
            CONFIGS / 'detection' / HEADS[head],
            options,
            dict(head=head, start=start, seed=seed),
        )

    def train(self, folder, name, config, options, found):
        """One run, unless it is finished: what is known of it."""
        result, command = folder / 'result.json', [config.name, *options]
        if result.exists():
            known = json.loads(result.read_text())
            if known.pop('command') != command:
                raise InputError(
                    f'{folder} holds a run with other settings ({result}): give another --work-dir'
                )
            self.done += 1
            self.report(f'[{self.done}/{self.total}] {name}: was there')
            return known if 'head' in known else dict(known, loss=last_loss(folder))
        seconds, _ = run_stage(
            name,
            self.work_dir / f'{folder.name}.log',
            ROOT / 'tools' / 'train.py',
            config,
            '--amp',
            '--work-dir',
            folder,
            '--resume',
            '--cfg-options',
            *options,
            OMP_NUM_THREADS=self.threads,
        )
        found = dict(found, seconds=seconds)
        found |= dict(ap=last_ap(folder)) if 'head' in found else dict(loss=last_loss(folder))
        atomic_write(result, json.dumps(dict(found, command=command)).encode())
        ap = f', mask AP {100 * found["ap"]["segm_mAP"]:.1f}' if 'ap' in found else ''
        self.tell(f'{name}: {seconds:.0f} s{ap}')
        return found

    def tell(self, line):
        self.done, self.made = self.done + 1, self.made + 1
        spent = time.time() - self.begin
        left = spent / self.made * (self.total - self.done)
        self.report(
            f'[{self.done}/{self.total}] {spent / 60:.0f} min, about {left / 60:.0f} left: {line}'
        )


def last_ap(folder):
    """The AP of a run's last validation, from 0 to 1."""
    last = [values for values in logged(folder) if 'coco/segm_mAP' in values][-1]
    return {metric: last[f'coco/{metric}'] for metric in METRICS}


def by_head_and_start(result):
    """{head: {start: {metric: AP of each seed, in per cent}}}, in the order of the runs."""
    found = {}
    for run in result['runs']:
        one = found.setdefault(run['head'], {}).setdefault(run['start'], {})
        for metric, value in run['ap'].items():
            one.setdefault(metric, []).append(100 * value)
    return found


def summary(values, digits=1):
    """Mean, and lowest to highest."""
    mean, lowest, highest = (f'{f(values):.{digits}f}' for f in (statistics.fmean, min, max))
    return f'{mean} ({lowest}-{highest})' if len(values) > 1 else mean


def table(result):
    """The result as Markdown."""
    rows, found = [], by_head_and_start(result)
    for head, starts in found.items():
        for start, one in starts.items():
            base = starts.get('scratch')
            ahead = (
                '-'
                if start == 'scratch' or not base
                else (
                    f'{sum(a > b for a, b in zip(one["segm_mAP"], base["segm_mAP"]))} of '
                    f'{len(one["segm_mAP"])}'
                )
            )
            rows.append(
                [NAMES[head], NAMES[start], *(summary(one[metric]) for metric in METRICS), ahead]
            )
    seeds = sorted({run['seed'] for run in result['runs']})
    first = (
        'all after one pre-training a method'
        if result['settings']['once']
        else 'each with its own pre-trainings'
    )
    caption = (
        f'{caption_of(result)} Seeds {", ".join(map(str, seeds))}, {first}, of equally many '
        'epochs. AP in per cent on '
        'the validation images, mean (lowest-highest) over seeds.'
    )
    losses = {}
    for run in result['pretraining']:
        losses.setdefault(run['method'], []).extend([run['loss']] if 'loss' in run else [])
    for method, values in losses.items():
        if values:
            caption += f' Last loss of {NAMES[method]}: {summary(values, 3)}.'
    head = ['head', 'start', 'box AP', 'box AP50', 'mask AP', 'mask AP50', 'mask AP above scratch']
    return markdown_table(head, rows, caption)


def picture(result, path):
    """Write a chart of mask AP: bars of means, a dot for every seed."""
    found = by_head_and_start(result)
    figure, axes = plt.subplots(figsize=(1.5 + 2.2 * len(found), 3.2), dpi=120)
    colours = dict(scratch='#9e9e9e', um_mae='#1f6f8b', simmim='#e0a458')
    labelled = set()
    for x, (head, starts) in enumerate(found.items()):
        for i, (start, one) in enumerate(starts.items()):
            place = x + (i - (len(starts) - 1) / 2) * 0.27
            values = one['segm_mAP']
            axes.bar(
                place,
                statistics.fmean(values),
                0.25,
                color=colours[start],
                label=None if start in labelled else NAMES[start],
            )
            axes.plot([place] * len(values), values, 'o', color='black', markersize=3)
            labelled.add(start)
    axes.set_xticks(range(len(found)), [NAMES[head] for head in found])
    axes.set_ylabel('mask AP, per cent')
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
