"""Root causes of a recorded case: the Bayesian lineage ranker, once for each kind of fault.

For every kind of fault (`faults.FAULTS`) the nodes where it can begin are scored by what it should move there, what it
should leave alone, and what it should show downstream; node and kind are then weighed together. A fault of no known
kind is scored by whatever moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agents.cases import Case, Edge
from agents.causes import Candidate, Factors, weigh
from agents.faults import FAULTS, Fault
from agents.readings import Reading, read_all
from agents.surprise import Constants

HOUR = 3600.0
BESIDE = frozenset({"observes", "trains_on"})
"""Edges along which a fault does not travel within the time of an incident."""
JOBS = frozenset({"ingest_job", "feature_job", "label_job", "training_job"})
CHANGE_DECAY, NEAR, LOGGED_LATE = 3 * HOUR, 12 * HOUR, 1.5 * HOUR


class Weights(NamedTuple):
    """What speaks for a typed cause, in nats; the same for every tenant."""

    blind_own: float = -1.5
    """The telling signs cannot be seen."""
    moved_calm: float = 0.6
    """Share of the evidence of a sign that should be calm, held against the kind."""
    wrong_alert: float = -2.0
    """The alert is of a sign that the kind does not move."""
    late_root: float = -1.0
    """The node moved after what it is said to have caused."""
    floor: float = -1.5
    """A node that should show it and does not, as a relay."""
    passing: float = -0.5
    """The same for a job: most of what passes through a job leaves no mark on the job itself."""
    at_target: float = 3.5
    """The alert itself, for a kind that begins at the node that alerted and shows there as it did."""
    change: float = 1.8
    """A change on the node at the time it began."""
    temperature: float = 1.15


class Typed(NamedTuple):
    """One typed cause: the fault, its node, its score in nats with the parts that sum to it."""

    fault: Fault
    node: str
    score: float
    posterior: float
    parts: list[tuple[str, str, float]]


class Diagnosis(NamedTuple):
    """Everything that follows from a case before words are found; `causes` likeliest first, one for each node."""

    readings: list[Reading]
    signs: dict[str, dict[str, Sign]]
    causes: list[Typed]
    kinds: dict[str, float]
    """Probability of each kind of fault at the first node."""
    edges: list[tuple[str, str, float | None]]


class Sign(NamedTuple):
    """What a node shows in one role: nats, direction, size, and the reading that shows it most."""

    nats: float
    sign: int
    s: float
    reading: Reading


CARRIES = {"writes": 0.95, "reads": 0.6, "serves": 0.8, "labels": 0.8, "trains": 0.8, "reads_online": 0.7, "feeds": 0.4}
"""Chance that a fault passes an edge of this kind: what a job writes it has made, what it reads it may use in part."""


def strength(edge: Edge) -> float | None:
    """Chance that a fault of the source shows at the target; None when nothing is known."""
    if edge.importance is not None:
        return 0.15 + 0.8 * min(math.sqrt(edge.importance), 1.0)
    return CARRIES.get(edge.kind)


def diagnose(case: Case, constants: Constants = Constants(), weights: Weights = Weights()) -> Diagnosis:  # noqa: B008
    """Rank the typed causes of the case's alert."""
    readings = read_all(case)
    signs = _signs([*readings, *read_all(case, segments=True)])
    edges = [(e.source, e.target, strength(e)) for e in case.edges if e.kind not in BESIDE]
    found: list[Typed] = []
    for fault in FAULTS:
        found += _scored(case, signs, edges, fault, constants, weights)
    scores = np.array([t.score for t in found] + [0.0])
    share = np.exp((scores - scores.max()) / weights.temperature)
    share /= share.sum()
    found = [t._replace(posterior=float(p)) for t, p in zip(found, share, strict=False)]
    nodes: dict[str, list[Typed]] = {}
    for typed in found:
        nodes.setdefault(typed.node, []).append(typed)
    causes = []
    for several in nodes.values():
        best = max(several, key=lambda t: t.posterior)
        causes.append(best._replace(posterior=sum(t.posterior for t in several)))
    causes.sort(key=lambda t: (-t.posterior, t.node))
    kinds: dict[str, float] = {}
    if causes:
        own = nodes[causes[0].node]
        total = sum(t.posterior for t in own)
        kinds = {t.fault.cause: t.posterior / total for t in sorted(own, key=lambda t: -t.posterior)}
    return Diagnosis(readings, signs, causes, kinds, edges)


