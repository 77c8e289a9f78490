"""Root causes of a recorded case: the Bayesian lineage ranker, once for each kind of fault, weighed together.

For every kind of fault (`faults.FAULTS`) the nodes where it can begin are seen by what the fault should move there,
what it should leave alone, and what it should show downstream (`candidates`); fitted weights (`weights`) turn that into
one posterior over all of them and "nothing is broken". A fault of no known kind is told by whatever moved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents import benign, candidates, weights
from agents.cases import Case
from agents.faults import Fault
from agents.readings import Reading, read_all
from agents.signs import Sign, collect
from agents.surprise import Constants
from agents.weights import Weights


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
    faults: dict[str, float]
    """Probability of each kind of fault, at whichever node."""
    benign: float
    """Probability that nothing is broken; with the causes' posteriors it sums to 1."""
    edges: candidates.Edges


def diagnose(case: Case, constants: Constants = Constants(), fitted: Weights | None = None) -> Diagnosis:  # noqa: B008
    """Rank the typed causes of the case's alert. `fitted` None: the weights that are shipped."""
    w = fitted or weights.load()
    readings = read_all(case)
    signs = collect([*readings, *read_all(case, segments=True)])
    edges = candidates.edges_of(case.edges)
    alert = candidates.alert_role(case)
    seen = candidates.gather(case, signs, edges, constants)
    parts = [weights.parts(t, signs.get(t.node, {}), alert, w) for t in seen]
    healthy = benign.traits(signs, {t.node for t in seen}, case.alert["node"], alert)
    scores = np.array([sum(p[2] for p in ps) for ps in parts] + [sum(w.benign[k] * v for k, v in healthy.items())])
    share = np.exp(scores - scores.max())
    share /= share.sum()
    typed = [
        Typed(t.fault, t.node, float(score), float(p), ps)
        for t, score, p, ps in zip(seen, scores, share, parts, strict=False)
    ]
    causes, kinds = _by_node(typed)
    faults: dict[str, float] = {}
    for one in typed:
        faults[one.fault.cause] = faults.get(one.fault.cause, 0.0) + one.posterior
    return Diagnosis(readings, signs, causes, kinds, faults, float(share[-1]), edges)


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
