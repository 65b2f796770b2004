"""Studies on nuclei: what a pre-training on one's own domain is worth, and what matters for it."""

from benchmarks.arms import Arm, percent, run_arms
from benchmarks.losses import run_losses

DETECTOR = 'detection/mask-rcnn_um-swin-nano_fpn_nuclei.py'
# start of the detector -> its pre-training, on the same images with the same backbone
STARTS = {
    'scratch': None,
    'um_mae': 'selfsup/um_mae_swin_nano_nuclei.py',
    'two_stages': 'selfsup/um_mae_swin_nano_nuclei_two_stages.py',
    'cross': 'selfsup/um_cross_mae_swin_nano_nuclei.py',
    'simmim': 'selfsup/simmim_um_swin_nano_nuclei.py',
}
NAMES = dict(
    scratch='from scratch',
    um_mae='UM-MAE',
    two_stages='UM-MAE, decoder of two stages',
    cross='UM-MAE, cross-attention decoder',
    simmim='SimMIM',
)
LABELS = (25, 50, 100, 200, 497)
RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)
DECAYS = (1.0, 0.75)
# row -> pre-training (a key of STARTS), --cfg-options of it: one change of UM-MAE a row, or two
ABLATIONS = {
    'decoder of two stages': ('two_stages', ()),
    'cross-attention decoder': ('cross', ()),
    'pixels for normalised pixels': ('um_mae', ('model.head.norm_pix=False',)),
    'decoder of two stages, pixels': ('two_stages', ('model.head.norm_pix=False',)),
    'cross-attention decoder, pixels': ('cross', ('model.head.norm_pix=False',)),
    'no secondary masking': (
        'um_mae',
        ('train_dataloader.dataset.pipeline.3.secondary_ratio=0.0',),
    ),
    'secondary ratio 0.15': (
        'um_mae',
        ('train_dataloader.dataset.pipeline.3.secondary_ratio=0.15',),
    ),
    'secondary ratio 0.35': (
        'um_mae',
        ('train_dataloader.dataset.pipeline.3.secondary_ratio=0.35',),
    ),
    'secondary ratio 0.5': ('um_mae', ('train_dataloader.dataset.pipeline.3.secondary_ratio=0.5',)),
    "positions as in the authors' code": ('um_mae', ('model.neck.visible_positions=official',)),
    'decoder depth 1': ('um_mae', ('model.neck.depth=1',)),
    'decoder depth 4': ('um_mae', ('model.neck.depth=4',)),
    'crops of 10 to 50 %': (
        'um_mae',
        ('train_dataloader.dataset.pipeline.1.crop_ratio_range=(0.1,0.5)',),
    ),
    'learning rate 1e-3': ('um_mae', ('optim_wrapper.optimizer.lr=0.001',)),
    'learning rate 2.5e-4': ('um_mae', ('optim_wrapper.optimizer.lr=0.00025',)),
}


