"""What speaks for a fault at a node, as numbers by name: the traits of every node of a case, and of the case itself.

A node is described by what it shows itself, what shows below it (as surely as a fault of it would get there), what
moved above it (which would explain it), how much of all that moved it can reach, where it stands to the alert, when it
began, and what was changed on it. How much each number counts for each kind of fault is not decided here but fitted
(`weights`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from agents.cases import Case
from agents.readings import Reading
from agents.signs import SLICE, Sign, Signs, Slices
from agents.ways import Ways

HOUR = 3600.0
IDLE = frozenset(
    {"version", "schema", "train_rows", "model_age", "traffic", "cpu", "memory", "replicas", "cache", "rows", "rows_in",
     "rows_out"}
)  # fmt: skip
"""Roles that move without anything being wrong."""
DATED = frozenset({"version", "schema"})
"""Roles that change for good reasons any day: only a change near the onset says something."""
LAYERS = ("source", "table", "ingest_job", "feature_job", "feature_view", "model", "service")
FORGET, CHANGE_DECAY, NEAR, LOGGED_LATE, LATE_FIT = 12 * HOUR, 3 * HOUR, 12 * HOUR, 1.5 * HOUR, 0.6
FAR, TOLD, PERIOD = 5, 0.3, 36 * HOUR
"""Steps beyond which distance is distance; from here something counts as moved; onsets further off say nothing."""


class Traits(NamedTuple):
    """Traits of one node: `values` by name; `where`: the node a value speaks of, where it is not the node's own;
    `change`: id of the change on it that fits best, or empty."""

    node: str
    kind: str
    values: dict[str, float]
    where: dict[str, str]
    change: str


class Seen(NamedTuple):
    """A case in numbers: traits of its nodes, and `around`: of the tenant as a whole and of the alert."""

    nodes: list[Traits]
    around: dict[str, float]


def gather(case: Case, readings: list[Reading], signs: Signs, cut: Slices) -> Seen:
    """Every node of the case as a candidate. `cut`: what its slices show (`signs.slices`)."""
    kinds = {n: str(about.get("kind", "")) for n, about in case.nodes.items()}
    target = case.alert["node"]
    look = _Look(case, signs, cut, kinds, Ways(case.edges, kinds, target), _began(case, readings, signs))
    around = dict(_tenant(signs, kinds)) | dict(_alert(case, readings, kinds)) | _mix(cut, kinds)
    for role, (most, least) in cut.get(target, {}).items():
        around |= {f"alert slice {role}": most - least, f"alert slices {role}": least}
    return Seen([look.at(node) for node in case.nodes], around)


def alerting(case: Case, readings: list[Reading]) -> Reading | None:
    """The reading of the series that alerted, if it is among the telemetry."""
    told = case.alert
    wanted = (told["node"], told.get("metric"), str(told.get("feature") or ""), case.segment)
    same = [r for r in readings if (r.series.node, r.series.metric) == wanted[:2]]
    exact = [r for r in same if (r.series.feature, r.series.segment) == wanted[2:]]
    return next(iter(exact or same), None)


def _began(case: Case, readings: list[Reading], signs: Signs) -> float:
    """When the alert's own trouble began."""
    alert = alerting(case, readings)
    if alert is not None and alert.onset is not None:
        return alert.onset
    onsets = [s.onset for s in signs.get(case.alert["node"], {}).values() if s.onset is not None]
    return max(onsets, default=case.at)


