"""Line charts as SVG, in the colours of the page."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 22, 14, 34
MAX_POINTS = 400
Points = Sequence[tuple[float, float]]


def thin(points: Points) -> Points:
    """At most so many points, each the mean of its neighbours."""
    size = -(-len(points) // MAX_POINTS)
    if size <= 1:
        return points
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def ticks(low: float, high: float, number: int = 4) -> list[float]:
    """Round values from low to high."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / number))
    step *= next(m for m in (1, 2, 5, 10) if span / (m * step) <= number + 0.5)
    first = math.ceil(low / step - 1e-9)
    found: list[float] = []
    while (first + len(found)) * step <= high + 1e-9 * span:
        found.append((first + len(found)) * step)
    return found or [low]


def line_chart(title: str, series: Mapping[int, Mapping[str, Points]], unit: str = '') -> str:
    """Draw curves of several runs.

    Args:
        title (str): Above the chart.
        series (Mapping): Number of a run, which has a colour -> name of a curve -> (x, y); the
            second curve of a run is dashed, the third dotted.
        unit (str): After the values of the y axis. Defaults to ''.

    Returns:
        str: An HTML figure.
    """
    curves = {
        run: {name: thin(points) for name, points in named.items() if points}
        for run, named in series.items()
    }
    values = [point for named in curves.values() for points in named.values() for point in points]
    if not values:
        return ''
    xs, ys = [x for x, _ in values], [y for _, y in values]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    usual = sorted(ys)[int(0.9 * (len(ys) - 1))]
    cut = y1 > 3 * usual > 0  # the first steps would flatten the rest
    if cut:
        y1, title = 1.3 * usual, f'{title} (higher values are cut off)'
    if 0 < y0 < 0.5 * y1:
        y0 = 0.0
    if x1 == x0:
        x1 = x0 + 1
    if y1 == y0:
        y0, y1 = y0 - 0.05 * (abs(y0) or 1), y1 + 0.05 * (abs(y1) or 1)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (min(y, y1) - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM),
        )

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for y in ticks(y0, y1):
        _, top = place(x0, y)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top:.1f}" y2="{top:.1f}"/>'
        )
        parts.append(
            f'<text x="{LEFT - 6}" y="{top + 4:.1f}" text-anchor="end">{y:.4g}{unit}</text>'
        )
    for x in ticks(x0, x1, 5):
        left, _ = place(x, y0)
        parts.append(
            f'<text x="{left:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>'
        )
    legend = []
    for run, named in curves.items():
        for number, (name, points) in enumerate(named.items()):
            path = ' '.join(f'{a:.1f},{b:.1f}' for a, b in (place(*point) for point in points))
            last = f'{name}: {points[-1][1]:.4g}{unit} at {points[-1][0]:g}'
            parts.append(
                f'<polyline class="run{run % 8} dash{number}" points="{path}">'
                f'<title>{escape(last)}</title></polyline>'
            )
            if len(points) == 1:
                a, b = place(*points[0])
                parts.append(f'<circle class="run{run % 8}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>')
            legend.append(f'<span class="key run{run % 8} dash{number}"></span>{escape(last)}')
    parts.append('</svg>')
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{"".join(parts)}'
        f'<p class="legend">{"<br>".join(legend)}</p></figure>'
    )
