"""Charts of the studies."""

import statistics

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


def save(figure, axes, path):
    """Write a chart without a frame."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def ap_over(result, names, path, key, label):
    """Mask AP over a number of every row (a factor, or ``pretrain_iters``): a line for every start,
    a dot for every seed."""
    figure, axes = plt.subplots(figsize=(5.5, 3.6), dpi=120)
    lines = {}
    for row in result['rows']:
        lines.setdefault(row['factors']['start'], []).append(row)
    for start, rows in lines.items():
        x = [row['factors'].get(key) or row.get(key) for row in rows]
        colour = COLOURS[start]
        means = [statistics.fmean(percent(row, 'segm_mAP')) for row in rows]
        if len(rows) == 1 and not x[0]:  # from scratch: at every length
            axes.axhline(means[0], color=colour, linestyle='--', label=names[start])
            continue
        axes.plot(x, means, '-', color=colour, label=names[start])
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
