"""Which node is at fault: a single-fault Bayesian ranker over a causal graph, as pure functions.

`rank` takes plain data (edges, normal and abnormal metric tables, an optional target); `weigh` takes log Bayes factors
that somebody else measured. Both return candidates whose contributions, in nats, sum to their score.

Method: every candidate c is scored by how much better "c is at fault and the anomaly travelled from it" explains what
all nodes show than "nothing is wrong". Travel is a noisy-or over the graph in topological order (Pearl 1988, section
4.3), weakened where a weak anomaly would have to cause a strong one. Cycles in the input are contracted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct

from agents.dag import contract
from agents.metrics import DELIVERED, RESOURCES, outbound, role_of
from agents.surprise import Constants, Shown, first_anomaly, surprise

__all__ = ["Candidate", "Constants", "Factors", "Ranking", "rank", "weigh"]

NO_FAULT = "no fault here"
BENIGN = "benign"
HUGE = 1e100


class Factors(NamedTuple):
    """What one node shows: its anomaly `s` (NaN: unseen) and log Bayes factors as culprit and as relay, in nats."""

    s: float
    culprit: float
    relay: float


class Candidate(Struct, frozen=True):
    """One possible culprit. `parts` are (node, what, nats) and sum to `score`."""

    node: str
    score: float
    posterior: float
    parts: list[tuple[str, str, float]]


class Ranking(Struct, frozen=True):
    """Candidates, likeliest first, and what is left for "nothing is wrong" and "it is benign"."""

    candidates: list[Candidate]
    no_fault: float
    benign: float
    cycles: list[list[str]] = []
    """Knots in the input that were contracted."""

    def place(self, node: str) -> int | None:
        """1 for the first; None when the node is no candidate."""
        return next((i for i, c in enumerate(self.candidates, 1) if c.node == node), None)


def rank(
    edges: Iterable[Sequence[Any]],
    normal: Mapping[str, Mapping[str, Sequence[float]]],
    abnormal: Mapping[str, Mapping[str, Sequence[float]]],
    target: str | None = None,
    *,
    onset: int | None = None,
    directions: Mapping[str, int] | None = None,
    priors: Mapping[str, float] | None = None,
    constants: Constants = Constants(),  # noqa: B008 - a frozen value
) -> Ranking:
    """Rank the nodes of a causal graph by how well a fault at each explains the abnormal rows.

    Args:
        edges: (cause, effect) or (cause, effect, strength in 0..1): a fault of the first can show at the second. For a
            call graph that is (callee, caller).
        normal: node -> metric -> fault-free values, equally spaced, oldest first; NaN where unseen.
        abnormal: the same metrics over the rows in question, best from a few steps before the trouble on.
        target: the node that alerted. Its ancestors and itself are candidates then, others at a price.
        onset: the row of `abnormal` at which the trouble began; the rows before it are "just before". None: the rows
            before the first in which the target (any node, without one) is anomalous.
        directions: metric -> +1 (high is bad), -1 (low is bad), 0 (any change); told by the name where left out.
        priors: node -> nats added to its score (changes, history).

    Returns:
        every candidate with its score in nats and its posterior; "no fault" is the alternative with score 0.

    A fault can also sit on what a node delivers: its consumers then wait or fail though its own metrics are as ever. So
    each node is scored with its own metrics and, apart from that, by its connections alone.
    """
    listed, normal, abnormal = [tuple(e) for e in edges], _numbers(normal), _numbers(abnormal)
    nodes = sorted({*normal, *abnormal, *(n for e in listed for n in e[:2]), *([target] if target is not None else [])})
    start = first_anomaly(normal, abnormal, target, constants) if onset is None else onset
    measured = surprise(normal, abnormal, start, target, directions or {}, constants)
    shown = {node: measured.get(node, {}) for node in nodes}
    factors = {node: _factors(shown[node], node == target, constants) for node in nodes}
    own = weigh(listed, factors, target, priors=priors, constants=constants)
    consumers = {node: _delivered(shown[node], factors[node], node == target, constants) for node in nodes}
    lines = {_line(node): Factors(math.nan, constants.connection, 0.0) for node in nodes}
    by_line = [*listed, *((_line(e[0]), *e[1:]) for e in listed)]
    apart = weigh(by_line, consumers | lines, target, constants=constants)
    return _joined(own, apart, set(lines), constants)


def _numbers(table: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, Any]]:
    """The table as arrays within what can be computed with: infinite is merely very large, None is not seen."""
    return {
        node: {metric: np.clip(np.asarray(rows, float), -HUGE, HUGE) for metric, rows in metrics.items()}
        for node, metrics in table.items()
    }


def _line(node: str) -> str:
    """The name of a node's connections; no real node is called so."""
    return f"{node}\x00"


def _factors(shown: Mapping[str, Shown], is_target: bool, c: Constants) -> Factors:
    """A node's factors from its metrics: what it sees of others does not accuse it, what it uses does not travel."""
    seen = {metric: x for metric, x in shown.items() if not math.isnan(x.s)}
    culprit = _pooled([x.nats for metric, x in seen.items() if not outbound(metric)])
    relay = _pooled([x.nats for metric, x in seen.items() if role_of(metric).name not in RESOURCES])
    s = max((x.s for x in seen.values()), default=math.nan)
    culprit = c.unseen_culprit if culprit is None else max(culprit, c.culprit_floor)
    relay = 0.0 if relay is None else max(relay, c.relay_floor)
    if is_target:
        relay, culprit = max(relay, c.target_relay), max(culprit, c.target_culprit)
    return Factors(s, culprit, relay)


