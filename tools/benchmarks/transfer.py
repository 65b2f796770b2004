"""The worth of pre-training: the same heads from scratch and from pre-trainings, on the mini data
set, over seeds."""

import statistics

import matplotlib.pyplot as plt

from benchmarks import losses
from benchmarks.arms import gain_of, spread
from benchmarks.charts import COLOURS
from benchmarks.report import caption_of, markdown_table
from benchmarks.runs import TEST, TRAIN, Run
from benchmarks.scores import METRICS, SCORES, score

# start of the detector -> its pre-training, on the same images, with the same backbone
STARTS = {
    'scratch': None,
    'um_mae': 'um_mae_swin_nano_mini.py',
    'two_stages': 'um_mae_swin_nano_mini_two_stages.py',
    'cross': 'um_cross_mae_swin_nano_mini.py',
    'cross_longer': 'um_cross_mae_swin_nano_mini.py',
    'simmim': 'simmim_um_swin_nano_mini.py',
}
# All train for as many epochs but one, whose steps are shorter: it takes about as long.
EPOCHS = dict(cross_longer=16)
# Backbones that were pre-trained train their first layers slower, as the configs have it; from
# scratch these have most to learn.
SCRATCH = ('optim_wrapper.paramwise_cfg.layer_decay_rate=1.0',)
DEFAULT_STARTS = ('scratch', 'um_mae', 'simmim')
HEADS = {
    'mask_rcnn': 'detection/mask-rcnn_um-swin-nano_fpn_mini.py',
    'cascade_mask_rcnn': 'detection/cascade-mask-rcnn_um-swin-nano_fpn_mini.py',
    'htc': 'detection/htc-without-semantic_um-swin-nano_fpn_mini.py',
    'upernet': 'segmentation/upernet_um-swin-nano_mini.py',
    'knn': 'classification/um-swin-nano_knn_mini.py',  # tested as it is
}
DEFAULT_HEADS = ('mask_rcnn', 'cascade_mask_rcnn', 'htc', 'upernet')
NAMES = dict(
    scratch='from scratch',
    um_mae='UM-MAE',
    two_stages='UM-MAE, decoder of two stages',
    cross='UM-MAE, cross-attention decoder',
    cross_longer='UM-MAE, cross-attention decoder, 16 epochs',
    simmim='SimMIM',
    mask_rcnn='Mask R-CNN',
    cascade_mask_rcnn='Cascade Mask R-CNN',
    htc='HTC (without semantic)',
    upernet='UPerNet',
    knn='k-NN',
)


def run_transfer(
    runs,
    data,
    seeds,
    starts,
    heads,
    pretrain_options=(),
    detect_options=(),
    once=False,
    segment_options=(),
    knn_options=(),
    digits='data/mini_classes',
    detect_epochs=None,
):
    """Pre-train once a seed and method, then train every head from every start with every seed.

    Args:
        runs (Runs): Makes the runs.
        data (str | Path): The mini data set.
        seeds (Sequence[int]): One of everything for each.
        starts (Sequence[str]): Keys of ``STARTS``.
        heads (Sequence[str]): Keys of ``HEADS``.
        pretrain_options (Sequence[str]): ``--cfg-options`` of pre-trainings. Defaults to ().
        detect_options (Sequence[str]): ``--cfg-options`` of detectors. Defaults to ().
        once (bool): Pre-train with the first seed only, for the heads of all seeds. Defaults to
            False.
        segment_options (Sequence[str]): ``--cfg-options`` of UPerNet. Defaults to ().
        knn_options (Sequence[str]): ``--cfg-options`` of k-NN. Defaults to ().
        digits (str | Path): Images by class, for k-NN. Defaults to 'data/mini_classes'.
        detect_epochs (int, optional): Epochs of detectors. Defaults to None: those of the configs.

    Returns:
        dict: ``settings``; ``pretraining`` and ``runs``: method or head and start, seed, seconds,
        and ``loss`` and ``curve`` or ``ap``.
    """
    first = {
        (method, seed): Run(
            f'pretrain_{method}_{seed}',
            f'pre-training {NAMES[method]}, seed {seed}',
            f'selfsup/{STARTS[method]}',
            (f'data_root={data}/unlabelled', f'randomness.seed={seed}', *pretrain_options),
            ('--epochs', str(EPOCHS[method])) if method in EPOCHS else (),
        )
        for seed in (seeds[:1] if once else seeds)
        for method in starts
        if STARTS[method]
    }
    options = dict.fromkeys(HEADS, detect_options) | dict(upernet=segment_options, knn=knn_options)
    length = ('--epochs', str(detect_epochs)) if detect_epochs else ()
    second = {
        (head, start, seed): Run(
            f'{head}_{start}_{seed}',
            f'{NAMES[head]}, {NAMES[start]}, seed {seed}',
            HEADS[head],
            (
                f'data_root={digits if head == "knn" else data}',
                f'randomness.seed={seed}',
                *(SCRATCH if start == 'scratch' and head != 'knn' else ()),
                *options[head],
            ),
            length if HEADS[head].startswith('detection/') else (),
            start=first.get((start, seeds[0] if once else seed)),
            tool=TEST if head == 'knn' else TRAIN,
        )
        for start in starts
        for seed in seeds
        for head in heads
    }
    found = runs.make(list(second.values()))
    return dict(
        settings=dict(
            once=once,
            pretrain_options=list(pretrain_options),
            detect_options=list(detect_options),
            detect_epochs=detect_epochs,
        ),
        pretraining=[
            dict(method=method, seed=seed, **found[run]) for (method, seed), run in first.items()
        ],
        runs=[
            dict(head=head, start=start, seed=seed, **found[second[head, start, seed]])
            for seed in seeds
            for head in heads
            for start in starts
        ],
        record=runs.record,
    )


