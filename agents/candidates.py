"""What speaks for each typed cause, as numbers: a candidate is a kind of fault at a node where it can begin.

`gather` runs the lineage ranker once a kind of fault and reads off, for every candidate, what the node itself shows,
what the ranker explains downstream of it and what it misses there, whether a change of a fitting kind came first, and
how the times lie. How much each number counts is not decided here but fitted (`weights`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agents.cases import Case, Edge
from agents.causes import Candidate, Factors, weigh
from agents.faults import EXPECTED, FAULTS, Fault
from agents.signs import Sign, changed, evidence, held, onset, pooled
from agents.surprise import Constants

HOUR, DAY = 3600.0, 86_400.0
BESIDE = frozenset({"observes", "trains_on"})
"""Edges along which a fault does not travel within the time of an incident."""
JOBS = frozenset({"ingest_job", "feature_job", "label_job", "training_job"})
CARRIES = {"writes": 0.95, "reads": 0.6, "serves": 0.8, "labels": 0.8, "trains": 0.8, "reads_online": 0.7, "feeds": 0.4}
"""Chance that a fault passes an edge of this kind: what a job writes it has made, what it reads it may use in part."""
BLIND, CALM_SHARE, WRONG_ALERT, FLOOR, PASSING, AT_TARGET = -1.5, 0.6, -2.0, -1.5, -0.5, 3.5
"""Nats inside the ranker: telling signs unseen; share of a moved sign that should be calm; an alert that the kind does
not raise; a relay that should show it and does not, and the same for a job; the alert at the node where it begins."""
GROUPS = {
    "source": "tables", "table": "tables", "ingest_job": "jobs", "feature_job": "jobs", "label_job": "jobs",
    "training_job": "jobs", "feature_view": "features", "feature_store": "features", "model": "models",
}  # fmt: skip
IDLE = frozenset({"version", "schema", "train_rows", "model_age", "traffic", "cpu", "memory", "replicas", "cache"})
"""Roles that move without anything being wrong."""
FAR = 9

Edges = list[tuple[str, str, float | None]]


class Traits(NamedTuple):
    """One candidate: `values` by name, and the node that a value speaks of where it is not the candidate's own."""

    fault: Fault
    node: str
    values: dict[str, float]
    where: dict[str, str]
    change: str
    """Id of the change that fits, or empty."""


def strength(edge: Edge) -> float | None:
    """Chance that a fault of the source shows at the target; None when nothing is known."""
    if edge.importance is not None:
        return 0.15 + 0.8 * min(math.sqrt(edge.importance), 1.0)
    return CARRIES.get(edge.kind)


def edges_of(edges: Sequence[Edge]) -> Edges:
    """The lineage along which a fault can travel."""
    return [(e.source, e.target, strength(e)) for e in edges if e.kind not in BESIDE]


def gather(case: Case, signs: Mapping[str, Mapping[str, Sign]], edges: Edges, c: Constants) -> list[Traits]:
    """Every candidate of the case's alert."""
    target, kinds = case.alert["node"], {n: str(about.get("kind", "")) for n, about in case.nodes.items()}
    way = _Way(edges, target, signs)
    found = []
    for fault in FAULTS:
        ranked = _ranked(case, signs, edges, fault, kinds, c)
        places = max(sum(all(p[1] != "no known path" for p in x.parts) for x in ranked), 1)
        for candidate in ranked:
            found.append(_traits(case, fault, candidate, signs, kinds, way, places))
    return found


class _Way:
    """Distances to the alert, and what moved above a node."""

    def __init__(self, edges: Edges, target: str, signs: Mapping[str, Mapping[str, Sign]]):
        self.parents: dict[str, list[str]] = {}
        for source, sink, _ in edges:
            self.parents.setdefault(sink, []).append(source)
        self.distance, queue = {target: 0}, [target]
        for node in queue:
            for parent in self.parents.get(node, ()):
                if parent not in self.distance:
                    self.distance[parent] = self.distance[node] + 1
                    queue.append(parent)
        self.moved = {
            n: max((s.nats for role, s in shown.items() if role not in IDLE), default=0.0) for n, shown in signs.items()
        }
        self.known: dict[str, float] = {}

    def above(self, node: str) -> float:
        """The clearest sign of the nodes up to three steps upstream, 0..5 nats: what moved there first explains it."""
        if node not in self.known:
            seen: set[str] = set()
            front, best = [node], 0.0
            for _ in range(3):
                front = [p for n in front for p in self.parents.get(n, ()) if p not in seen and p != node]
                seen.update(front)
                best = max([best, *(min(self.moved.get(p, 0.0), 5.0) for p in front)])
            self.known[node] = best
        return self.known[node]


