"""The visible part of an episode: the alert, the graph, and total queries whose every row can be cited.

A citation is `row_id@epoch`: the series and the time of one value; `Visible.value_of` gives the stored number back.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from bot.simulator.changelog import Change, Log
from bot.simulator.dialects import Dialect
from bot.simulator.healthy import Block, World
from bot.simulator.missing import Blindness
from bot.simulator.rng import hex_id, stream
from bot.simulator.runbooks import library, look_up
from bot.simulator.tenants import DAY
from bot.simulator.vocabulary import KNOWN

SEGMENTED = {
    "source": ("rows",),
    "table": ("rows",),
    "feature_view": ("mean", "null_rate", "psi_7d"),
    "model": ("score_mean", "quality", "action_rate", "score_psi_7d", "calibration"),
    "service": ("qps", "served_quality", "action_rate", "error_rate", "fallback_rate"),
}


@dataclass(frozen=True)
class Series:
    """One visible series: `at` epoch seconds, `value` in the tenant's unit, `n` rows behind each value."""

    row_id: str
    node: str
    metric: str
    feature: str | None
    segment: str | None
    at: np.ndarray
    value: np.ndarray
    n: np.ndarray


class Visible:
    """What an investigator may ask. Nodes are addressed by id; metrics by the tenant's own names."""

    def __init__(
        self, world: World, dialect: Dialect, log: Log, blind: Blindness, alert: dict, alert_at: float
    ) -> None:
        self._world, self._dialect, self._log, self._blind = world, dialect, log, blind
        self._blocks: dict[tuple[str, int | None], Block] = {}
        self._index: dict[str, tuple[str, str | None]] = {}
        self.alert = alert
        self.begin, self.now = alert_at - 28 * DAY, alert_at + 1800
        self.graph = _shown_graph(world, dialect, blind)

    # -- queries ----------------------------------------------------------------------------------------------------

    def schema(self) -> dict:
        """The tenant's documentation of its metrics."""
        return self._dialect.schema()

    def list_metrics(self, node: str) -> list[dict]:
        """What is stored for a node: metric, feature, unit; empty for an unknown or dark node."""
        rows = []
        for series in self.series(node):
            rows.append({"row_id": series.row_id, "metric": series.metric, "feature": series.feature})
        return rows

    def query_metrics(
        self, node: str, metric: str, t0: float, t1: float, segment: str | None = None, agg: str | None = None
    ) -> list[dict]:
        """Values of a metric in [t0, t1]; `agg` averages by "1h" or "1d"; unknown names give no rows."""
        rows = []
        for series in self.series(node, segment):
            if series.metric != metric:
                continue
            here = (series.at >= t0) & (series.at <= t1)
            at, value, n = series.at[here], series.value[here], series.n[here]
            if agg in ("1h", "1d") and len(at):
                bucket = at // (3600 if agg == "1h" else DAY)
                keys = np.unique(bucket)
                at, value, n = (np.array([part[bucket == key].mean() for key in keys]) for part in (at, value, n))
            rows += [
                {
                    "row_id": f"{series.row_id}@{round(t)}",
                    "node": node,
                    "metric": metric,
                    "feature": series.feature,
                    "segment": segment,
                    "at": float(t),
                    "value": float(v),
                    "n": float(k),
                }
                for t, v, k in zip(at, value, n, strict=True)
            ]
        return rows

    def query_changes(self, t0: float, t1: float, node: str | None = None, kind: str | None = None) -> list[dict]:
        """The changes stamped in [t0, t1], of one node or wire kind if given."""
        return [
            self.wire_change(change)
            for change in self.changes()
            if t0 <= change.at <= t1 and (node is None or change.node == node) and (kind is None or change.kind == kind)
        ]

    def lineage(self, node: str, direction: str = "up", depth: int = 3) -> list[dict]:
        """Edges within `depth` hops up or down from a node, over what the graph shows."""
        found, front = [], {node}
        for _ in range(max(0, depth)):
            step = [
                edge
                for edge in self.graph["edges"]
                if (edge["dst"] if direction == "up" else edge["src"]) in front and edge not in found
            ]
            found += step
            front = {edge["src"] if direction == "up" else edge["dst"] for edge in step}
        return found

    def search_runbooks(self, words: str, top: int = 5) -> list[dict]:
        """The runbooks that share most words with the question."""
        return look_up(library(self._world.seed), words, top)

    def past_incidents(self, node: str) -> list[dict]:
        """Earlier incidents of a node, as the tenant's history tells them; none for most nodes."""
        random = stream(self._world.seed, "history", node)
        if node not in self._world.graph.nodes or random.random() > 0.25:
            return []
        return [
            {
                "row_id": f"INC-{hex_id(random, 5)}",
                "node": node,
                "at": self.begin - float(random.uniform(5, 200)) * DAY,
                "summary": ("resolved by restart", "resolved by rollback", "noise", "upstream repaired")[
                    int(random.integers(4))
                ],
            }
        ]

    def value_of(self, citation: str) -> float | None:
        """The stored number behind `row_id@epoch`, or None if there is no such row."""
        row, _, when = str(citation).partition("@")
        if row not in self._index:
            for segment in (None, *self.segments()):
                for node in self._world.graph.nodes:
                    self._index |= {series.row_id: (node, segment) for series in self.series(node, segment)}
                if row in self._index:
                    break
        if row not in self._index or not when.lstrip("-").isdigit():
            return None
        series = next(series for series in self.series(*self._index[row]) if series.row_id == row)
        index = np.flatnonzero(np.round(series.at) == int(when))
        return float(series.value[index[0]]) if len(index) else None

    # -- material ---------------------------------------------------------------------------------------------------

    def changes(self) -> list[Change]:
        """The change log up to now, oldest first."""
        return [change for change in self._log.changes if change.at <= self.now]

    def wire_change(self, change: Change) -> dict:
        """A change in the wire form of `ChangeRecorded`."""
        return {
            "id": change.id,
            "at": self._dialect.time(change.at),
            "kind": change.kind,
            "target": change.node,
            "summary": change.summary,
            "by": change.by,
            "tool": change.tool,
        }

    def segments(self) -> tuple[str, ...]:
        """The values of the dimension by which this tenant's monitors slice."""
        tenant = self._world.tenant
        return tenant.segment_values[: next(iter(tenant.segments.values()))]

    def series(self, node: str, segment: str | None = None) -> list[Series]:
        """Every visible series of a node, of all traffic or of one segment."""
        world, blind = self._world, self._blind
        if node not in world.graph.nodes or node in blind.dark:
            return []
        kind = world.graph.nodes[node].kind
        index = None
        if segment is not None:
            if segment not in self.segments() or kind not in SEGMENTED:
                return []
            index = self.segments().index(segment)
        block = self._block(node, index)
        keep = blind.keep(node, block.at) & (block.at >= self.begin) & (block.at <= self.now)
        out = []
        for (metric, feature), values in block.values.items():
            if (node, metric) in blind.absent or (segment is not None and metric not in SEGMENTED[kind]):
                continue
            shown = np.array(self._dialect.show(metric, values[keep]), float)
            for where, when in blind.resets:
                if where == node and KNOWN[metric].unit == "count" and len(shown):
                    shown[np.argmin(np.abs(block.at[keep] - when))] = 0.0
            out.append(
                Series(
                    row_id(world.seed, node, metric, feature, segment),
                    node,
                    self._dialect.metric(metric),
                    feature,
                    segment,
                    block.at[keep],
                    significant(shown),
                    block.n[keep],
                )
            )
        return out

    def _block(self, node: str, segment: int | None) -> Block:
        if (node, segment) not in self._blocks:
            self._blocks[node, segment] = self._world.block(node, segment)
        return self._blocks[node, segment]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_blocks": {}, "_index": {}}