class NucleiStudy:
    """The studies, each a method that returns ``about`` and ``rows``.

    Args:
        data (str): The data set, of ``tools/prepare_data.py nuclei``.
        seeds (Sequence[int]): Of every row.
        starts (Sequence[str]): Keys of ``STARTS``.
        labels (Sequence[int]): Numbers of labelled images.
        pretrain_iters (Sequence[int]): Steps of pre-trainings.
        detect_iters (int): Steps of detectors.
        work_dir (str | Path): For the runs and their logs.
        jobs (int): Runs at a time, which share the cores.
        report (Callable): Gets lines of progress.
        once (bool): Pre-train with seed 0 only, for the detectors of all seeds. Defaults to False.
        pretrain_options (Sequence[str]): ``--cfg-options`` of all pre-trainings. Defaults to ().
        detect_options (Sequence[str]): ``--cfg-options`` of all detectors. Defaults to ().
        rows (Sequence[str]): Keys of ``ABLATIONS``. Defaults to all.
    """

    def __init__(
        self,
        data,
        seeds,
        starts,
        labels,
        pretrain_iters,
        detect_iters,
        work_dir,
        jobs,
        report,
        once=False,
        pretrain_options=(),
        detect_options=(),
        rows=tuple(ABLATIONS),
    ):
        self.data, self.seeds, self.starts, self.labels = data, seeds, starts, labels
        self.pretrain_iters, self.detect_iters = pretrain_iters, detect_iters
        self.work_dir, self.jobs, self.report, self.once = work_dir, jobs, report, once
        self.pretrain_options, self.detect_options = pretrain_options, detect_options
        self.rows = rows

    def curves(self):
        """AP of detectors after pre-trainings of several lengths."""
        arms = [self.arm('scratch', self.labels[0])]
        arms += [
            self.arm(start, self.labels[0], iters, against=NAMES['scratch'], steps=True)
            for iters in self.pretrain_iters
            for start in self.starts
            if STARTS[start]
        ]
        return self.about(self.labels[0]), self.run(arms)

    def starts_chosen(self):
        """Every start at the best of several learning rates and layer decays.

        They are chosen with the first seed on one half of the validation images, and reported with
        all seeds on the other.
        """
        iters, labels = self.pretrain_iters[0], self.labels[0]
        choices = {}
        for start in self.starts:
            for rate in RATES:
                for decay in DECAYS:
                    options = (
                        f'optim_wrapper.optimizer.lr={rate}',
                        f'optim_wrapper.paramwise_cfg.layer_decay_rate={decay}',
                    )
                    setting = f', lr {rate:g}, layer decay {decay:g}'
                    arm = self.arm(start, labels, iters, options, setting=setting, half='choose')
                    choices[arm] = (start, setting, options)
        tried = run_arms(
            list(choices), self.seeds[:1], self.work_dir, self.jobs, self.report, self.once
        )
        best = {}
        for row, (start, setting, options) in zip(tried, choices.values()):
            ap = percent(row, 'segm_mAP')[0]
            if start not in best or ap > best[start][0]:
                best[start] = (ap, setting, options)
        names = {start: NAMES[start] + setting for start, (_, setting, _) in best.items()}
        arms = [
            self.arm(start, labels, iters, options, names.get('scratch'), setting=setting)
            for start, (_, setting, options) in best.items()
        ]
        rows = self.run(arms)
        return (
            f'{self.about(labels)} Learning rate and layer decay of every start: the best of '
            f'{len(RATES)} x {len(DECAYS)} on the other half of the validation images.',
            rows,
            dict(tried=tried),
        )

    def label_curve(self):
        """AP over the number of labelled images, from every start."""
        arms = [
            self.arm(start, number, self.pretrain_iters[0], against_start='scratch', named=True)
            for number in self.labels
            for start in self.starts
        ]
        return self.about(None), self.run(arms)

    def ablations(self):
        """Changes of the pre-training, one a row."""
        iters, labels, reference = self.pretrain_iters[0], self.labels[0], NAMES['um_mae']
        arms = [self.arm('um_mae', labels, iters), self.arm('scratch', labels, against=reference)]
        arms += [
            self.arm(ABLATIONS[row][0], labels, iters, against=reference, row=row)
            for row in self.rows
        ]
        return self.about(labels), self.run(arms)

    def losses(self):
        """Loss curves of the pre-trainings of the ablations, without detectors."""
        iters, labels = self.pretrain_iters[0], self.labels[0]
        arms = [self.arm('um_mae', labels, iters)]
        arms += [self.arm(ABLATIONS[row][0], labels, iters, row=row) for row in self.rows]
        about = 'A very small Swin on the 497 training images of nuclei, crops of 128 px, batch 64.'
        return about, run_losses(arms, self.seeds, self.work_dir, self.jobs, self.report)

    def run(self, arms):
        return run_arms(arms, self.seeds, self.work_dir, self.jobs, self.report, self.once)

    def about(self, labels):
        """The setting in words."""
        images = f'{labels} labelled images' if labels else 'labelled images as said'
        return (
            f'Mask R-CNN with a very small Swin on nuclei, {images}, {self.detect_iters} steps; '
            'pre-training on the 497 training images.'
        )

    def arm(
        self,
        start,
        labels,
        iters=0,
        options=(),
        against=None,
        against_start=None,
        named=False,
        steps=False,
        setting='',
        row=None,
        half='report',
    ):
        """A row: a start, and a detector on so many labelled images."""
        end = f', {labels} labels' if named else ''
        end += f', {iters} steps' if steps else ''
        name = (row or NAMES[start]) + setting + end
        if against_start and start != against_start:
            against = NAMES[against_start] + setting + end
        annotations = 'train' if labels == 497 else f'train_{labels}'
        pretraining = STARTS[start]
        return Arm(
            name,
            DETECTOR,
            self.detect_iters,
            (
                f'data_root={self.data}/',
                f'train_annotations=annotations/{annotations}.json',
                f'val_dataloader.dataset.ann_file=annotations/val_{half}.json',
                f'val_evaluator.ann_file={self.data}/annotations/val_{half}.json',
                *self.detect_options,
                *options,
            ),
            pretraining,
            iters if pretraining else 0,
            (
                f'data_root={self.data}/train',
                *self.pretrain_options,
                *(ABLATIONS[row][1] if row else ()),
            )
            if pretraining
            else (),
            None if against == name else against,
            dict(start=start, labels=labels, half=half),
            f'{name} {half}' if half == 'choose' else None,
        )