def by_head_and_start(result):
    """{head: {start: {metric: of each seed, in per cent}}}, in the order of the runs."""
    found = {}
    for run in result['runs']:
        one = found.setdefault(run['head'], {}).setdefault(run['start'], {})
        for metric, value in run['ap'].items():
            one.setdefault(metric, []).append(100 * value)
    return found


def table(result):
    """The result as Markdown."""
    rows, scored, found = [], {}, by_head_and_start(result)
    metrics = {metric for starts in found.values() for one in starts.values() for metric in one}
    further = {name: key for name, key in SCORES.items() if key in metrics - {*METRICS}}
    columns = [*(METRICS if {*METRICS} & metrics else ()), *further.values()]
    for head, starts in found.items():
        for start, one in starts.items():
            base = starts.get('scratch')
            name, key = score(one)
            scored[name] = None
            gain = '-'
            if start != 'scratch' and base:
                gain = gain_of([a - b for a, b in zip(one[key], base[key])])
            cells = [spread(one[metric]) if metric in one else '-' for metric in columns]
            rows.append([NAMES[head], NAMES[start], *cells, gain])
    seeds = sorted({run['seed'] for run in result['runs']})
    first = (
        'all after one pre-training a method'
        if result['settings']['once']
        else 'each with its own pre-trainings'
    )
    epochs = result['settings'].get('detect_epochs')
    length = f'Detectors: {epochs} epochs. ' if epochs else ''
    own = any(run['start'] in EPOCHS for run in result['runs'])
    caption = (
        f'{caption_of(result)} Seeds {", ".join(map(str, seeds))}, {first}, of equally many '
        f'epochs{" where nothing else is said" if own else ""}. {length}'
        f'{"All" if further else "AP"} in per cent on '
        f'the validation images, mean (lowest-highest) over seeds; gain: {", ".join(scored)} minus '
        'that of the start from scratch, paired by seed, with its bootstrapped 95 % interval.'
    )
    curves = loss_rows(result)
    last = {}
    for run in result['pretraining']:
        last.setdefault(run['method'], []).append(run['loss'])
    for method, values in last.items():
        if NAMES[method] not in {row['name'] for row in curves}:
            caption += f' Last loss of {NAMES[method]}: {spread(values, 3)}.'
    names = dict(zip(METRICS, ('box AP', 'box AP50', 'mask AP', 'mask AP50')))
    names |= {key: name for name, key in further.items()}
    head = ['head', 'start', *(names[column] for column in columns)]
    head.append('gain')
    second = losses.table_of(curves, 'The pre-trainings, means over seeds.') if curves else ''
    return markdown_table(head, rows, caption) + ('\n' + second if second else '')


def loss_rows(result):
    """Rows for ``losses``: the pre-trainings that were made with several seeds."""
    curves = {}
    for run in result['pretraining']:
        if 'mean_colour' in run['curve'][-1]:  # SimMIM has no trivial answers beside it
            curves.setdefault(run['method'], []).append(run['curve'])
    return [
        dict(name=NAMES[method], pretrain_iters=seeds[0][-1]['step'], curves=seeds)
        for method, seeds in curves.items()
        if len(seeds) > 1
    ]


def picture(result, path):
    """Write a chart of mask AP, mIoU, accuracy: bars of means, a dot for every seed."""
    found = by_head_and_start(result)
    figure, axes = plt.subplots(figsize=(1.5 + 2.2 * len(found), 3.2), dpi=120)
    colours = COLOURS | dict(cross_longer='#b3a6cf')
    width = 0.8 / max(len(starts) for starts in found.values())
    labelled, scores = set(), {}
    for x, (head, starts) in enumerate(found.items()):
        for i, (start, one) in enumerate(starts.items()):
            place = x + (i - (len(starts) - 1) / 2) * width
            name, key = score(one)
            values = one[key]
            scores[name] = None
            axes.bar(
                place,
                statistics.fmean(values),
                0.93 * width,
                color=colours[start],
                label=None if start in labelled else NAMES[start],
            )
            axes.plot([place] * len(values), values, 'o', color='black', markersize=3)
            labelled.add(start)
    axes.set_xticks(range(len(found)), [NAMES[head] for head in found])
    axes.set_ylabel(f'{", ".join(scores)}, per cent')
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False, loc='center left', bbox_to_anchor=(1, 0.5))
    figure.savefig(path, bbox_inches='tight')
    plt.close(figure)
