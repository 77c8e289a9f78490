"""A case: the visible part of an episode as plain data, thinned to what a folder can hold.

Times kept per series: the last six steps, every hour for a day and a half, every third hour for four days, and the
alert's hour of each day before that, so that a season can be told from a fault.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from bot.simulator.robust import location_scale
from bot.simulator.tenants import DAY, HOUR
from bot.simulator.visible import Series, Visible, significant

BUDGET = 800_000
_COST, _PER_VALUE = 115, 5.0
_KEPT = ((1.5 * DAY, HOUR), (4 * DAY, 3 * HOUR), (30 * DAY, DAY))
"""(age, step): values up to this age are kept one a step."""
MOVED = 4.0
"""From this standing on an investigator would look at the slices."""
_MIXED = 4
"""Sources and services whose mix of traffic is looked at."""


@dataclass(frozen=True)
class Case:
    """What an investigator of a recorded case can know. `changes` hold `at` as epoch seconds under `when`."""

    alert: dict
    nodes: list[dict]
    edges: list[dict]
    series: list[Series]
    changes: list[dict]
    schema: dict
    runs: dict[str, tuple[float, bool]] = field(default_factory=dict)

    @property
    def alert_at(self) -> float:
        """The alert's time in epoch seconds."""
        return datetime.fromisoformat(self.alert["ts"]).timestamp()

    def ancestors(self, node: str) -> dict[str, int]:
        """Hops to every node upstream in the shown graph, the node itself at 0."""
        parents: dict[str, list[str]] = {}
        for edge in self.edges:
            if edge["kind"] != "observes":
                parents.setdefault(edge["dst"], []).append(edge["src"])
        hops, queue = {node: 0}, [node]
        for current in queue:
            for parent in parents.get(current, ()):
                if parent not in hops:
                    hops[parent] = hops[current] + 1
                    queue.append(parent)
        return hops


