"""An upper reference: a matched filter that knows how faults travel, on the same visible telemetry.

For every node upstream and every type that can begin there it lets a trial fault travel through the shown tenant's true
lineage and asks how well the pattern, at its best size, explains the standing of every visible series. It reads no
truth.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from bot.simulator.catalogue import TYPES
from bot.simulator.episode import Episode
from bot.simulator.faults import Fault
from bot.simulator.lineage import Node
from bot.simulator.robust import seasonal_z
from bot.simulator.shapes import Shape
from bot.simulator.tenants import HOUR
from bot.simulator.travel import Spread, spread

_CAP = 10.0
_SIZES = np.array([0.1, 0.3, 1.0, 3.0])
_BACK = (0.0, 1.0, 4.0, 14.0, 40.0)
_STRAY = 0.03
# effect: [(metric, z per unit of effect, side)]; side 0 keeps the sign, 1 rises, -1 falls, 2 squares, 3 worsens quality
_LOUD = {
    "rows": [("rows", 6, 0)],
    "dup": [("dup_rate", 1500, 1)],
    "late": [("late_rows_pct", 300, 1)],
    "schema": [("schema_hash", 20, 1)],
    "stale": [("freshness_s", 9, 1), ("staleness_s", 9, 1)],
    "col_shift": [("col_mean", 30, 0)],
    "col_null": [("col_null", 400, 1)],
    "col_top": [("col_top", 120, 0)],
    "rows_in": [("rows_in", 6, 0)],
    "rows_out": [("rows_out", 6, 0)],
    "duration": [("duration_s", 6, 0)],
    "lag": [("lag_events", 9, 1)],
    "fail": [("status", 9, 1), ("rows_out", 9, -1), ("duration_s", 9, -1)],
    "shift": [("mean", 25, 0), ("psi_7d", 60, 2)],
    "logscale": [("std", 50, 0), ("psi_7d", 120, 2)],
    "null": [("null_rate", 400, 1)],
    "top": [("top_share", 120, 0), ("psi_7d", 80, 1)],
    "oov": [("oov_rate", 1000, 1), ("distinct", 150, 1), ("psi_7d", 80, 1)],
    "miss": [("online_miss_rate", 1000, 1), ("online_misses", 800, 1)],
    "skew": [("online_skew", 150, 1)],
    "score": [("score_mean", 28, 0), ("score_psi_7d", 60, 2)],
    "loss": [("quality", 50, 3), ("served_quality", 50, 3)],
    "calib": [("calibration", 30, 0)],
    "action": [("action_rate", 22, 0)],
    "version": [("version", 3, 1)],
    "train": [("train_rows", 20, 0)],
    "age": [("age_d", 5, 1)],
    "weights": [("score_psi_7d", 120, 2)],
    "label_bias": [("quality", 50, 3)],
    "missing": [("label_maturity", 60, -1), ("rows_out", 5, -1), ("label_mean", 4, 1)],
    "base": [("label_mean", 12, 0)],
    "err": [("error_rate", 2000, 1)],
    "fallback": [("fallback_rate", 800, 1)],
    "lat": [("p99_ms", 12, 1), ("p50_ms", 6, 1)],
    "cache": [("cache_hit", 25, 1)],
    "mix": [("version_mix", 40, 1)],
    "pool": [("pool_gap", 80, 1)],
    "routing": [("pool_gap", 16, 1)],
    "psi": [("psi_7d", 60, 1), ("score_psi_7d", 60, 1)],
    "ref": [("ref_age_d", 9, -1)],
}


@dataclass(frozen=True)
class Trial:
    """How well one kind of fault at one node explains what is seen (log evidence), and how likely it was before."""

    node: str
    type: str
    evidence: float
    prior: float


def trials(episode: Episode) -> list[Trial]:
    """Every fault that could be behind the alert, tried on the visible telemetry."""
    visible = episode.visible
    world, words = visible._world, visible._dialect
    target, graph = visible.alert["node"], world.graph
    places = set(graph.reach(target, up=True))
    places |= {edge.dst for edge in graph.edges if edge.kind == "observes" and edge.src in places}
    seen = standings(visible, sorted(places | set(graph.nodes)), visible.now - 1800)
    canonical = {words.metric(name): name for name in words.words}
    alarm = (target, canonical[visible.alert["metric"]], visible.alert.get("feature"))
    higher, out = world.tenant.quality[3], []
    for node in sorted(places):
        found = _trials(graph.nodes[node], graph, visible.now - 1800)
        count = Counter(fault.type for fault in found)
        for fault in found:
            reached = spread(graph, fault)
            if target in reached.effects:
                alike = count[fault.type] * len(graph.of(*TYPES[fault.type].origins))
                out.append(
                    Trial(
                        node,
                        fault.type,
                        _fit(reached, graph, seen, alarm, higher),
                        float(np.log(TYPES[fault.type].freq / alike)),
                    )
                )
    return out


def rank(episode: Episode, tried: list[Trial], changes: bool = True, telemetry: bool = True) -> list[str]:
    """Nodes, likeliest root first; `changes` or `telemetry` False hides that part to see what the other carries."""
    visible = episode.visible
    alert_at = visible.now - 1800
    bonus = {c.node: 1.5 for c in visible.changes() if alert_at - 12 * HOUR <= c.at <= alert_at} if changes else {}
    total: dict[str, float] = {}
    for trial in tried:
        value = trial.prior + (trial.evidence if telemetry else 0.0)
        total[trial.node] = float(np.logaddexp(total.get(trial.node, -np.inf), value))
    return sorted(total, key=lambda node: (-total[node] - bonus.get(node, 0.0), node))


def standings(visible, nodes, alert_at: float) -> dict[tuple[str, str, str | None], np.ndarray]:
    """The standing of each visible series since the alert and since 1, 4, 14, 40 hours before it, against its past."""
    canonical = {visible._dialect.metric(name): name for name in visible._dialect.words}
    out = {}
    for node in nodes:
        for series in visible.series(node):
            if len(series.at) < 12:
                continue
            z = seasonal_z(series.at, series.value, alert_at - 44 * HOUR)
            row = []
            for back in _BACK:
                here = z[(series.at >= alert_at - back * HOUR)]
                if len(here) == 0:
                    here = z[-1:]
                row.append(float(np.median(here)) * min(2.0, np.sqrt(len(here)) ** 0.5))
            out[node, canonical[series.metric], series.feature] = np.clip(row, -_CAP, _CAP)
    return out


def _trials(node: Node, graph, at: float) -> list[Fault]:
    out = []
    for kind, spec in TYPES.items():
        if node.kind not in spec.origins or spec.benign:
            continue
        columns: list[int | None] = [None]
        if (node.kind == "source" and kind not in ("W1", "X3")) or (kind == "D2"):
            columns = [0, 1, 2, 3]
        features: list[tuple[int, ...] | None] = [None]
        if kind in ("D3", "F3", "X5") and node.kind in ("feature_job", "feature_view"):
            view = node if node.kind == "feature_view" else graph.nodes[graph.children[node.id][0].dst]
            features = [(i,) for i in range(len(view.features))]
        options = {
            "D3": ({"r": 0.1}, {"r": 10.0}),
            "D4": ({"as_null": 1.0}, {"as_null": 0.0}),
            "M1": ({"score": 0.5, "rows": 0.3}, {"score": -0.5, "rows": 0.3}),
            "F1": ({"tau": 12.0 * HOUR},),
            "X3": ({"tau": 12.0 * HOUR},),
        }.get(kind, ({},))
        signs = (1.0, -1.0) if kind in ("L2", "M2", "M4", "W2", "M3", "F2", "X5", "X1", "F1") else (1.0,)
        size = spec_middle(spec)
        out += [
            Fault(kind, node.id, at - 12 * HOUR, Shape("step"), size, column, feature, (), 1.0, more | {"sign": sign})
            for column in columns
            for feature in features
            for more in options
            for sign in signs
        ]
    return out


def spec_middle(spec) -> float:
    """The geometric middle of a type's range."""
    low, high = next(iter(spec.ranges.values()))
    return float(np.sqrt(low * high))