def _signs(readings: Sequence[Reading]) -> dict[str, dict[str, Sign]]:
    """node -> role -> its evidence, over all features: the best one, less the price of having chosen it."""
    grouped: dict[tuple[str, str], list[Reading]] = {}
    for r in readings:
        grouped.setdefault((r.series.node, r.series.role.name), []).append(r)
    found: dict[str, dict[str, Sign]] = {}
    for (node, role), several in grouped.items():
        best = max(several, key=lambda r: r.nats)
        nats = best.nats - (0.5 * math.log(len(several)) if best.nats > 0 else 0.0)
        found.setdefault(node, {})[role] = Sign(nats, best.sign, best.s, best)
    return found


def evidence(shown: Mapping[str, Sign], roles: Sequence[str]) -> list[float]:
    """Nats of the roles that can be seen; a role that went the other way is calm."""
    found = []
    for wanted in roles:
        name, way = (wanted[:-1], wanted[-1]) if wanted[-1] in "+-" else (wanted, "")
        sign = shown.get(name)
        if sign is not None:
            against = (way == "+" and sign.sign < 0) or (way == "-" and sign.sign > 0)
            found.append(min(sign.nats, -1.0) if against else sign.nats)
    return found


def _mean(nats: Sequence[float]) -> float:
    top = max(nats)
    return top + math.log(sum(math.exp(n - top) for n in nats)) - 0.5 * math.log(len(nats))


def _scored(
    case: Case,
    signs: Mapping[str, Mapping[str, Sign]],
    edges: list[tuple[str, str, float | None]],
    fault: Fault,
    c: Constants,
    w: Weights,
) -> list[Typed]:
    """Every node where this kind of fault can begin, with its score."""
    target = case.alert["node"]
    kinds = {node: str(about.get("kind", "")) for node, about in case.nodes.items()}
    generic = fault.cause == "unknown"
    factors = {}
    for node, kind in kinds.items():
        shown = signs.get(node, {})
        if generic:
            seen = [s.nats for s in shown.values()]
        else:
            roles = fault.effects.get(kind, ())
            seen = evidence(shown, roles)
            held = _held(shown, fault.spared.get(kind, ()))
            seen = [n - w.moved_calm * held for n in seen]
        s = max((x.s for x in shown.values()), default=math.nan)
        floor = w.passing if kind in JOBS else w.floor
        relay = max(_mean(seen), floor) if seen else 0.0
        own = _own(shown, fault, kind, generic, c, w)
        if node == target:
            fits = _fits(case, fault, kind, target)
            relay = max(relay, 0.0) + c.target_relay if fits else w.wrong_alert
            if fits and _alerts(case, target, fault.own):
                own = max(own, w.at_target - w.moved_calm * _held(shown, fault.calm))
        factors[node] = Factors(s, own, relay)
    paths = [*edges, *_extra(case, fault, kinds)]
    ranking = weigh(paths, factors, target, constants=c)
    found = []
    for candidate in ranking.candidates:
        kind = kinds.get(candidate.node)
        if kind in fault.origins or (generic and not kind):
            found.append(_typed(case, fault, candidate, signs, target, kinds, w))
    return found


