"""The reliability figure: what confidence was said, how often it was right. Plain SVG, drawn by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SIZE, EDGE = 360, 48
INK, FAINT, DOT = "#1f2430", "#c9ced6", "#2f6fdb"


def svg(rows: Sequence[Mapping[str, float]], title: str) -> str:
    """The figure for bins of `evaluate.reliability`; a dot's area is its share of the cases."""
    span, whole = SIZE - 2 * EDGE, max(sum(row["n"] for row in rows), 1)
    x = lambda v: EDGE + span * v  # noqa: E731
    y = lambda v: SIZE - EDGE - span * v  # noqa: E731
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE}" height="{SIZE}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}" role="img"><title>{title}</title><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{SIZE / 2}" y="24" text-anchor="middle" font-weight="bold">{title}</text>',
        f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="{FAINT}" stroke-dasharray="4 4"/>',
        f'<path d="M{x(0)} {y(1)}V{y(0)}H{x(1)}" fill="none" stroke="{INK}"/>',
        f'<text x="{SIZE / 2}" y="{SIZE - 10}" text-anchor="middle">confidence said</text>',
        f'<text text-anchor="middle" transform="translate(16 {SIZE / 2}) rotate(-90)">how often right</text>',
    ]
    for tick in (0.0, 0.5, 1.0):
        parts.append(f'<text x="{x(tick)}" y="{SIZE - EDGE + 16}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{EDGE - 6}" y="{y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    line = " ".join(f"{x(r['said']):.1f},{y(r['right']):.1f}" for r in rows)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{DOT}" stroke-width="1.5"/>')
    for row in rows:
        radius = 4 + 10 * (row["n"] / whole) ** 0.5
        parts.append(
            f'<circle cx="{x(row["said"]):.1f}" cy="{y(row["right"]):.1f}" r="{radius:.1f}" fill="{DOT}" '
            f'fill-opacity="0.7"><title>{row["said"]:.2f}: right {row["right"]:.2f}, n={row["n"]:g}</title></circle>'
        )
    return "\n".join([*parts, "</svg>", ""])
