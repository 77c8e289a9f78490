"""The picture of a lineage: what feeds a model, left to right, and what it feeds.

A column is a distance from the middle; what failed or is named as the cause has a border and a word of its own, so
that colour is never the only sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bot.blocks import clean
from bot.charts import BLUE, DPI, GREEN, INK, ORANGE, PAPER, RED, SOFT, plain, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from core.ports import LineageView

UP, DOWN, TALL = 4, 2, 6
"""Columns to the left and to the right, and boxes in one of them; more are counted."""
_COLOURS = {
    "source": GREEN, "dataset": GREEN, "feature": ORANGE, "model": BLUE, "service": BLUE,
    "job": SOFT, "label_job": SOFT, "training_job": SOFT, "monitor": SOFT,
}  # fmt: skip
_WIDE, _HIGH = 0.86, 0.62


def lineage(view: LineageView, name: str, cause: str = "") -> tuple[bytes, str]:
    """(PNG bytes, alternative text) of what surrounds node `name`, which must be known. `cause`: the node an incident
    blames, if any.
    """
    middle = view.node(name)
    assert middle is not None, name
    above, below = view.upstream(name), view.downstream(name)
    columns = {0: [middle]}
    for sign, nodes, most in ((-1, above, UP), (1, below, DOWN)):
        for node in nodes:
            known = any(node["id"] == other["id"] for column in columns.values() for other in column)
            if node["distance"] <= most and not known:
                columns.setdefault(sign * node["distance"], []).append(node)
    shown = {at: _first(nodes, cause) for at, nodes in columns.items()}
    return png(_figure(columns, shown, view.edges(), cause)), _alt(middle, above, below, cause)


def _first(nodes: list[dict[str, Any]], cause: str) -> list[dict[str, Any]]:
    """The boxes of one column: what is blamed or broken is never the one left out."""
    return sorted(nodes, key=lambda node: (not _mark(node, cause), node["name"]))[:TALL]


def _figure(
    columns: Mapping[int, list[dict[str, Any]]], shown: Mapping[int, list[dict[str, Any]]],
    edges: Iterable[Mapping[str, Any]], cause: str,
) -> Any:  # fmt: skip
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["font.family"] = "DejaVu Sans"
    from matplotlib.figure import Figure

    tall = max(len(nodes) for nodes in shown.values())
    wide = max(shown) - min(shown) + 1
    figure = Figure(figsize=(max(4.2, 1.55 * wide + 0.3), 0.72 * tall + 0.9), dpi=DPI, facecolor=PAPER)
    axis = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axis.set_axis_off()
    places: dict[str, tuple[float, float]] = {}
    edges = list(edges)
    for at, nodes in sorted(shown.items(), key=lambda column: abs(column[0])):
        level = {node["id"]: _level(node["id"], edges, places) for node in nodes}
        for row, node in enumerate(sorted(nodes, key=lambda node: (-level[node["id"]], node["name"]))):
            places[node["id"]] = (float(at), (len(nodes) - 1) / 2 - row)
            _box(axis, node, *places[node["id"]], cause)
        if (more := len(columns[at]) - len(nodes)) > 0:
            axis.text(at, -len(nodes) / 2 - 0.2, f"and {more} more", ha="center", va="center", fontsize=7.5, color=SOFT)
    for edge in edges:
        if edge["source"] in places and edge["target"] in places:
            _arrow(axis, places[edge["source"]], places[edge["target"]])
    axis.set_xlim(min(shown) - 0.55, max(shown) + 0.55)
    axis.set_ylim(-tall / 2 - 0.45, tall / 2 + 0.05)
    return figure


def _level(name: str, edges: Iterable[Mapping[str, Any]], places: Mapping[str, tuple[float, float]]) -> float:
    """The mean height of the neighbours that have a place already, so that few arrows cross."""
    ends = [(edge["source"], edge["target"]) for edge in edges if name in (edge["source"], edge["target"])]
    heights = [places[end][1] for pair in ends for end in pair if end in places]
    return sum(heights) / len(heights) if heights else 0.0


def _box(axis: Axes, node: Mapping[str, Any], x: float, y: float, cause: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    mark = _mark(node, cause)
    colour = _COLOURS.get(node["kind"], SOFT)
    axis.add_patch(
        FancyBboxPatch(
            (x - _WIDE / 2, y - _HIGH / 2), _WIDE, _HIGH, boxstyle="round,pad=0,rounding_size=0.08", zorder=2,
            facecolor=PAPER, edgecolor=RED if mark else colour, linewidth=2.4 if mark else 1.4,
            linestyle="--" if mark else "-",
        )
    )  # fmt: skip
    kind = node["kind"].replace("_", " ") or "unknown kind"
    axis.text(x, y + 0.1, _short(node["name"]), ha="center", va="center", fontsize=7.2, color=INK, zorder=3)
    axis.text(
        x, y - 0.15, f"{kind}, {mark}" if mark else kind, ha="center", va="center", fontsize=6.2, zorder=3,
        color=RED if mark else colour,
    )  # fmt: skip


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    side = _WIDE / 2 if end[0] > start[0] else -_WIDE / 2
    axis.annotate(
        "", (end[0] - side, end[1]), (start[0] + side, start[1]), zorder=1,
        arrowprops={"arrowstyle": "-|>", "color": "#9a989a", "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def _short(name: str) -> str:
    """A name that fits its box; the end of a path says more than its beginning."""
    text = plain(name, 120)
    return text if len(text) <= 20 else "…" + text[-19:]


def _mark(node: Mapping[str, Any], cause: str) -> str:
    if cause and cause in (node["id"], node["name"]):
        return "cause"
    if node.get("dead"):
        return "deleted"
    return {"fail": "failed", "abort": "aborted"}.get(node.get("last_state", ""), "")


def _alt(middle: Mapping[str, Any], above: list[dict[str, Any]], below: list[dict[str, Any]], cause: str) -> str:
    def said(nodes: list[dict[str, Any]]) -> str:
        names = [clean(f"{node['name']} ({node['kind'].replace('_', ' ') or 'unknown'})", 60) for node in nodes[:6]]
        return ", ".join(names) + (f" and {len(nodes) - 6} more" if len(nodes) > 6 else "") or "nothing known"

    text = f"Lineage of {clean(middle['name'], 80)}. Fed, nearest first, by {said(above)}. Feeds {said(below)}."
    marked = [f"{clean(n['name'], 60)}: {_mark(n, cause)}" for n in [middle, *above, *below] if _mark(n, cause)]
    return text + (f" Marked: {'; '.join(marked[:4])}." if marked else "")