def _delivered(shown: Mapping[str, Shown], own: Factors, is_target: bool, c: Constants) -> Factors:
    """What a node shows of what it is given, for faults of connections."""
    seen = [x for metric, x in shown.items() if role_of(metric).name in DELIVERED and not math.isnan(x.s)]
    relay = max(_pooled([x.nats for x in seen]) or 0.0, c.relay_floor) if seen else 0.0
    if is_target:
        relay = max(relay, c.target_relay)
    return Factors(max((x.s for x in seen), default=math.nan), own.culprit, relay)


def _pooled(nats: list[float]) -> float | None:
    """Log of the mean Bayes factor of several metrics; None without any."""
    if not nats:
        return None
    top = max(nats)
    return top + math.log(sum(math.exp(n - top) for n in nats) / len(nats))


def _joined(own: Ranking, apart: Ranking, lines: set[str], c: Constants) -> Ranking:
    """Each node with its own metrics or by its connections: the two add up, and the larger one is the evidence."""
    by_line = {x.node: x for x in apart.candidates if x.node in lines}
    listed = []
    for candidate in own.candidates:
        other = by_line.get(_line(candidate.node))
        if other is None or other.score <= c.connection:  # its consumers show nothing of it
            listed.append((candidate.score, candidate.node, candidate.parts))
            continue
        best, least = sorted((candidate, other), key=lambda x: -x.score)
        both = best.score + math.log1p(math.exp(least.score - best.score))
        parts = [(candidate.node if n == other.node else n, w, x) for n, w, x in best.parts]
        parts.append((candidate.node, "or its connections" if best is candidate else "or its own", both - best.score))
        listed.append((both, candidate.node, parts))
    return _posterior(listed, -math.inf, own.cycles, c)


def weigh(
    edges: Iterable[Sequence[Any]],
    factors: Mapping[str, Factors],
    target: str | None = None,
    *,
    priors: Mapping[str, float] | None = None,
    benign: float = -math.inf,
    constants: Constants = Constants(),  # noqa: B008 - a frozen value
) -> Ranking:
    """Score every candidate from what each node shows. `benign` is the score of "season or planned change", in nats.

    Takes O(candidates x edges), a column of candidates at a time.
    """
    c = constants
    graph = contract(list(factors), edges, c.strength)
    reach = graph.ancestors(target) if target is not None else set(graph.order)
    merged = {k: _merge([factors[n] for n in graph.members[k]]) for k in graph.order}
    names = [k for k in graph.order if k in reach]
    column = {k: i for i, k in enumerate(names)}
    gains = _travel(graph, merged, names, column, c)
    listed = []
    for place, knot in enumerate(names):
        shared = [(node, "explained", float(gain[place])) for node, gain in gains.items() if abs(gain[place]) > 5e-4]
        for node in graph.members[knot]:
            own = factors[node].culprit
            parts = [(node, "unseen" if math.isnan(factors[node].s) else "own anomaly", own), *shared]
            if priors and priors.get(node):
                parts.append((node, "prior", priors[node]))
            listed.append((sum(p[2] for p in parts), node, parts))
    if target is not None:  # lineage is never complete: a node without a known path may still be it
        for node, f in factors.items():
            if graph.home[node] not in column and not math.isnan(f.s) and f.culprit > 0:
                listed.append(
                    (
                        f.culprit - c.no_path,
                        node,
                        [(node, "own anomaly", f.culprit), (node, "no known path", -c.no_path)],
                    )
                )
    return _posterior(listed, benign, graph.cycles, c)


def _merge(several: list[Factors]) -> Factors:
    """A knot shows what its most anomalous member shows."""
    seen = [f for f in several if not math.isnan(f.s)]
    return max(seen or several, key=lambda f: f.relay)


def _travel(
    graph: Any, merged: Mapping[str, Factors], names: list[str], column: Mapping[str, int], c: Constants
) -> dict[str, Any]:
    """For each node, what it adds to the score of each candidate above it."""
    arrived: dict[str, Any] = {}
    gains: dict[str, Any] = {}
    for node in graph.order:
        missed = np.ones(len(names))
        for parent, strength in graph.parents[node]:
            if parent in arrived:
                weaker = (1 + merged[parent].s) / (1 + merged[node].s)
                k = 1.0 if math.isnan(weaker) else min(1.0, weaker)
                missed *= 1 - strength * k * arrived[parent]
        p = 1 - missed
        odds = p * math.exp(merged[node].relay)
        total = odds + 1 - p
        q = np.where(p > 0, odds / total, 0.0)
        if p.any():
            gains[node] = np.log(total)
        if node in column:
            q[column[node]] = 1.0
            if node in gains:
                gains[node][column[node]] = 0.0
        if q.any():
            arrived[node] = q
    return gains


def _posterior(
    listed: list[tuple[float, str, list[Any]]], benign: float, cycles: list[list[str]], c: Constants
) -> Ranking:
    """Softmax over the candidates, "no fault" (score 0) and "benign", at the fitted temperature."""
    listed.sort(key=lambda item: (-item[0], item[1]))
    scores = np.array([s for s, _, _ in listed] + [0.0, benign])
    with np.errstate(over="ignore"):
        weights = np.exp((scores - scores.max()) / c.temperature)
    weights /= weights.sum()
    found = [Candidate(node, score, float(w), parts) for (score, node, parts), w in zip(listed, weights, strict=False)]
    return Ranking(found, float(weights[-2]), float(weights[-1]), cycles)
