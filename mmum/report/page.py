"""Put a report together: one HTML file without requests."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmum.report.charts import line_chart
from mmum.report.runs import Run

HERE = Path(__file__).parent
# Title -> scalar of every run, and what is drawn beside it; unit and factor.
CHARTS: tuple[tuple[str, tuple[str, ...], str, float], ...] = (
    ('loss', ('loss', 'mean_colour', 'interpolation', 'own_colour'), '', 1),
    ('learning rate', ('lr',), '', 1),
    ('gradient norm', ('grad_norm',), '', 1),
    ('images/s', ('images_per_s',), '', 1),
    ('time that waits for data', ('data_share',), ' %', 100),
    ('model FLOP utilisation', ('mfu',), ' %', 100),
    ('GPU memory', ('memory',), ' GB', 1 / 1024),
)
MAX_SIDE = 1400  # of an embedded picture, in pixels
MAX_SETTINGS = 300  # rows of the table
MAX_BAD = 20  # unreadable images that are listed
RESAMPLES = 10000
ENDS = ('_low', '_high')  # of the interval of a score, after its name


def write_page(runs: Sequence[Run]) -> str:
    """Write the report on runs.

    Args:
        runs (Sequence[Run]): One or several, which are compared.

    Returns:
        str: HTML.
    """
    parts = [
        _section('Runs', _table_of_runs(runs)),
        _section('Settings that differ' if runs[1:] else 'Settings', _settings(runs)),
        _section('Curves', _curves(runs)),
        _section('Results of the last validation', _results(runs)),
        _section('Reconstructions', _reconstructions(runs)),
        _section('Truth and predictions', _predictions(runs)),
        _section('Time line', _events(runs)),
    ]
    title = ', '.join(run.name for run in runs)
    style, script = ((HERE / f'page.{kind}').read_text() for kind in ('css', 'js'))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{style}</style>'
        f'</head><body><header><h1>{escape(title)}</h1><button id="theme">light / dark</button>'
        f'</header>{"".join(parts)}<script>{script}</script></body></html>\n'
    )


def _section(title: str, content: str) -> str:
    return f'<section><h2>{escape(title)}</h2>{content}</section>' if content else ''


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are HTML already."""
    first = ''.join(f'<th>{cell}</th>' for cell in head)
    body = ''.join(f'<tr>{"".join(f"<td>{cell}</td>" for cell in row)}</tr>' for row in rows)
    return f'<div class="wide"><table><tr>{first}</tr>{body}</table></div>'


def _key(number: int, run: Run) -> str:
    return f'<span class="key run{number % 8}"></span><span class="name">{escape(run.name)}</span>'


def _table_of_runs(runs: Sequence[Run]) -> str:
    rows = []
    for number, run in enumerate(runs):
        steps, speed = run.curve('loss'), [value for _, value in run.curve('images_per_s')]
        memory = max((value for _, value in run.curve('memory')), default=0)
        times = [time for time, _ in run.events]
        rows.append(
            [
                _key(number, run),
                escape(run.config_name),
                f'<span class="time">{times[0]:%Y-%m-%d %H:%M}</span>' if times else '-',
                str(timedelta(seconds=round((times[-1] - times[0]).total_seconds())))
                if len(times) > 1
                else '-',
                str(len(run.starts)),
                f'{steps[-1][0]:g}' if steps else '-',
                f'{steps[-1][1]:.4g}' if steps else '-',
                f'{np.median(speed):.4g}' if speed else '-',
                f'{memory / 1024:.1f} GB' if memory else '-',
            ]
        )
    head = ['run', 'config', 'begun', 'took', 'starts', 'steps', 'last loss', 'images/s', 'memory']
    return _table(head, rows)


