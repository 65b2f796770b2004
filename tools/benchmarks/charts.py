"""Charts of the studies."""

import statistics
from itertools import cycle

import matplotlib.pyplot as plt

from benchmarks.arms import percent

COLOURS = dict(
    scratch='#9e9e9e',
    um_mae='#1f6f8b',
    two_stages='#c44e52',
    local='#2f2f2f',
    cross='#8172b3',
    simmim='#e0a458',
    supervised='#6a8a4f',
)
LINES = '-', '--', '-.', ':'  # of the layer decays of a start


def save(figure, axes, path):
    """Write a chart without a frame."""
    axes.spines[['top', 'right']].set_visible(False)
    # outside, where no line can cross it
    few = len(axes.get_legend_handles_labels()[0]) <= 2
    place, corner = ('lower left', (0, 1)) if few else ('center left', (1, 0.5))
    axes.legend(frameon=False, loc=place, bbox_to_anchor=corner)
    figure.savefig(path, bbox_inches='tight')
    plt.close(figure)


def ap_over(result, names, path, key, label):
    """Mask AP over a number of every row (a factor, or ``pretrain_iters``): a line for every start
    and layer decay, a dot for every seed."""
    figure, axes = plt.subplots(figsize=(5.5, 3.6), dpi=120)
    lines = {}
    for row in result['rows']:
        decays = lines.setdefault(row['factors']['start'], {})
        decays.setdefault(row['factors'].get('layer_decay'), []).append(row)
    every = [
        (start, decay, style, rows)
        for start, decays in lines.items()
        for style, (decay, rows) in zip(cycle(LINES), decays.items())
    ]
    for start, decay, style, rows in every:
        x = [row['factors'].get(key) or row.get(key) for row in rows]
        colour = COLOURS[start]
        means = [statistics.fmean(percent(row, 'segm_mAP')) for row in rows]
        if len(rows) == 1 and not x[0]:  # from scratch: at every length
            axes.axhline(means[0], color=colour, linestyle='--', label=names[start])
            continue
        name = names[start]
        if len(lines[start]) > 1:
            name += f', layer decay {decay:g}'
        axes.plot(x, means, style, color=colour, label=name)
        for at, row in zip(x, rows):
            axes.plot([at] * len(row['ap']), percent(row, 'segm_mAP'), '.', color=colour)
    axes.set_xscale('log')
    ticks = sorted({row['factors'].get(key) or row.get(key) for row in result['rows']} - {0, None})
    axes.set_xticks(ticks, ticks)
    axes.minorticks_off()
    axes.set_xlabel(label)
    axes.set_ylabel('mask AP, per cent')
    save(figure, axes, path)


def ap_bars(result, names, path):
    """Mask AP of every row: bars of means, a dot for every seed."""
    rows = result['rows'][::-1]
    figure, axes = plt.subplots(figsize=(6.5, 0.8 + 0.36 * len(rows)), dpi=120)
    for place, row in enumerate(rows):
        values = percent(row, 'segm_mAP')
        axes.barh(place, statistics.fmean(values), 0.6, color=COLOURS[row['factors']['start']])
        axes.plot(values, [place] * len(values), 'o', color='black', markersize=3)
    axes.set_yticks(range(len(rows)), [row['name'] for row in rows])
    axes.set_xlabel('mask AP, per cent')
    axes.spines[['top', 'right']].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
