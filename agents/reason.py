"""From the picture of a live incident to ranked, typed causes with their score in nats: pure.

The lineage graph, extended by what it may not know (the inputs the model is seen to read, and a common cause of all of
them), goes through the Bayesian ranker; each likely node is then typed by its signature, and the change that fits it
best is attached.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import msgspec

from agents import calibration, traits
from agents.causes import Candidate, Factors, Ranking, weigh
from agents.picture import NEAR, Picture, Signal
from agents.remedies import BROKEN_INPUT
from agents.signatures import Traits, begins, typed
from agents.steering import Steering
from agents.surprise import Constants, bayes
from core.findings import Cause, Contribution

SHOWN = 5
CHANGE_NATS = 1.8
CHANGE_DECAY = 3 * 3600.0
VERSION_NATS = 2.0
"""A fault that only rows of a new version show speaks for what the version changed."""
COINCIDENCE = 0.2
"""How often, at most, a deployment falls beside an onset that it has nothing to do with."""
CALM_INPUTS = 1.5
"""Nats against what feeds a model all of whose inputs were measured and are calm."""
EVERYTHING = "all inputs"
"""The node of "something common to all inputs": the world, or an upstream that lineage does not know."""


class Reasoned(NamedTuple):
    """Ranked causes, the traits and type probabilities of the first, and what speaks for nothing being wrong."""

    causes: list[Cause]
    traits: Traits
    types: dict[str, float]
    confidence: float
    ranking: Ranking
    change: tuple[int, dict[str, Any]] | None
    with_version: float
    label: str | None
    """The input that the first cause stands for, if it is one."""
    version_only: bool = False
    """What is sure is that the version brought it; of what kind it is, is only likely."""


class Nodes(NamedTuple):
    """The graph to rank on. `of_label`: the node that stands for an input; `labels`: the inputs a node stands for."""

    edges: list[tuple[str, str, float | None]]
    factors: dict[str, Factors]
    of_label: dict[str, str]
    model: str


def reason(picture: Picture, steering: Steering) -> Reasoned:
    """Rank and type the causes of the incident. Deterministic in the evidence and the steering."""
    graph = _nodes(picture)
    change, with_version = responsible(picture, steering)
    target = _target(picture, graph)
    priors = _priors(picture, graph, steering, change, with_version)
    ranking = weigh(graph.edges, graph.factors, target, priors=priors)
    seen = _traits(picture, with_version)
    kinds = typed(seen)
    places = [c for c in ranking.candidates if c.node not in steering.without_nodes]
    told = _placed(picture, graph, places, kinds)
    causes = [_cause(picture, graph, c, kind, mass, change, target) for c, kind, mass in told[: SHOWN + 3]]
    causes = _deduplicated(causes, steering.towards)[:SHOWN]
    confidence = _confidence(picture, causes, kinds[causes[0].type]) if causes else 0.0
    by_version = _confidence(picture, causes, _brought(causes[0].type, kinds, with_version)) if causes else 0.0
    least = calibration.load().threshold
    version_only = confidence < least <= by_version
    label = next((la for la, node in graph.of_label.items() if causes and node == causes[0].node), None)
    said = by_version if version_only else confidence
    return Reasoned(causes, seen, kinds, said, ranking, change, with_version, label, version_only)


def _confidence(p: Picture, causes: list[Cause], kind: float) -> float:
    return calibration.confidence(
        causes[0].posterior,
        kind,
        partial=p.partial and p.telemetry is not None,
        telemetry=p.telemetry is not None,
        alone=p.telemetry is None and p.changes is None,
    )


def _brought(kind: str, kinds: dict[str, float], with_version: float) -> float:
    """How sure it is that the serving version brought a fault of whichever kind that versions bring: going back undoes
    them all. Said only where nothing but the rows of a version just deployed moved; that anything else began at that
    very moment would be a coincidence."""
    if with_version < 1.0 or kind not in BROKEN_INPUT:
        return 0.0
    brought = sum(chance for k, chance in kinds.items() if k in BROKEN_INPUT)
    return brought / (brought + COINCIDENCE * (1 - brought))


def _placed(
    p: Picture, graph: Nodes, places: list[Candidate], kinds: dict[str, float]
) -> list[tuple[Candidate, str, float]]:
    """(node, kind, probability of the node): each kind among the nodes where it can begin, by what the graph says of
    them. The likeliest place of the likeliest kind first, then by probability."""
    what = {row["id"]: row["kind"] for row in p.lineage.result["nodes"]} if p.lineage else {}
    what |= dict.fromkeys(graph.of_label.values(), "input") | {graph.model: "model", EVERYTHING: EVERYTHING}
    mass = dict.fromkeys((c.node for c in places), 0.0)
    best: dict[str, tuple[float, str]] = {}
    for kind, chance in kinds.items():
        able = [c for c in places if begins(kind, what.get(c.node, ""))]
        total = sum(c.posterior for c in able)
        for c in able if total > 0 else ():
            part = chance * c.posterior / total
            mass[c.node] += part
            best[c.node] = max(best.get(c.node, (-1.0, "")), (part, kind))
    ranked = sorted((c for c in places if c.node in best), key=lambda c: -mass[c.node])
    for kind in kinds:  # likeliest first; of a kind that can begin nowhere here nothing can be said
        first = next((c for c in places if begins(kind, what.get(c.node, "")) and c.posterior > 0), None)
        if first is not None:
            rest = [(c, best[c.node][1], mass[c.node]) for c in ranked if c is not first]
            return [(first, kind, mass[first.node]), *rest]
    return []


def responsible(p: Picture, steering: Steering) -> tuple[tuple[int, dict[str, Any]] | None, float]:
    """The change that fits the onset best, if any, and how sure it is that the fault came with the version."""
    with_version = traits.came_with_version(p) or 0.0
    if p.deployment is not None and p.deployment[1]["name"] in steering.without_changes:
        with_version = 0.0
    candidates = []
    for place, change in p.near_changes:
        if change["name"] in steering.without_changes:
            continue
        if p.deployment is not None and place == p.deployment[0]:
            weight = 2.0 if with_version >= 0.75 else 0.6
        elif p.is_model(change["target"]):
            weight = 0.3 if p.telemetry is not None and change["kind"] == "deployment" else 0.7
        else:
            distance = _distance(p, change["target"])
            weight = 0.9 / distance if distance else 0.0
        age = max(p.onset - change["at"], 0.0)
        candidates.append((weight * math.exp(-age / CHANGE_DECAY), place, change))
    best = max(candidates, key=lambda c: (c[0], -c[1]), default=None)
    return ((best[1], best[2]) if best is not None and best[0] > 0.05 else None), with_version


def _distance(p: Picture, target: str) -> int | None:
    """Lineage distance of a change's target from the model; None when it is not upstream."""
    if p.lineage is None:
        return 2 if any(target == label for label in p.inputs) else None
    for row in p.lineage.result["nodes"]:
        if target in (row["id"], row.get("title")):
            return max(row["distance"], 1)
    return 1 if target in p.inputs else None


