"""Studies on nuclei: what a pre-training on one's own domain is worth, and what matters for it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks.arms import Arm, Stage, mean_ap, run_arms
from benchmarks.losses import run_losses
from benchmarks.rows import ABLATIONS, ADAPTING, NAMES, STARTS
from benchmarks.runs import Runs
from benchmarks.settings import DEFAULTS, Setting
from mmum.datasets.coco.read import read_coco

DETECTOR = 'detection/mask-rcnn_um-swin-nano_fpn_nuclei.py'
STOCK_DETECTOR = 'detection/mask-rcnn_swin-nano_fpn_nuclei.py'
# AP counts the 100 surest detections of an image: more only take time
TESTED = 'model.test_cfg.rcnn.max_per_img=100'
LABELS = (25, 50, 100, 200, 497)
RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)
DECAYS = (1.0, 0.75)
FINALISTS = 3  # settings of a start that are tried again
FINALS = 3  # seeds of these tries


@dataclass
class NucleiStudy:
    """The studies, each a method that returns ``about``, ``rows`` and what else it found.

    ``label_curve`` has rows for all ``labels``, ``curves`` and ``adapting`` for all
    ``pretrain_iters``, ``lengths`` for all ``detect_iters``; otherwise the first of them counts.

    Attributes:
        data (str): The data set, of ``tools/prepare_data.py nuclei``.
        runs (Runs): Makes the runs.
        seeds (Sequence[int]): Of every row.
        pretrain_iters (Sequence[int]): Steps of pre-trainings.
        detect_iters (Sequence[int]): Steps of detectors. Defaults to (1000,).
        labels (Sequence[int]): Numbers of labelled images. Defaults to (50,).
        starts (Sequence[str]): Keys of ``STARTS``. Defaults to ().
        rows (Sequence[str]): Keys of ``ABLATIONS``, for ``losses`` of ``UM_ROWS``. Defaults to all.
        digits (str, optional): Images by class, of ``tools/prepare_data.py mini-classes``, for
            starts that are supervised. Defaults to None.
        pretrain_once (bool): Pre-train with one seed only, for the detectors of all seeds. Defaults
            to False.
        pretrain_seed (int, optional): That seed. Defaults to None: the first.
        pretrain_options (Sequence[str]): ``--cfg-options`` of all pre-trainings. Defaults to ().
        detect_options (Sequence[str]): ``--cfg-options`` of all detectors. Defaults to ().
        settings (dict): The ``Setting`` of starts; of one that is not there, UM-MAE's. Defaults to
            ``DEFAULTS``.
        longer (int): Steps of a further detector from scratch, in the studies of starts and of
            lengths. Defaults to 0: none.
        rates (Sequence[float]): Learning rates that every start is tried with. Defaults to
            ``RATES``.
        decays (Sequence[float]): Layer decays that every start is tried with. Defaults to
            ``DECAYS``.
        finalists (int): Settings of every start that are tried again, with up to ``FINALS`` seeds.
            Defaults to ``FINALISTS``.
    """

    data: str
    runs: Runs
    seeds: Sequence[int]
    pretrain_iters: Sequence[int]
    detect_iters: Sequence[int] = (1000,)
    labels: Sequence[int] = (50,)
    starts: Sequence[str] = ()
    rows: Sequence[str] = tuple(ABLATIONS)
    digits: str | None = None
    pretrain_once: bool = False
    pretrain_seed: int | None = None
    pretrain_options: Sequence[str] = ()
    detect_options: Sequence[str] = ()
    settings: dict = field(default_factory=lambda: dict(DEFAULTS))
    longer: int = 0
    rates: Sequence[float] = RATES
    decays: Sequence[float] = DECAYS
    finalists: int = FINALISTS

    def result(self, about, rows, more):
        """Result of a study, as its file keeps it."""
        settings = dict(
            about=about,
            once=self.pretrain_once,
            pretrain_seed=self.pretrain_seed,
            pretrain_options=list(self.pretrain_options),
            detect_options=list(self.detect_options),
        )
        return dict(settings=settings, rows=rows, record=self.runs.record, **more)

    def curves(self):
        """AP of detectors after pre-trainings of several lengths."""
        arms = [self.arm('scratch')]
        arms += [
            self.arm(start, iters, against=NAMES['scratch'], end=f', {iters} steps')
            for iters in self.pretrain_iters
            for start in self.starts
            if STARTS[start]
        ]
        return self.about(), self.run(arms), {}

    def starts_chosen(self):
        """Every start at the best of several learning rates and layer decays.

        The setting is chosen on one half of the validation images: all are tried with the first
        seed, and the best ``finalists`` of every start with ``FINALS`` seeds. It is reported on the
        other half with all seeds.
        """
        choices = {
            self.arm(start, setting=Setting(rate, decay), half='choose', end=True): start
            for start in self.starts
            for rate in self.rates
            for decay in self.decays
        }
        tried = self.run(list(choices), self.seeds[:1])
        ranked = sorted(zip(tried, choices.items()), key=lambda pair: -mean_ap(pair[0]))
        finalists = [
            arm
            for start in self.starts
            for arm in [arm for _, (arm, of) in ranked if of == start][: self.finalists]
        ]
        # one finalist has nothing to be compared with
        finals = self.run(finalists, self.seeds[: FINALS if self.finalists > 1 else 1])
        best = {}
        for row, arm in zip(finals, finalists):
            start = choices[arm]
            if start not in best or mean_ap(row) > mean_ap(best[start]):
                best[start] = row
        again = {row['name']: row for row in finals}
        tried = [again.get(row['name'], row) for row in tried]
        chosen = {
            start: Setting(row['factors']['lr'], row['factors']['layer_decay'])
            for start, row in best.items()
        }
        base = NAMES['scratch'] + str(chosen['scratch']) if 'scratch' in chosen else None
        arms = [
            self.arm(start, setting=setting, end=True, against=base)
            for start, setting in chosen.items()
        ]
        if self.longer and base:
            arms.append(replace(arms[self.starts.index('scratch')], detect_iters=self.longer))
            arms[-1] = replace(arms[-1], name=f'{arms[-1].name}, longer', against=base)
        about = (
            f'{self.about()} Learning rate and layer decay of every start: the best of '
            f'{len(self.rates)} x {len(self.decays)} on the other half of the validation images, '
            'tried with one seed'
        )
        if self.finalists > 1:
            about += f', the best {self.finalists} with {len(self.seeds[:FINALS])}'
        about += '.'
        chosen = {start: asdict(setting) for start, setting in chosen.items()}
        return about, self.run(arms), dict(tried=tried, chosen=chosen)

    def label_curve(self):
        """AP over the number of labelled images, from every start."""
        arms = [
            self.arm(
                start,
                labels=number,
                end=f', {number} labels',
                against=f'{NAMES["scratch"]}, {number} labels',
            )
            for number in self.labels
            for start in self.starts
        ]
        return self.about('labelled images as said'), self.run(arms), {}

    def lengths(self):
        """AP over the length of the detector, from every start."""
        arms = [
            self.arm(
                start,
                steps=steps,
                end=f', {steps} steps',
                against=f'{NAMES["scratch"]}, {steps} steps',
            )
            for steps in self.detect_iters
            for start in self.starts
        ]
        if self.longer:
            arms.append(self.arm('scratch', steps=self.longer, end=f', {self.longer} steps'))
        scratch = [arm.name for arm in arms if arm.factors['start'] == 'scratch']
        return self.about(steps='steps as said'), self.run(arms), dict(bases=scratch)

    def ablations(self):
        """Changes of the pre-training, one a row."""
        reference = NAMES['um_mae']
        arms = [self.arm('um_mae'), self.arm('scratch', against=reference)]
        arms += [self.arm(ABLATIONS[row][0], against=reference, row=row) for row in self.rows]
        return self.about(), self.run(arms), {}

    def adapting(self):
        """Weights from elsewhere, adapted to nuclei or not, with the stock Swin.

        The first of ``pretrain_iters`` counts for the weights from elsewhere.
        """
        first, several = self.pretrain_iters[0], len(self.pretrain_iters) > 1
        arms = []
        for row, configs in ADAPTING.items():
            arm = self.arm('um_mae' if configs else 'scratch')
            adapts = bool(configs) and configs[-1].startswith('selfsup/')
            for iters in self.pretrain_iters if adapts else [first]:
                lengths = (first, iters)[-len(configs) :]
                arms.append(
                    replace(
                        arm,
                        name=row + (f', {iters} steps' if adapts and several else ''),
                        detector=STOCK_DETECTOR,
                        stages=tuple(map(self.stage, configs, lengths)),
                        against='from scratch' if configs else None,
                        folder=f'stock Swin {row}{self.settings.get(arm.factors["start"], "")}',
                    )
                )
        about = self.about().replace('a very small Swin', "a very small stock Swin (mmpretrain's)")
        return about, self.run(arms), {}

    def losses(self):
        """Loss curves of the pre-trainings of the ablations, without detectors."""
        arms = [self.arm('um_mae')]
        arms += [self.arm(ABLATIONS[row][0], row=row) for row in self.rows]
        about = 'A very small Swin on the 497 training images of nuclei, crops of 128 px, batch 64.'
        return about, run_losses(arms, self.seeds, self.runs), {}

    def run(self, arms, seeds=None):
        seeds = seeds or self.seeds
        return run_arms(arms, seeds, self.runs, self.pretrain_once, self.pretrain_seed)

    def about(self, images=None, steps=None):
        """The setting in words."""
        images = images or f'{self.labels[0]} labelled images'
        steps = steps or f'{self.detect_iters[0]} steps'
        all_images = len(read_coco(Path(self.data, 'annotations', 'train.json'))['images'])
        about = (
            f'Mask R-CNN with a very small Swin on {Path(self.data).name.replace("_", " ")}, '
            f'{images}, {steps}; pre-training on the {all_images} training images.'
        )
        if self.settings:
            chosen = '; '.join(
                f'{NAMES[start]}{setting}' for start, setting in self.settings.items()
            )
            about += f' Settings of the detector: {chosen}; others as UM-MAE.'
        return about

    def arm(
        self,
        start,
        iters=None,
        labels=None,
        setting=None,
        half='report',
        against=None,
        row=None,
        end='',
        steps=None,
    ):
        """A row: a start, and a detector on so many labelled images, of so many steps.

        ``end`` are words after its name; True stands for the setting.
        """
        labels = labels or self.labels[0]
        setting = setting or self.settings.get(start, self.settings.get('um_mae'))
        name = (row or NAMES[start]) + (str(setting) if end is True else end)
        annotations = 'train' if labels == 497 else f'train_{labels}'
        changes = ABLATIONS[row][1] if row else ()
        config = STARTS[start]
        folder = (row or NAMES[start]) + str(setting or '')
        folder += '' if labels == 50 else f', {labels} labels'
        report = 'annotations/val_report.json'
        return Arm(
            name,
            DETECTOR,
            steps or self.detect_iters[0],
            (
                f'data_root={self.data}/',
                f'train_annotations=annotations/{annotations}.json',
                'val_dataloader.dataset.ann_file=annotations/val_choose.json',
                f'val_evaluator.ann_file={self.data}/annotations/val_choose.json',
                TESTED,
                *self.detect_options,
                *(setting.options if setting else ()),
                *(() if config else changes),
            ),
            (
                f'test_dataloader.dataset.ann_file={report}',
                f'test_evaluator.ann_file={self.data}/{report}',
            )
            if half == 'report'
            else (),
            (self.stage(config, iters or self.pretrain_iters[0], changes),) if config else (),
            None if against == name else against,
            dict(start=start, labels=labels, half=half, **(asdict(setting) if setting else {})),
            f'{folder} choose',
        )

    def stage(self, config, iters, changes=()):
        """A training before the detector's."""
        selfsup = config.startswith('selfsup/')
        root = f'data_root={self.data}/train' if selfsup else f'data_root={self.digits}'
        return Stage(config, iters, (root, *(self.pretrain_options if selfsup else ()), *changes))
