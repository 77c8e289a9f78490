"""A case: the visible part of an episode as plain data, thinned to what a folder can hold.

Times kept per series: the last six steps, every fourth hour for a day, every twelfth for three days, and the alert's
hour of every second day before that. Of a view's features, drift and skew are kept for all, the rest where a monitor
would drill down.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from bot.simulator.robust import location_scale
from bot.simulator.tenants import DAY, HOUR
from bot.simulator.visible import Series, Visible, significant

BUDGET = 150_000
_COST, _PER_VALUE = 115, 5.0


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
    changes = plain.changes
    left = budget - 170 * len(changes) - 260 * len(plain.nodes) - 110 * len(plain.edges)
    left = max(left, 0.6 * budget)
    chosen: list[Series] = []
    for node in _order(plain, changes):
        for series in _drilled(visible, node, plain.alert, plain.alert_at) if left > 0 else ():
            thin = thinned(series, plain.alert_at)
            chosen.append(thin)
            left -= _COST + _PER_VALUE * len(thin.at)
        if left <= 0:
            break
    chosen += _slices(visible, plain, chosen, budget // 8)
    return replace(plain, series=chosen, runs=_runs(visible))


def outline(visible: Visible) -> Case:
    """The alert, the graph and the changes of an episode, without its telemetry."""
    changes = [visible.wire_change(change) | {"when": change.at} for change in visible.changes()]
    return Case(visible.alert, visible.graph["nodes"], visible.graph["edges"], [], changes, visible.schema())


def whole_case(visible: Visible) -> Case:
    """Everything of an episode that has no segment, at full resolution: too large for a folder, good for measuring."""
    plain = outline(visible)
    return replace(plain, series=[one for node in plain.nodes for one in visible.series(node["id"]) if len(one.at)])


def thinned(series: Series, alert_at: float) -> Series:
    """The series at the kept times only."""
    if len(series.at) < 2:
        return series
    age, step = alert_at + 1800 - series.at, float(np.median(np.diff(series.at)))
    slot = np.round((series.at - alert_at) / step) * step
    keep = age <= 6 * step
    for limit, every in ((DAY, 4 * HOUR), (3 * DAY, 12 * HOUR), (30 * DAY, 2 * DAY if step <= HOUR else DAY)):
        keep |= (age <= limit) & (np.mod(slot + step / 2, max(every, step)) < step)
    if step > HOUR:
        keep |= age <= 8 * step
    digits = 4 if np.ptp(np.quantile(series.value, (0.1, 0.9))) < 0.04 * abs(np.median(series.value)) else 3
    return Series(
        series.row_id,
        series.node,
        series.metric,
        series.feature,
        series.segment,
        series.at[keep],
        significant(series.value[keep], digits),
        series.n[keep],
    )


def _order(plain: Case, changes: list[dict]) -> list[str]:
    """Nodes by how soon an investigator would look: upstream of the target, beside it, lately changed, the rest."""
    target = plain.alert["node"]
    near = plain.ancestors(target)
    beside = [edge["dst"] for edge in plain.edges if edge["src"] == target]
    watched = [edge["dst"] for edge in plain.edges if edge["kind"] == "observes" and edge["src"] in near]
    recent = [change["target"] for change in reversed(changes) if change["when"] > plain.alert_at - DAY]
    rest = [node["id"] for node in plain.nodes if node["kind"] != "feature_view"] + [node["id"] for node in plain.nodes]
    return list(dict.fromkeys([*sorted(near, key=lambda name: (near[name], name)), *beside, *watched, *recent, *rest]))


def _drilled(visible: Visible, node: str, alert: dict, alert_at: float) -> list[Series]:
    """A node's series: all that is not per feature; drift, skew and means for every feature or column; the rest for the
    alerting feature, for one other, and for those that stand out."""
    found = [series for series in visible.series(node) if len(series.at)]
    word = visible._dialect.metric
    always = {word(name) for name in ("psi_7d", "online_skew", "col_mean", "col_null")}
    quantiles = {word("p50"), word("p95")}
    features = sorted({series.feature for series in found if series.feature})
    wanted = {name for name in features if name == alert.get("feature") and node == alert["node"]}
    wanted |= {series.feature for series in found if series.feature and standing(series, alert_at) > 4}
    wanted |= set(features[:1])
    if not any(series.metric == word("psi_7d") for series in found):
        always.add(word("mean"))
    return [
        series
        for series in found
        if series.feature is None
        or series.metric in always
        or (series.feature in wanted and (series.metric not in quantiles or node == alert["node"]))
    ]


def _slices(visible: Visible, plain: Case, chosen: list[Series], budget: int) -> list[Series]:
    """Segments where an investigator would drill down: the target, then nodes whose whole moved."""
    target, alert_at = plain.alert["node"], plain.alert_at
    moved = [series.node for series in chosen if standing(series, alert_at) > 4]
    wanted = list(
        dict.fromkeys(visible.segments()[:5] + ((plain.alert["segment"],) if "segment" in plain.alert else ()))
    )
    out: list[Series] = []
    for node in dict.fromkeys([target, *moved]):
        for segment in wanted:
            for series in (series for series in visible.series(node, segment) if len(series.at)):
                whole = (
                    any(
                        other.node == node
                        and other.metric == series.metric
                        and other.feature == series.feature
                        and standing(other, alert_at) > 4
                        for other in chosen
                    )
                    if node != target
                    else True
                )
                if whole and budget > 0:
                    out.append(thinned(series, alert_at))
                    budget -= _COST + _PER_VALUE * len(out[-1].at)
        if budget <= 0:
            break
    return out


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