def _nodes(p: Picture) -> Nodes:
    """Lineage upstream of the model, completed by the inputs the model is seen to read."""
    rows = p.lineage.result["nodes"] if p.lineage else []
    model = p.lineage.result["model"] if p.lineage else p.model
    ids = [row["id"] for row in rows]
    edges: list[tuple[str, str, float | None]] = []
    for source, sink, importance in p.lineage.result["edges"] if p.lineage else []:
        edges.append((ids[source], ids[sink], None if importance is None else 0.2 + 0.7 * importance))
    of_label = {}
    columns = p.lineage.result["columns"] if p.lineage else {}
    for label in p.inputs:
        node = _known(label, rows)
        if node is None:
            node = label if label not in ids else f"input {label}"
            if label in columns:
                edges.append((ids[columns[label]], node, None))
        of_label[label] = node
        if (node, model) not in {(a, b) for a, b, _ in edges}:
            edges.append((node, model, None))
    if len(of_label) > 1:
        edges += [(EVERYTHING, node, None) for node in dict.fromkeys(of_label.values())]
    unseen = Constants().unseen_culprit - (CALM_INPUTS if len(p.calm_inputs) > 1 and not p.moved_inputs else 0.0)
    factors = {node: Factors(math.nan, unseen, 0.0) for node in {*ids, model, EVERYTHING}}
    for label, node in of_label.items():
        factors[node] = _shown(p.inputs[label])
    factors[model] = _shown(p.of("score", "confidence", "quality", "error", "latency", "silence", "duplicates"))
    return Nodes(edges, factors, of_label, model)


def _known(label: str, rows: list[dict[str, Any]]) -> str | None:
    """The lineage node of an input: by its name, or the last part of its id; None when that is not one node."""
    exact = [r["id"] for r in rows if label in (r["id"], r.get("title"))]
    ends = exact or [r["id"] for r in rows if re.split(r"[/:.#]", r["id"])[-1] == label]
    return ends[0] if len(ends) == 1 else None


def _shown(signals: list[Signal]) -> Factors:
    """What a node shows by its signals. A detector that fired is evidence in itself."""
    c = Constants()
    seen = [s for s in signals if not math.isnan(s.s)]
    detected = any(s.detected for s in signals)
    if not seen and not detected:
        return Factors(math.nan, c.unseen_culprit, 0.0)
    s = max((x.s for x in seen), default=c.threshold)
    own = max((bayes(x.s, c) for x in seen), default=0.0)
    relay, culprit = max(own, c.relay_floor), max(own, c.culprit_floor)
    if detected:
        s, relay, culprit = max(s, c.threshold), max(relay, c.target_relay), max(culprit, c.target_culprit)
    return Factors(s, culprit, relay)