def _settings(runs: Sequence[Run]) -> str:
    keys = list(dict.fromkeys(key for run in runs for key in run.config))
    if not keys:
        return ''
    if runs[1:]:
        keys = [key for key in keys if len({run.config.get(key) for run in runs}) > 1]
        if not keys:
            return '<p>None: the configs are the same.</p>'
    else:
        chosen = ('optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader', 'model')
        keys = [key for key in keys if key.split('.')[0] in chosen and 'pipeline' not in key]
    rows = [
        [f'<code>{escape(key)}</code>']
        + [f'<code>{escape(run.config.get(key, "-"))}</code>' for run in runs]
        for key in keys[:MAX_SETTINGS]
    ]
    if keys[MAX_SETTINGS:]:
        rows.append([f'and {len(keys) - MAX_SETTINGS} more', *('' for _ in runs)])
    table = _table(['key', *(_key(i, run) for i, run in enumerate(runs))], rows)
    if runs[1:]:
        return table
    return f'<details><summary>{len(keys)} keys of the config</summary>{table}</details>'


def _curves(runs: Sequence[Run]) -> str:
    charts = []
    for title, keys, unit, factor in CHARTS:
        series: dict[int, dict[str, Any]] = {}
        for number, run in enumerate(runs):
            for key in keys:
                points = [(x, y * factor) for x, y in run.curve(key)]
                name = run.name
                if keys[1:]:
                    name += f': {key.replace("_", " ")}'
                series.setdefault(number, {})[name] = points
        charts.append(line_chart(title, series, unit))
    scores = dict.fromkeys(key for run in runs for key in run.metrics if not _is_end(key))
    for key in scores:
        scored = {i: {run.name: run.curve(key)} for i, run in enumerate(runs)}
        if any(len(points) > 1 for named in scored.values() for points in named.values()):
            charts.append(line_chart(key, scored))
    return f'<div class="charts">{"".join(charts)}</div>' if any(charts) else ''


def _results(runs: Sequence[Run]) -> str:
    keys = list(dict.fromkeys(key for run in runs for key in run.metrics if not _is_end(key)))
    if not keys:
        return ''
    rows = [
        [_key(i, run)] + [_score(run.metrics, key) for key in keys] for i, run in enumerate(runs)
    ]
    for members in _seeds(runs):
        cells = []
        for key in keys:
            values = [run.metrics[key] for run in members if key in run.metrics]
            cells.append(_interval(values) if len(values) > 1 else '-')
        names = ', '.join(escape(run.name) for run in members)
        rows.append([f'mean of {len(members)} seeds<br><span class="faint">{names}</span>', *cells])
    notes = []
    if any(_is_end(key) for run in runs for key in run.metrics):
        notes.append('Of a run: its 95 % interval, bootstrapped over the images.')
    if len(rows) > len(runs):
        notes.append('Of seeds: their mean, and its 95 % interval, bootstrapped over the seeds.')
    note = f'<p class="faint">{" ".join(notes)}</p>' if notes else ''
    return _table(['run', *(escape(key) for key in keys)], rows) + note


def _is_end(key: str) -> bool:
    """Whether a score is an end of an interval of another."""
    return key.endswith(ENDS)


def _score(metrics: dict[str, float], key: str) -> str:
    """A score of a run, with its interval where there is one."""
    value = metrics.get(key)
    if value == -1 and 'AP' in key:
        return '-'  # COCO's: there is no object of this size
    text = _number(value)
    ends = [metrics.get(key + end) for end in ENDS]
    if None in ends:
        return text
    return f'<span class="score">{text} ({" to ".join(map(_number, ends))})</span>'


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.4g}'


def _seeds(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ in their seed, and in the checkpoint that they start from at most by a
    number in its name, as every seed may have its own pre-training."""
    return [
        members
        for alike in _alike(runs, lambda checkpoint: re.sub(r'\d+', '0', checkpoint))
        for members in ([alike] if _differ_in_seed(alike) else _alike(alike, str))
        if members[1:] and members[0].config and _differ_in_seed(members)
    ]


def _alike(runs: Sequence[Run], name: Callable[[str], str]) -> list[list[Run]]:
    """Groups of runs that differ in their seed at most, with checkpoints under such a name."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        same = {
            key: name(value) if 'checkpoint' in key or key == 'pretrained' else value
            for key, value in run.config.items()
            if not key.startswith('randomness')
        }
        groups.setdefault(json.dumps(same), []).append(run)
    return list(groups.values())