def _tenant(signs: Signs, kinds: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """What share of the nodes of each layer moved, by role: what comes from the world moves many at once."""
    for layer in LAYERS:
        nodes = [shown for node, shown in signs.items() if kinds.get(node) == layer]
        for role in sorted({role for shown in nodes for role in shown}):
            seen = [shown[role] for shown in nodes if role in shown]
            for way, share in (("+", [min(s.up, 1.0) for s in seen]), ("-", [min(s.down, 1.0) for s in seen])):
                if sum(share) > 0.02 * len(share):
                    yield f"all {layer} {role}{way}", sum(share) / len(share)


def _mix(cut: Slices, kinds: Mapping[str, str]) -> dict[str, float]:
    """By kind and role: how much further than the calmest slice of a node the liveliest went, at most."""
    found: dict[str, float] = {}
    for node, roles in cut.items():
        for role, (most, least) in roles.items():
            name = f"mix {kinds.get(node, '')} {role}"
            found[name] = max(found.get(name, 0.0), most - least)
    return found


def _alert(case: Case, readings: list[Reading], kinds: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """What alerted: its role and way, the kind of its node, whether it is of one slice."""
    alert, told = alerting(case, readings), case.alert
    yield f"alert at {kinds.get(told['node'], '')}", 1.0
    if told.get("segment"):
        yield "alert of a slice", 1.0
    if alert is not None:
        seen, usual = (_number(told.get(key)) for key in ("observed", "expected"))
        up = alert.z >= 0 if seen is None or usual is None else seen >= usual
        yield f"alert {alert.series.role.name}{'+' if up else '-'}", 1.0


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


class _Look:
    """One case, looked at from one node after another."""

    def __init__(self, case: Case, signs: Signs, cut: Slices, kinds: Mapping[str, str], ways: Ways, began: float):
        self.case, self.signs, self.cut, self.kinds, self.ways, self.began = case, signs, cut, kinds, ways, began
        self.moved = {
            node: max((s.moved for role, s in shown.items() if role.removeprefix(SLICE) not in IDLE), default=0.0)
            for node, shown in signs.items()
        }
        self.shown = {node: [*self._shown(node)] for node in dict.fromkeys([*signs, *cut])}
        self.loud = self._loud()
        self.changes: dict[str, list[dict[str, Any]]] = {}
        for change in case.changes:
            self.changes.setdefault(change["target"], []).append(change)

    def at(self, node: str) -> Traits:
        values: dict[str, float] = {}
        where: dict[str, str] = {}
        reach = self.ways.reach(node)
        values |= self._own(node)
        self._below(node, reach, values, where)
        self._above(node, values, where)
        values |= self._missed(node, reach)
        values |= self._place(node, reach)
        onset = self._onset(node)
        values |= self._time(onset)
        change = self._changes(node, onset, values)
        for role, (most, least) in self.cut.get(node, {}).items():
            values |= {f"slice {role}": most - least, f"slices {role}": least}
        return Traits(node, self.kinds.get(node, ""), {k: v for k, v in values.items() if v}, where, change)

    def _shown(self, node: str) -> Iterator[tuple[str, float, float, float]]:
        """(role, up, down, calm) of all it shows; `cut ROLE`: how far its slices went apart."""
        for role, sign in self.signs.get(node, {}).items():
            yield role, *self._ways_of(role, sign)
        for role, (most, least) in self.cut.get(node, {}).items():
            yield f"cut {role}", most - least, 0.0, 1.0 - (most - least)

    def _loud(self) -> dict[str, list[tuple[str, float]]]:
        """What moved anywhere, by kind of node and role: (node, how clearly)."""
        found: dict[str, list[tuple[str, float]]] = {}
        for node, shown in self.shown.items():
            for role, up, down, _ in shown:
                for way, value in (("+", up), ("-", down)):
                    if value > TOLD:
                        name = f"missed {self.kinds.get(node, '')} {role}{way}"
                        found.setdefault(name, []).append((node, min(value, 1.0)))
        return found

    def _missed(self, node: str, reach: Mapping[str, float]) -> dict[str, float]:
        """By kind and role: how much of what moved so is out of its reach (0 or less)."""
        found = {}
        for name, several in self.loud.items():
            out = sum(m * math.log(0.1 + 0.9 * reach.get(n, 0.0)) for n, m in several)
            found[name] = out / math.sqrt(1 + len(several))
        return found

    def _ways_of(self, role: str, sign: Sign) -> tuple[float, float, float]:
        """(up, down, calm) of a sign; what changes any day fades with its distance from the onset."""
        if role not in DATED:
            return sign.up, sign.down, sign.calm
        near = 0.0 if sign.onset is None else math.exp(-abs(sign.onset - self.began) / FORGET)
        return sign.up * near, 0.0, 1.0 - min(sign.up * near, 1.0)

    def _own(self, node: str) -> dict[str, float]:
        found: dict[str, float] = {"moved": self.moved.get(node, 0.0)}
        shown = self.signs.get(node, {})
        for role, sign in shown.items():
            up, down, calm = self._ways_of(role, sign)
            found |= {f"own {role}+": up, f"own {role}-": down, f"own {role}=": calm}
            found |= {f"many {role}+": sign.many_up, f"many {role}-": sign.many_down}
        return found if shown else found | {"dark": 1.0}

    def _below(self, node: str, reach: Mapping[str, float], values: dict[str, float], where: dict[str, str]) -> None:
        """By kind and role: the sum of what shows below, as surely as it is reached, and the clearest of it."""
        total: dict[str, float] = {}
        sums: dict[tuple[str, str, str], float] = {}
        for other, p in reach.items():
            if other == node:
                continue
            kind = self.kinds.get(other, "")
            total[kind] = total.get(kind, 0.0) + p
            for role, up, down, calm in self.shown.get(other, ()):
                sums[kind, role, "="] = sums.get((kind, role, "="), 0.0) + p * calm
                for way, value in (("+", up), ("-", down)):
                    if value:
                        sums[kind, role, way] = sums.get((kind, role, way), 0.0) + p * value
                        name = f"clearest {kind} {role}{way}"
                        if p * value > values.get(name, 0.0):
                            values[name] = p * value
                            where[name] = where[f"below {kind} {role}{way}"] = other
        for (kind, role, way), value in sums.items():
            values[f"below {kind} {role}{way}"] = value / math.sqrt(1 + total[kind])

    def _above(self, node: str, values: dict[str, float], where: dict[str, str]) -> None:
        above = self.ways.above(node)
        for other in above:
            for role, up, down, _ in self.shown.get(other, ()):
                for way, value in (("+", up), ("-", down)):
                    if value and role not in DATED:
                        name = f"above {self.kinds.get(other, '')} {role}{way}"
                        if value > values.get(name, 0.0):
                            values[name], where[name] = value, other
        values["moved above"] = max((self.moved.get(n, 0.0) for n in above), default=0.0)

    def _place(self, node: str, reach: Mapping[str, float]) -> dict[str, float]:
        """How much of what moved it can reach, how much of what it reaches is calm, and where the alert is."""
        loud = {n: m for n, m in self.moved.items() if m > TOLD}
        out_of = sum(min(m, 1.0) * math.log(0.1 + 0.9 * reach.get(n, 0.0)) for n, m in loud.items() if n != node)
        calm = sum(p * (1 - min(self.moved[n], 1.0)) for n, p in reach.items() if n != node and n in self.moved)
        steps, target = self.ways.distance.get(node), self.case.alert["node"]
        return {
            "out of reach": out_of / math.sqrt(1 + len(loud)),
            "calm below": calm / math.sqrt(1 + sum(reach.values())),
            "no known path" if steps is None else f"{min(steps, FAR)} steps to the alert": 1.0,
            "reaches the alert": 0.0 if node == target else math.log(0.05 + reach.get(target, 0.0)),
        }

    def _onset(self, node: str) -> float | None:
        """When the node's clearest sign began."""
        best, onset = 0.2, None
        for role, sign in self.signs.get(node, {}).items():
            up, down, _ = self._ways_of(role, sign)
            if sign.onset is not None and max(up, down) > best:
                best, onset = max(up, down), sign.onset
        return onset

    def _time(self, onset: float | None) -> dict[str, float]:
        if onset is None:
            return {}
        later = (onset - self.began) / HOUR
        return {
            "dated": 1.0,
            "began after the alert": min(max(later - 1, 0.0) / 4, 2.0),
            "began long before": min(max(-later - 6, 0.0) / 12, 2.0),
            "began with it": math.exp(-abs(later) / 3),
        }

    def _changes(self, node: str, onset: float | None, values: dict[str, float]) -> str:
        """How well the changes on the node and just above it fit the time; returns the id of the best one on it."""
        began = onset if onset is not None and abs(onset - self.began) < PERIOD else self.began
        best, chosen = 0.0, ""
        for change in self.changes.get(node, ()):
            fit = fits(began - change["at"])
            name = f"change {change['kind']}"
            values[name] = max(values.get(name, 0.0), fit)
            if fit > best:
                best, chosen = fit, str(change["id"])
        values["any change"] = best
        beside = (c for parent in self.ways.parents.get(node, ()) for c in self.changes.get(parent, ()))
        values["change above"] = max((fits(began - c["at"]) for c in beside), default=0.0)
        return chosen


def fits(age: float) -> float:
    """How well a change fits an onset that came `age` seconds after it, 0..1; it may be logged up to an hour and a half
    after it took effect.

    >>> fits(0.0), fits(-600.0), fits(-7200.0)
    (1.0, 0.6, 0.0)
    """
    if not -LOGGED_LATE <= age <= NEAR:
        return 0.0
    return math.exp(-age / CHANGE_DECAY) if age >= 0 else LATE_FIT