def _target(p: Picture, graph: Nodes) -> str:
    """The node that alerted: where the leading detection is."""
    lead = p.lead
    if lead is None or lead.label not in graph.of_label:
        return graph.model
    return graph.of_label[lead.label] if len(p.moved_inputs) == 1 else graph.model


def _priors(
    p: Picture, graph: Nodes, steering: Steering, change: tuple[int, dict[str, Any]] | None, with_version: float
) -> dict[str, float]:
    """Nats from the change log, from people's words, and against what lineage says is healthy."""
    priors = {node: steering.prior(node) for node in graph.factors if steering.prior(node)}
    if change is None:
        return priors
    what = change[1]
    gain = CHANGE_NATS * math.exp(-max(p.onset - what["at"], 0.0) / CHANGE_DECAY)
    if p.is_model(what["target"]):
        detected = [la for la in p.moved_inputs if any(s.detected for s in p.inputs[la])]
        moved = {graph.of_label[label] for label in detected} if with_version else set()
        hit = moved or {graph.model}
        gain += VERSION_NATS * with_version if what["kind"] == "deployment" else 0.0
    else:
        hit = {
            node for node in graph.factors if node == what["target"] or re.split(r"[/:.#]", node)[-1] == what["target"]
        }
    for node in hit:
        if graph.factors[node].culprit > -1 or math.isnan(graph.factors[node].s):
            priors[node] = priors.get(node, 0.0) + gain
    return priors


def _traits(p: Picture, with_version: float) -> Traits:
    seen = dict(traits.of(p))
    seen["came_with_version"] = with_version if seen["came_with_version"] is not None or with_version else None
    return seen


def _cause(
    p: Picture,
    graph: Nodes,
    candidate: Candidate,
    kind: str,
    mass: float,
    change: tuple[int, dict[str, Any]] | None,
    target: str,
) -> Cause:
    path = _path(graph, candidate.node, target)
    if path[-1] != graph.model:
        path = [*path, graph.model]
    held = None
    if change is not None and (p.is_model(change[1]["target"]) or _feeds(graph, change[1]["target"], path)):
        innocent = kind in ("covariate_drift", "concept_drift", "seasonality", "campaign_mix", "late_labels")
        held = None if innocent else change[1]["name"]
    parts = [Contribution(node=n, what=w, nats=round(x, 3)) for n, w, x in candidate.parts]
    parts.sort(key=lambda part: -abs(part.nats))
    return Cause(
        node=candidate.node,
        type=kind,
        posterior=round(mass, 4),
        score=round(candidate.score, 3),
        change=held,
        path=path,
        contributions=parts[:12],
    )


def _feeds(graph: Nodes, target: str, path: list[str]) -> bool:
    """Whether a change's target is on the path or upstream of its first node."""
    here = [n for n in graph.factors if n == target or re.split(r"[/:.#]", n)[-1] == target]
    return any(
        n in path or len(_path(graph, n, path[0])) > 2 or (n, path[0]) in {e[:2] for e in graph.edges} for n in here
    )


def _path(graph: Nodes, start: str, end: str) -> list[str]:
    """A shortest way down the edges; the two ends alone when there is none."""
    down: dict[str, list[str]] = {}
    for source, sink, _ in graph.edges:
        down.setdefault(source, []).append(sink)
    came: dict[str, str] = {start: ""}
    front = [start]
    while front and end not in came:
        following = []
        for node in front:
            for child in sorted(down.get(node, ())):
                if child not in came:
                    came[child] = node
                    following.append(child)
        front = following
    if end not in came:
        return [start] if start == end else [start, end]
    way = [end]
    while came[way[-1]]:
        way.append(came[way[-1]])
    return way[::-1]


def _deduplicated(causes: list[Cause], asked: frozenset[str]) -> list[Cause]:
    """Nodes that tell the same story (a job and its only input) count once: their posteriors are added.

    What a person asked to look at stays a cause of its own.
    """
    kept: list[Cause] = []
    for cause in causes:
        twin = next(
            (
                k
                for k in kept
                if k.type == cause.type and (cause.node in k.path or k.node in cause.path) and k.change == cause.change
            ),
            None,
        )
        if twin is None or cause.node in asked:
            kept.append(cause)
        else:
            at = kept.index(twin)
            kept[at] = msgspec.structs.replace(twin, posterior=min(round(twin.posterior + cause.posterior, 4), 1.0))
    return kept


__all__ = ["EVERYTHING", "NEAR", "Reasoned", "reason", "responsible"]