def onset(shown: Mapping[str, Sign], fault: Fault | None) -> float | None:
    """When the node began to move in the roles that tell of the fault (in any, without one): its clearest sign's."""
    roles = {r.rstrip("+-") for r in fault.own} if fault is not None and fault.own else set(shown)
    moved = [s for name, s in shown.items() if name in roles and s.nats > 0 and s.reading.onset is not None]
    return max(moved, key=lambda s: s.nats).reading.onset if moved else None


def changed(case: Case, node: str, began: float) -> tuple[dict[str, object], float] | None:
    """The change on `node` that fits an onset at `began` best, and how well (0..1); None when none does.

    A change may be logged up to an hour and a half after it took effect.
    """
    best: tuple[dict[str, object], float] | None = None
    for change in case.changes:
        age = began - change["at"]
        if change["target"] != node or not -LOGGED_LATE <= age <= NEAR:
            continue
        fit = math.exp(-age / CHANGE_DECAY) if age >= 0 else 0.6
        if best is None or fit > best[1]:
            best = (change, fit)
    return best


def _own(shown: Mapping[str, Sign], fault: Fault, kind: str, generic: bool, c: Constants, w: Weights) -> float:
    """What the node itself says about being where this fault began."""
    if generic:
        seen = [s.nats for s in shown.values()]
        return max(_mean(seen), c.culprit_floor) if seen else c.unseen_culprit
    seen = evidence(shown, fault.own)
    own = max(_mean(seen), fault.quiet) if seen else w.blind_own
    return own - w.moved_calm * _held(shown, fault.calm)


def _held(shown: Mapping[str, Sign], calm: Sequence[str]) -> float:
    """Evidence of signs that should be calm."""
    return min(sum(max(n, 0.0) for n in evidence(shown, calm)), 6.0)


def _fits(case: Case, fault: Fault, kind: str, target: str) -> bool:
    """Whether the alert is of a sign that this kind of fault moves."""
    roles = (*fault.effects.get(kind, ()), *(fault.own if kind in fault.origins else ()))
    return fault.cause == "unknown" or _alerts(case, target, roles)


def _alerts(case: Case, target: str, roles: Sequence[str]) -> bool:
    """Whether the alerting series has one of these roles (or is unknown)."""
    role = next((s.role for s in case.series if s.node == target and s.metric == case.alert.get("metric")), None)
    return role is None or role.name in {r.rstrip("+-") for r in roles}


def _extra(case: Case, fault: Fault, kinds: Mapping[str, str]) -> list[tuple[str, str, float | None]]:
    """Ways that only this kind of fault takes: a monitor misjudges what it observes; a store serves its views."""
    if fault.cause == "monitor_fault":
        return [(e.target, e.source, 0.6) for e in case.edges if e.kind == "observes"]
    if fault.cause == "online_store_miss":
        fed: dict[str, set[str]] = {}
        for e in case.edges:
            if kinds.get(e.source) == "feature_view":
                fed.setdefault(e.target, set()).add(e.source)
        return [
            (e.source, view, 0.6)
            for e in case.edges
            if kinds.get(e.source) == "feature_store"
            for view in fed.get(e.target, ())
        ]
    return []


def _typed(
    case: Case,
    fault: Fault,
    candidate: Candidate,
    signs: Mapping[str, Mapping[str, Sign]],
    target: str,
    kinds: Mapping[str, str],
    w: Weights,
) -> Typed:
    parts = list(candidate.parts)
    if candidate.node == target and not _fits(case, fault, kinds[target], target):
        parts.append((target, "not what alerted", w.wrong_alert))
    parts.append((candidate.node, f"how often: {fault.cause}", fault.prior))
    began = onset(signs.get(candidate.node, {}), fault) or onset(signs.get(target, {}), None) or case.at
    change = changed(case, candidate.node, began)
    if change is not None and parts[0][2] >= -1.5:
        parts.append((candidate.node, f"change {change[0]['id']}", w.change * change[1]))
    return Typed(fault, candidate.node, sum(p[2] for p in parts), 0.0, parts)