def _differ_in_seed(runs: Sequence[Run]) -> bool:
    """Whether no seed that was set occurs twice."""
    seeds = [seed for run in runs if (seed := run.config.get('randomness.seed', 'None')) != 'None']
    return len(set(seeds)) == len(seeds)


def _interval(values: Sequence[float]) -> str:
    draws = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(1)
    ends: list[float] = np.percentile(draws, [2.5, 97.5]).tolist()  # type: ignore[assignment]
    return f'{np.mean(values):.4g} ({ends[0]:.4g} to {ends[1]:.4g})'


def _reconstructions(runs: Sequence[Run]) -> str:
    figures = []
    for i, run in enumerate(runs):
        frames = run.reconstructions
        if not frames:
            continue
        labels = escape(json.dumps([name for name, _ in frames]), quote=True)
        images = ''.join(_image(path, name) for name, path in frames)
        figures.append(
            f'<figure data-frames="{labels}">{images}<figcaption>{_key(i, run)}: '
            '<span class="frame"></span></figcaption></figure>'
        )
    if not figures:
        return ''
    return (
        '<p>Columns: masked input, reconstruction, original.</p><div class="slider"><label>first '
        '<input type="range" min="0" max="1000" value="1000" aria-label="epoch or step"> last'
        f'</label></div><div class="pictures">{"".join(figures)}</div>'
    )


def _predictions(runs: Sequence[Run]) -> str:
    """A row per image: the truth once, then the prediction of every run."""
    numbers = sorted({number for run in runs for number in run.predictions})
    rows = []
    for number in numbers:
        figures: list[str] = []
        for i, run in enumerate(runs):
            path = run.predictions.get(number)
            if path is None:
                continue
            figures = figures or [_captioned(_image(path, 'truth', 0), 'truth')]
            figures.append(_captioned(_image(path, run.name, 1), _key(i, run)))
        rows.append(f'<div class="row">{"".join(figures)}</div>')
    return ''.join(rows)


def _captioned(image: str, caption: str) -> str:
    return f'<figure>{image}<figcaption>{caption}</figcaption></figure>'


def _image(path: Path, text: str, half: int | None = None) -> str:
    """A picture, embedded; of one of truth and prediction side by side, the left or right half."""
    pixels: Any = cv2.imread(str(path))
    if pixels is None:  # a kill cut it off
        return f'<p class="faint">{escape(path.name)} cannot be read</p>'
    if half is not None:
        middle = pixels.shape[1] // 2
        pixels = pixels[:, middle:] if half else pixels[:, :middle]
    scale = MAX_SIDE / max(pixels.shape[:2])
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])
    data = base64.b64encode(content.tobytes()).decode()
    return f'<img alt="{escape(text, quote=True)}" src="data:image/jpeg;base64,{data}">'


def _events(runs: Sequence[Run]) -> str:
    parts = []
    for i, run in enumerate(runs):
        lines = ''.join(
            f'<li class="run{i % 8}"><span class="faint">{time:%Y-%m-%d %H:%M:%S}</span> '
            f'{escape(text)}</li>'
            for time, text in run.events
        )
        bad = run.bad_images
        if bad:
            listed = ''.join(f'<li>{escape(line)}</li>' for line in bad[:MAX_BAD])
            more = f'<li>and {len(bad) - MAX_BAD} more</li>' if bad[MAX_BAD:] else ''
            lines += f'<li>{len(bad)} unreadable images were replaced:<ul>{listed}{more}</ul></li>'
        parts.append(f'<h3>{_key(i, run)}</h3><ol class="events">{lines}</ol>')
    return ''.join(parts)
