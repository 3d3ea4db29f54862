"""Access time against concurrency, as text and as SVG.

Series: {label: [(tasks, seconds), ...]}; a series may lack some of the points.
"""

import html
import math

WIDTH, HEIGHT = 800, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 205, 56, 52
COLOURS = ("#c0392b", "#e08e0b", "#5b7fa6", "#1a7f4b", "#7d3c98")
CHART_COLUMNS = 50


def chart(title, series):
    """Horizontal bars, grouped by concurrency."""
    longest = max(seconds for points in series.values() for _, seconds in points)
    width = max(len(label) for label in series)
    lines = [f"{title} (one # is {longest / CHART_COLUMNS:.2f} s)"]
    for count in _counts(series):
        lines.append(f"  {count} task{'s' if count > 1 else ''}")
        for label, seconds in ((n, dict(p)[count]) for n, p in series.items() if count in dict(p)):
            columns = max(1, round(seconds / longest * CHART_COLUMNS))
            lines.append(f"    {label:{width}} |{'#' * columns} {seconds:.2f} s")
    return "\n".join(lines)


def svg(title, series):
    """A line a series, both axes linear from 0."""
    counts = _counts(series)
    tick = _tick(max(seconds for points in series.values() for _, seconds in points))
    ticks = math.ceil(max(s for points in series.values() for _, s in points) / tick)

    def x(count):
        return LEFT + count / counts[-1] * (WIDTH - LEFT - RIGHT)

    def y(seconds):
        return HEIGHT - BOTTOM - seconds / (ticks * tick) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#333">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             f'<text x="{LEFT}" y="28" font-size="16">{html.escape(title)}</text>']
    for i in range(ticks + 1):
        level = y(i * tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}" '
                     'stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{level + 4:.1f}" text-anchor="end">'
                     f'{i * tick:g} s</text>')
    for count in counts:
        parts.append(f'<text x="{x(count):.1f}" y="{HEIGHT - BOTTOM + 20}" '
                     f'text-anchor="middle">{count}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" '
                 'text-anchor="middle">tasks at once</text>')
    parts += _lines(series, x, y)
    return "\n".join(parts + ["</svg>", ""])


def _lines(series, x, y):
    """The lines, and their labels at their right ends, moved apart where they would overlap."""
    parts, taken = [], []
    ends = sorted(((points[-1][1], label) for label, points in series.items()))
    places = {}
    for seconds, label in ends:
        place = y(seconds) + 4
        if taken:
            place = min(place, taken[-1] - 17)
        taken.append(place)
        places[label] = place
    for colour, (label, points) in zip(COLOURS, series.items()):
        path = " ".join(f"{x(count):.1f},{y(seconds):.1f}" for count, seconds in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                     'stroke-width="2.5"/>')
        parts += [f'<circle cx="{x(count):.1f}" cy="{y(seconds):.1f}" r="3.5" fill="{colour}"/>'
                  for count, seconds in points]
        parts.append(f'<text x="{x(points[-1][0]) + 10:.1f}" y="{places[label]:.1f}" '
                     f'fill="{colour}">{html.escape(label)} {points[-1][1]:.1f} s</text>')
    return parts


def _counts(series):
    return sorted({count for points in series.values() for count, _ in points})


def _tick(longest):
    """A round step that divides `longest` into four to eight."""
    step = 10 ** math.floor(math.log10(longest))
    for divisor in (5, 2, 1):
        if longest / (step / divisor) <= 8:
            return step / divisor
    return step * 2
