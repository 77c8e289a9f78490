"""Root causes of a recorded case: every kind of fault at every node where it can begin, weighed against one another.

What the nodes show (`readings`, `signs`) becomes their traits (`candidates`); fitted weights (`weights`) turn these
into one posterior over all typed causes. Some of them are benign: a season, another mix of traffic, a planned change.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents import weights
from agents.candidates import Traits, gather
from agents.cases import Case, Edge
from agents.faults import FAULTS, PLANNED, Fault
from agents.readings import Reading, read_all
from agents.signs import Sign, collect, slices
from agents.undeclared import completed
from agents.ways import Edges, edges_of
from agents.weights import Weights

BENIGN_AT = 0.5
"""From this probability on, "nothing is broken" is said first."""


class Typed(NamedTuple):
    """One typed cause: the fault, its node, its score in nats with the parts that sum to it."""

    fault: Fault
    node: str
    score: float
    posterior: float
    parts: list[tuple[str, str, float]]
    change: str
    """Id of the change that fits it, or empty."""


class Diagnosis(NamedTuple):
    """Everything that follows from a case before words are found; `causes` likeliest first, one for each node."""

    readings: list[Reading]
    signs: dict[str, dict[str, Sign]]
    causes: list[Typed]
    kinds: dict[str, float]
    """Probability of each kind of fault at the first node."""
    faults: dict[str, float]
    """Probability of each kind of fault, at whichever node."""
    benign: dict[str, float]
    """Probability of each way in which nothing is broken; with the causes' posteriors it sums to 1."""
    edges: Edges
    inferred: list[Edge]
    """Edges that the lineage lacks and names tell."""


def candidates_of(nodes: list[Traits]) -> list[tuple[Fault, Traits]]:
    """Every kind of fault at every node where it can begin; at a node of no known kind, one of no known kind."""
    return [
        (fault, node)
        for node in nodes
        for fault in FAULTS
        if node.kind in fault.origins or (not node.kind and fault.cause == "unknown")
    ]


def diagnose(case: Case, fitted: Weights | None = None) -> Diagnosis:
    """Rank the typed causes of the case's alert. `fitted` None: the weights that are shipped."""
    w, declared = fitted or weights.load(), len(case.edges)
    case = completed(case)
    readings = read_all(case)
    signs = collect(readings, case.segment)
    seen = gather(case, readings, signs, slices(readings))
    tried = candidates_of(seen.nodes)
    parts = [weights.parts(fault, node, seen.around, case.alert["node"], w) for fault, node in tried]
    share = _softmax([sum(p[2] for p in ps) for ps in parts])
    typed = [
        Typed(fault, node.node, sum(p[2] for p in ps), float(p), ps, node.change)
        for (fault, node), p, ps in zip(tried, share, parts, strict=True)
    ]
    causes, kinds = _by_node([t for t in typed if not t.fault.benign])
    return Diagnosis(readings, signs, causes, kinds, _sums(typed, benign=False), _sums(typed, benign=True),
                     edges_of(case.edges), case.edges[declared:])  # fmt: skip


def _softmax(scores: list[float]) -> np.ndarray:
    share = np.exp(np.array(scores) - max(scores, default=0.0))
    return share / share.sum()


def _sums(typed: list[Typed], *, benign: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in typed:
        if one.fault.benign == benign:
            cause = PLANNED.get(one.fault.cause, one.fault.cause)
            found[cause] = found.get(cause, 0.0) + one.posterior
    return found


def _by_node(typed: list[Typed]) -> tuple[list[Typed], dict[str, float]]:
    """The best cause of each node with the node's whole posterior, and the kinds of fault at the first node."""
    nodes: dict[str, list[Typed]] = {}
    for one in typed:
        nodes.setdefault(one.node, []).append(one)
    causes = []
    for several in nodes.values():
        best = max(several, key=lambda t: t.posterior)
        causes.append(best._replace(posterior=sum(t.posterior for t in several)))
    causes.sort(key=lambda t: (-t.posterior, t.node))
    if not causes:
        return [], {}
    own = sorted(nodes[causes[0].node], key=lambda t: -t.posterior)
    total = sum(t.posterior for t in own)
    return causes, {t.fault.cause: t.posterior / total for t in own}
