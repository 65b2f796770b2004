"""Losses of pre-trainings over their steps, against answers that need no learning."""

import statistics

import matplotlib.pyplot as plt

from benchmarks.report import caption_of, markdown_table

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)  # of the steps, at which the table has the loss


def run_losses(arms, seeds, runs):
    """Make the pre-trainings of all arms.

    Args:
        arms (Sequence[Arm]): Rows with a pre-training.
        seeds (Sequence[int]): Every one is made with each.
        runs (Runs): Makes them.

    Returns:
        list[dict]: Of every arm ``name``, ``pretrain_iters`` and ``seeds``, and by seed ``seconds``
        and ``curves``.
    """
    first = {(arm, seed): arm.detector_run(seed, seed).start for seed in seeds for arm in arms}
    found = runs.make(list(first.values()))
    return [
        dict(
            name=arm.name,
            pretrain_iters=arm.pretrain_iters,
            seeds=list(seeds),
            seconds=[found[first[arm, seed]]['seconds'] for seed in seeds],
            curves=[found[first[arm, seed]]['curve'] for seed in seeds],
        )
        for arm in arms
    ]


def rows_of(result, names):
    """Rows of losses from a result with detectors: its longest pre-trainings.

    Args:
        result (dict): As of ``NucleiStudy.result``.
        names (dict[str, str]): Names of starts, for rows whose own name says more.

    Returns:
        list[dict]: ``name``, ``pretrain_iters`` and ``curves``, once for every pre-training that
        logs trivial answers: SimMIM and supervised ones do not.
    """
    rows = {}
    for row in result['rows']:
        curves = [start['curve'] for start in row['pretraining'] if start.get('curve')]
        curves = [curve for curve in curves if 'mean_colour' in curve[-1]]
        if not curves:
            continue
        start = names[row['factors']['start']]
        name = start if row['name'].startswith(start) else row['name']
        iters = curves[0][-1]['step']
        rows.setdefault(str(curves), dict(name=name, pretrain_iters=iters, curves=curves))
    longest = max((row['pretrain_iters'] for row in rows.values()), default=0)
    return [row for row in rows.values() if row['pretrain_iters'] == longest]


def trivial(curves, key):
    """Mean score of a trivial answer over the batches of some curves; None if none logged it."""
    scores = [point[key] for curve in curves for point in curve if key in point]
    return statistics.fmean(scores) if scores else None


def loss_at(curve, step):
    """The loss that was logged nearest to a step."""
    return min(curve, key=lambda point: abs(point['step'] - step))['loss']


def first_below_trivial(curves, key):
    """For every curve, the step from which on its loss stays below a trivial answer, or None.

    The answer counts as it scored on the batches of the same curve, or, if that one did not log it,
    of the others.
    """
    of_all = trivial(curves, key)
    return [first_below(curve, trivial([curve], key) or of_all) for curve in curves]


def first_below(curve, level):
    """The first logged step from which on the loss stays below a level, or None."""
    above = [point['step'] for point in curve if point['loss'] >= level]
    after = [point['step'] for point in curve if not above or point['step'] > above[-1]]
    return after[0] if after else None


def table(result):
    """The result as Markdown."""
    seeds = ', '.join(map(str, result['rows'][0]['seeds']))
    caption = f'{caption_of(result)} {result["settings"]["about"]} Seeds {seeds}.'
    return table_of(result['rows'], caption)


def table_of(rows, caption):
    """Losses as Markdown.

    Args:
        rows (Sequence[dict]): As of ``run_losses``.
        caption (str): What they are of; what the columns are is added.

    Returns:
        str: A table, at steps of the shortest row.
    """
    iters = min(row['pretrain_iters'] for row in rows)
    steps = [round(share * iters) for share in SHARES]
    # files that were written before this score was logged have two
    own = all(trivial(row['curves'], 'own_colour') for row in rows)
    answers = ['mean_colour', 'interpolation', *(['own_colour'] if own else [])]
    bounds = ['mean_colour', *(['own_colour'] if own else [])]
    lines = []
    for row in rows:
        losses = [statistics.fmean(loss_at(c, step) for c in row['curves']) for step in steps]
        scores = [trivial(row['curves'], key) for key in answers]
        below = [first_below_trivial(row['curves'], key) for key in bounds]
        lines.append(
            [
                row['name'],
                *(f'{value:.4f}' for value in (*losses, *scores)),
                *(', '.join(str(step or 'not reached') for step in found) for found in below),
            ]
        )
    scored = 'the mean colour of the visible units and an interpolation between them score'
    stays = 'the loss stays below the mean colour'
    if own:
        scored = (
            'the mean colour of the visible units, an interpolation between them and every '
            'removed unit in its own colour score'
        )
        stays += ', and below the own colour'
    caption += (
        f' The loss after so many steps, what {scored} on average, and the step from which on '
        f'{stays}.'
    )
    head = ['pre-training', *(f'{step} steps' for step in steps)]
    head += [key.replace('_', ' ') for key in answers]
    head += [f'below the {key.replace("_", " ")} from' for key in bounds]
    return markdown_table(head, lines, caption)


def picture(rows, path):
    """Write a chart: the loss over that of the mean colour, by step; 1 is that trivial answer."""
    figure, axes = plt.subplots(figsize=(6, 3.6), dpi=120)
    lowest, highest = 1.0, 1.0
    for number, row in enumerate(rows):
        colour = trivial(row['curves'], 'mean_colour')
        for curve in row['curves']:
            values = [point['loss'] / colour for point in curve]
            begun = 0.03 * curve[-1]['step']  # the first steps are far above
            shown = [value for point, value in zip(curve, values) if point['step'] > begun]
            lowest, highest = min(lowest, *shown), max(highest, *shown)
            axes.plot(
                [point['step'] for point in curve],
                values,
                color=f'C{number}',
                label=row['name'] if curve is row['curves'][0] else None,
            )
    axes.axhline(1, color='black', linestyle=':', label='mean colour')
    if own := trivial(rows[0]['curves'], 'own_colour'):
        level = own / trivial(rows[0]['curves'], 'mean_colour')
        lowest = min(lowest, level)
        axes.axhline(level, color='black', linestyle='-.', label='own colour')
    axes.set_ylim(0.9 * lowest, min(2, 1.05 * highest))
    axes.set_xlabel('steps of pre-training')
    axes.set_ylabel('loss / loss of the mean colour')
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(facecolor='white', edgecolor='white', framealpha=1)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