def _fit(reached: Spread, graph, seen: dict, alarm: tuple, higher: bool) -> float:
    """The log-likelihood ratio of a fault's pattern against silence, averaged over its size, best over its age.

    Strays (heavy tails, unrelated anomalies) have probability 3 % a series, so that no single one decides.
    """
    expected: list[float] = []
    observed: list[np.ndarray] = []
    weight: list[float] = []
    for node, effects in reached.effects.items():
        found: dict[tuple[str, str | None], float] = {}
        for effect in effects:
            names = [feature.name for feature in graph.nodes[node].features]
            parts = (
                list(zip(np.atleast_1d(effect.size), names, strict=False))
                if np.ndim(effect.size)
                else [(effect.size, None)]
            )
            for metric, loud, side in _LOUD.get(effect.key, ()):
                for size, feature in parts:
                    where = [(metric, feature)]
                    if effect.key.startswith("col_"):
                        where = [(metric, f"c{c + 1}") for c in range(4) if effect.column in (None, c)]
                    for key in where:
                        found[key] = found.get(key, 0.0) + _z(float(size), loud, side, effect, higher)
        here = [(key, z) for key, z in found.items() if (node, *key) in seen and abs(z) > 0.3]
        for key, z in here:
            expected.append(z)
            observed.append(seen[(node, *key)])
            weight.append(2.0 if (node, *key) == alarm else 1 / np.sqrt(len(here)))
    if not expected:
        return -3.0
    o, w = np.array(observed).T[:, None, :], np.array(weight)
    mean = np.clip(np.array(expected) * _SIZES[:, None], -_CAP, _CAP)[None]
    spread_of = 1.0 + 0.35 * np.abs(mean)  # sizes of single effects are known roughly
    hit = np.exp(-((o - mean) ** 2) / (2 * spread_of**2)) / spread_of
    miss = np.exp(-(o**2) / 2)
    ratio = np.log((1 - _STRAY) * hit + _STRAY / 10) - np.log((1 - _STRAY) * miss + _STRAY / 10)
    total = (ratio * w).sum(axis=-1)
    best = total.max()
    return float(best + np.log(np.mean(np.exp(total - best))))


def _z(size: float, loud: float, side: int, effect, higher: bool) -> float:
    if effect.course == "stale":
        return loud
    if side == 2:
        return loud * size * size
    if side == 3:
        return loud * abs(size) * (-1 if higher else 1)
    return loud * (-abs(size) if side == -1 else size)