def row_id(seed: int, *parts: object) -> str:
    """A hexadecimal id of a series; it says nothing about it."""
    return hashlib.blake2s(repr((seed, parts)).encode(), digest_size=4).hexdigest()


def significant(values: np.ndarray, digits: int = 4) -> np.ndarray:
    """Values to so many significant digits: what is shown is what can be cited."""
    with np.errstate(divide="ignore", invalid="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
    factor = 10.0 ** np.where(np.isfinite(places), np.clip(places, -12, 12), 0)
    return np.round(values * factor) / factor


def _shown_graph(world: World, dialect: Dialect, blind: Blindness) -> dict:
    nodes = [
        {
            "id": node.id,
            "kind": node.kind,
            "name": dialect.spell(node.words),
            "owner": dialect.owner(node.team),
            "cadence_s": node.cadence,
            "tags": [tag for tag in node.tags if tag != "profiled"],
            "features": [feature.name for feature in node.features],
        }
        for node in world.graph.nodes.values()
    ]
    edges = []
    for edge in world.graph.edges:
        if edge.shown:
            shown = {"src": edge.src, "dst": edge.dst, "kind": edge.kind, "lag_s": edge.lag}
            if edge.shown_importance is not None and (edge.src, edge.dst) not in blind.untold:
                shown["importance"] = edge.shown_importance
            edges.append(shown)
    return {
        "nodes": sorted(nodes, key=lambda node: node["id"]),
        "edges": sorted(edges, key=lambda e: (e["dst"], e["src"])),
    }