def _traits(
    case: Case,
    fault: Fault,
    candidate: Candidate,
    signs: Mapping[str, Mapping[str, Sign]],
    kinds: Mapping[str, str],
    way: _Way,
    places: int,
) -> Traits:
    node, target, shown = candidate.node, case.alert["node"], signs.get(candidate.node, {})
    generic = fault.cause == "unknown"
    values, where = _explained(candidate, target, kinds)
    began, alerted = onset(shown, fault), onset(signs.get(target, {}), None) or case.at
    own = next((x for _, what, x in candidate.parts if what == "own anomaly"), None)
    seen = [s.nats for s in shown.values()] if generic else evidence(shown, fault.own)
    clearest = max(min(max(seen), 6.0), -1.5) if seen else 0.0
    change = changed(case, node, began or alerted)
    fit = change[1] if change else 0.0
    fits = change is not None and change[0]["kind"] in EXPECTED.get(fault.cause, ())
    if generic:
        values |= {"any sign": clearest, "any change": fit, "moved above, any": way.above(node)}
    else:
        values |= {
            "own anomaly": own or 0.0, "clearest sign": clearest, "moved above": way.above(node),
            "fitting change": fit if fits else 0.0, "other change": 0.0 if fits else fit,
        }  # fmt: skip
    values |= {
        "unseen": float(own is None),
        "should be calm": held(shown, fault.calm),
        "no known path": float(any(what == "no known path" for _, what, _ in candidate.parts)),
        "not what alerted": float(node == target and not _fits(case, fault, kinds[target], target)),
        "began after the alert": float(began is not None and began > alerted + 1.5 * HOUR),
        "began before": float(began is not None and alerted - DAY < began <= alerted + HOUR),
        "is what alerted": float(node == target),
        "one of many": math.log(places),
        "steps away": way.distance.get(node, FAR) / 3,
    }
    return Traits(fault, node, values, where, str(change[0]["id"]) if change else "")


def _explained(candidate: Candidate, target: str, kinds: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str]]:
    """What the ranker explains by the candidate, and what it misses, by groups of nodes; the square root of gains,
    because what many nodes repeat is not so many proofs."""
    values: dict[str, float] = {}
    most: dict[str, tuple[float, str]] = {}
    many = 0
    for node, what, nats in candidate.parts:
        if what != "explained":
            continue
        if node == target:
            name = "the alert explained" if nats > 0 else "the alert missed"
        else:
            name = f"{GROUPS.get(kinds.get(node, ''), 'services')} {'explained' if nats > 0 else 'missed'}"
            many += nats > 0.7
        values[name] = values.get(name, 0.0) + nats
        most[name] = max(most.get(name, (0.0, "")), (abs(nats), node))
    for name, nats in values.items():
        if not name.startswith("the alert"):
            values[name] = math.sqrt(min(nats, 8.0)) if nats > 0 else max(nats, -4.0)
    if many:
        values["how many explained"] = math.sqrt(many)
    return values, {name: node for name, (_, node) in most.items()}


def _ranked(
    case: Case,
    signs: Mapping[str, Mapping[str, Sign]],
    edges: Edges,
    fault: Fault,
    kinds: Mapping[str, str],
    c: Constants,
) -> list[Candidate]:
    """Every node where this kind of fault can begin, as the lineage ranker sees it."""
    target, generic = case.alert["node"], fault.cause == "unknown"
    factors = {}
    for node, kind in kinds.items():
        shown = signs.get(node, {})
        seen = [s.nats for s in shown.values()]
        if not generic:
            spared = held(shown, fault.spared.get(kind, ()))
            seen = [n - CALM_SHARE * spared for n in evidence(shown, fault.effects.get(kind, ()))]
        s = max((x.s for x in shown.values()), default=math.nan)
        relay = max(pooled(seen), PASSING if kind in JOBS else FLOOR) if seen else 0.0
        own = _own(shown, fault, generic, c)
        if node == target:
            fits = _fits(case, fault, kind, target)
            relay = max(relay, 0.0) + c.target_relay if fits else WRONG_ALERT
            if fits and _alerts(case, target, fault.own):
                own = max(own, AT_TARGET - CALM_SHARE * held(shown, fault.calm))
        factors[node] = Factors(s, own, relay)
    ranking = weigh([*edges, *_extra(case, fault, kinds)], factors, target, constants=c)
    wanted = [x for x in ranking.candidates if x.node in kinds]
    return [x for x in wanted if kinds[x.node] in fault.origins or (generic and not kinds[x.node])]


def _own(shown: Mapping[str, Sign], fault: Fault, generic: bool, c: Constants) -> float:
    """What the node itself says about being where this fault began."""
    if generic:
        seen = [s.nats for s in shown.values()]
        return max(pooled(seen), c.culprit_floor) if seen else c.unseen_culprit
    seen = evidence(shown, fault.own)
    return (max(pooled(seen), fault.quiet) if seen else BLIND) - CALM_SHARE * held(shown, fault.calm)


def alert_role(case: Case) -> str:
    """The role of the alerting series; empty when it is not among the telemetry."""
    target, metric = case.alert["node"], case.alert.get("metric")
    return next((s.role.name for s in case.series if s.node == target and s.metric == metric), "")


def _fits(case: Case, fault: Fault, kind: str, target: str) -> bool:
    """Whether the alert is of a sign that this kind of fault moves."""
    roles = (*fault.effects.get(kind, ()), *(fault.own if kind in fault.origins else ()))
    return fault.cause == "unknown" or _alerts(case, target, roles)


def _alerts(case: Case, target: str, roles: Sequence[str]) -> bool:
    """Whether the alerting series has one of these roles (or is unknown)."""
    role = alert_role(case)
    return not role or role in {r.rstrip("+-") for r in roles}


def _extra(case: Case, fault: Fault, kinds: Mapping[str, str]) -> Edges:
    """Ways that only this kind of fault takes: a monitor misjudges what it observes; a store serves its views."""
    if fault.cause == "monitor_fault":
        return [(e.target, e.source, 0.6) for e in case.edges if e.kind == "observes"]
    if fault.cause == "online_store_miss":
        fed: dict[str, set[str]] = {}
        for e in case.edges:
            if kinds.get(e.source) == "feature_view":
                fed.setdefault(e.target, set()).add(e.source)
        stores = [e for e in case.edges if kinds.get(e.source) == "feature_store"]
        return [(e.source, view, 0.6) for e in stores for view in fed.get(e.target, ())]
    return []
