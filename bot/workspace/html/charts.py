"""data_visualization blocks as SVG: line, area, bar, pie. Colours come from the style sheet (`s0`..`s5`)."""

from __future__ import annotations

import math

from .look import esc

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 220, 46, 28, 10


def chart(block: dict) -> str:
    """A figure with its title, the drawing, a legend and the numbers as a table for those who cannot see it."""
    spec = block.get("chart") or {}
    draw = {"line": _plot, "area": _plot, "bar": _plot, "pie": _pie}.get(spec.get("type"))
    if draw is None:
        return f'<div class="unknown">chart of type {esc(spec.get("type"))}</div>'
    picture, names, rows = draw(spec)
    legend = "".join(f'<li class="s{n % 6}">{esc(name)}</li>' for n, name in enumerate(names))
    numbers = "".join("<tr>" + "".join(f"<td>{esc(c)}</td>" for c in row) + "</tr>" for row in rows)
    title = esc(block.get("title", ""))
    return (
        f'<figure class="chart"><figcaption>{title}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{picture}</svg>'
        f'<ul class="legend">{legend}</ul><table class="unseen">{numbers}</table></figure>'
    )


def _values(series: dict) -> list[float]:
    points = series.get("data") or series.get("values") or []
    return [float(p.get("value", 0) if isinstance(p, dict) else p) for p in points]


def _categories(spec: dict, count: int) -> list[str]:
    given = (spec.get("axis_config") or {}).get("categories")
    if given:
        return [str(c) for c in given]
    points = (spec.get("series") or [{}])[0].get("data") or []
    return [str(p.get("label", n + 1)) if isinstance(p, dict) else str(n + 1) for n, p in enumerate(points[:count])]


def _plot(spec: dict) -> tuple[str, list[str], list[list]]:
    series = spec.get("series") or []
    names = [str(s.get("name", f"series {n + 1}")) for n, s in enumerate(series)]
    values = [_values(s) for s in series]
    count = max((len(v) for v in values), default=0)
    labels = _categories(spec, count)
    everything = [x for v in values for x in v] or [0.0]
    ticks = nice_ticks(min(0.0, *everything), max(0.0, *everything))
    low, high = ticks[0], ticks[-1]

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    step = (WIDTH - LEFT) / max(count, 1)
    parts = [_axis(ticks, y), _labels(labels, step)]
    for number, points in enumerate(values):
        kind = spec["type"]
        if kind == "bar":
            wide = step * 0.7 / max(len(values), 1)
            for at, value in enumerate(points):
                x = LEFT + step * at + step * 0.15 + wide * number
                top, tall = min(y(value), y(0)), abs(y(value) - y(0))
                parts.append(
                    f'<rect class="s{number % 6}" x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" '
                    f'height="{max(tall, 1):.1f}" rx="2"/>'
                )
            continue
        path = " ".join(f"{LEFT + step * (at + 0.5):.1f},{y(v):.1f}" for at, v in enumerate(points))
        if kind == "area" and points:
            first, last = LEFT + step / 2, LEFT + step * (len(points) - 0.5)
            area = f"{first:.1f},{y(0):.1f} {path} {last:.1f},{y(0):.1f}"
            parts.append(f'<polygon class="s{number % 6} area" points="{area}"/>')
        parts.append(f'<polyline class="s{number % 6}" points="{path}"/>')
    rows = [["", *labels], *([name, *points] for name, points in zip(names, values, strict=True))]
    return "".join(parts), names, rows


def nice_ticks(low: float, high: float) -> list[float]:
    """At most seven round numbers from at or below `low` to at or above `high`.

    >>> nice_ticks(0.0, 1.27)
    [0.0, 0.5, 1.0, 1.5]
    """
    rough = max(high - low, 1e-9) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return [n * step for n in range(first, last + 1)]


def _axis(ticks: list[float], y) -> str:
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        for value in ticks
    )


def _labels(labels: list[str], step: float) -> str:
    every = max(1, math.ceil(len(labels) / 8))
    return "".join(
        f'<text x="{LEFT + step * (n + 0.5):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{esc(label)}</text>'
        for n, label in enumerate(labels)
        if n % every == 0
    )


def _pie(spec: dict) -> tuple[str, list[str], list[list]]:
    segments = spec.get("segments") or []
    total = sum(max(0.0, float(s.get("value", 0))) for s in segments) or 1.0
    x, y, radius, angle, parts = WIDTH / 2, HEIGHT / 2, HEIGHT / 2 - 8, -math.pi / 2, []
    for number, segment in enumerate(segments):
        turn = 2 * math.pi * max(0.0, float(segment.get("value", 0))) / total
        if turn >= 2 * math.pi - 1e-9:
            parts.append(f'<circle class="s{number % 6}" cx="{x}" cy="{y}" r="{radius}"/>')
            continue
        x1, y1 = x + radius * math.cos(angle), y + radius * math.sin(angle)
        angle += turn
        x2, y2 = x + radius * math.cos(angle), y + radius * math.sin(angle)
        parts.append(
            f'<path class="s{number % 6}" d="M{x} {y} L{x1:.1f} {y1:.1f} A{radius} {radius} 0 '
            f'{int(turn > math.pi)} 1 {x2:.1f} {y2:.1f} Z"/>'
        )
    names = [f"{s.get('label', '')} {float(s.get('value', 0)) / total:.0%}" for s in segments]
    return "".join(parts), names, [[s.get("label", ""), s.get("value", 0)] for s in segments]