def case_of(visible: Visible, budget: int = BUDGET) -> Case:
    """Take from an episode what a folder of about `budget` bytes holds, choosing by what is visible alone."""
    plain = outline(visible)
    left = budget - 170 * len(plain.changes) - 260 * len(plain.nodes) - 110 * len(plain.edges)
    left = max(left, 0.6 * budget)
    thin, chosen = _Thin(plain.alert_at), []
    for node in _order(plain, plain.changes):
        for series in visible.series(node) if left > 0 else ():
            if len(series.at):
                chosen.append(thin(series))
                left -= _COST + _PER_VALUE * len(chosen[-1].at)
    chosen += _slices(visible, plain, chosen, thin, budget // 5)
    return replace(plain, series=chosen, runs=_runs(visible))


def outline(visible: Visible) -> Case:
    """The alert, the graph and the changes of an episode, without its telemetry."""
    changes = [visible.wire_change(change) | {"when": change.at} for change in visible.changes()]
    return Case(visible.alert, visible.graph["nodes"], visible.graph["edges"], [], changes, visible.schema())


def whole_case(visible: Visible) -> Case:
    """Everything of an episode that has no segment, at full resolution: too large for a folder, good for measuring."""
    plain = outline(visible)
    return replace(plain, series=[one for node in plain.nodes for one in visible.series(node["id"]) if len(one.at)])


class _Thin:
    """Series at the kept times only; series on one grid of times share what is kept of it."""

    def __init__(self, alert_at: float):
        self.alert_at = alert_at
        self.masks: dict[bytes, np.ndarray] = {}

    def __call__(self, series: Series) -> Series:
        keep = self._mask(series.at)
        value = series.value[keep]
        digits = 4 if _narrow(value) else 3
        return replace(series, at=series.at[keep], value=significant(value, digits), n=series.n[keep])

    def _mask(self, at: np.ndarray) -> np.ndarray:
        key = at.tobytes()
        if key not in self.masks:
            self.masks[key] = self._kept(at) if len(at) > 1 else np.ones(len(at), bool)
        return self.masks[key]

    def _kept(self, at: np.ndarray) -> np.ndarray:
        age, step = self.alert_at + 1800 - at, float(np.median(np.diff(at)))
        slot = np.round((at - self.alert_at) / step) * step
        keep = age <= (10 if step > HOUR else 6) * step
        for limit, every in _KEPT:
            keep |= (age <= limit) & (np.mod(slot + step / 2, max(every, step)) < step)
        return keep


def _narrow(value: np.ndarray) -> bool:
    """Whether three digits would hide how the values differ."""
    ordered = np.sort(value)
    low, middle, high = (ordered[round(q * (len(ordered) - 1))] for q in (0.1, 0.5, 0.9))
    return bool(high - low < 0.04 * abs(middle))


def _order(plain: Case, changes: list[dict]) -> list[str]:
    """Nodes by how soon an investigator would look: upstream of the target, beside it, lately changed, the rest. Views
    hold most of the numbers and come after what else is upstream, lest they crowd out the sources."""
    target = plain.alert["node"]
    near = plain.ancestors(target)
    views = {node["id"] for node in plain.nodes if node["kind"] == "feature_view"} - {target}
    beside = [edge["dst"] for edge in plain.edges if edge["src"] == target]
    watched = [edge["dst"] for edge in plain.edges if edge["kind"] == "observes" and edge["src"] in near]
    recent = [change["target"] for change in reversed(changes) if change["when"] > plain.alert_at - DAY]
    rest = [node["id"] for node in plain.nodes if node["kind"] != "feature_view"] + [node["id"] for node in plain.nodes]
    upstream = sorted(near, key=lambda name: (name in views, near[name], name))
    return list(dict.fromkeys([*upstream, *beside, *watched, *recent, *rest]))


def _slices(visible: Visible, plain: Case, chosen: list[Series], thin: _Thin, budget: float) -> list[Series]:
    """Segments where an investigator would drill down: the target, the mix of the traffic, nodes whose whole moved; and
    the segment that alerted wherever its trouble may come from."""
    told, whole = plain.alert.get("segment"), [plain.alert["node"], *_mixed(plain)]
    wanted = dict.fromkeys([*visible.segments()[:5], *([told] if told else [])])
    moved = {(s.node, s.metric, s.feature) for s in chosen if standing(s, plain.alert_at) > MOVED}
    drilled = (
        series
        for node in dict.fromkeys([*whole, *(node for node, _, _ in sorted(moved, key=str))])
        for segment in wanted
        for series in visible.series(node, segment)
        if node in whole or (node, series.metric, series.feature) in moved
    )
    followed = (series for node in _order(plain, []) for series in visible.series(node, told)) if told else iter(())
    taken = [*_within(drilled, thin, budget), *_within(followed, thin, budget)]
    return list({series.row_id: series for series in taken}.values())


def _within(several: Iterator[Series], thin: _Thin, budget: float) -> Iterator[Series]:
    """Thinned series until their cost is spent."""
    for series in several:
        if budget <= 0:
            return
        if len(series.at):
            yield (thinned := thin(series))
            budget -= _COST + _PER_VALUE * len(thinned.at)


def _mixed(plain: Case) -> list[str]:
    """The nearest sources and services, where a change of mix shows."""
    near = plain.ancestors(plain.alert["node"])
    beside = [edge["dst"] for edge in plain.edges if edge["src"] in near]
    kinds = {node["id"]: node["kind"] for node in plain.nodes}
    found = list(dict.fromkeys([*sorted(near, key=lambda node: (near[node], node)), *beside]))
    return [n for kind in ("source", "service") for n in [m for m in found if kinds.get(m) == kind][:_MIXED]]


def standing(series: Series, alert_at: float) -> float:
    """|robust z| of the series around the alert: the median of its values from one step before the alert (the last one
    if they are rare) against the values older than thirty hours."""
    return abs(signed_standing(series, alert_at))


def signed_standing(series: Series, alert_at: float) -> float:
    """As `standing`, with its sign; 0 when there is too little history or nothing recent."""
    old = series.at < alert_at - 30 * HOUR
    step = float(np.median(np.diff(series.at[-4:]))) if len(series.at) > 4 else HOUR
    recent = series.value[series.at >= alert_at - 1.1 * step] if step < 6 * HOUR else series.value[-1:]
    if old.sum() < 6 or len(recent) == 0:
        return 0.0
    middle, scale = location_scale(series.value[old])
    if np.ptp(series.value[old]) == 0:  # what never moved has no scale: a move counts as five
        return 5.0 * float(np.sign(np.median(recent) - middle))
    return float((np.median(recent) - middle) / scale)


def _runs(visible: Visible) -> dict[str, tuple[float, bool]]:
    """For each job its last run and whether it failed, as a scheduler would tell."""
    word, out = visible._dialect.metric("status"), {}
    for node in visible.graph["nodes"]:
        if node["kind"] in ("ingest_job", "feature_job", "label_job", "training_job"):
            for series in visible.series(node["id"]):
                if series.metric == word and len(series.at):
                    out[node["id"]] = (float(series.at[-1]), bool(series.value[-1] > 0.5))
    return out
