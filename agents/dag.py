"""A causal graph made acyclic and ordered, so that anomalies can be followed through it once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from core.knots import knots


class Acyclic(NamedTuple):
    """`order` is topological. A knot of nodes that feed one another is one entry, named after its first member."""

    order: list[str]
    parents: dict[str, list[tuple[str, float]]]
    members: dict[str, list[str]]
    home: dict[str, str]
    """node -> the entry it is in"""
    cycles: list[list[str]]

    def ancestors(self, node: str) -> set[str]:
        """The entry of `node` and every entry above it."""
        start = self.home.get(node)
        found, stack = set(), [start] if start is not None else []
        while stack:
            here = stack.pop()
            if here not in found:
                found.add(here)
                stack.extend(parent for parent, _ in self.parents[here])
        return found


def contract(nodes: Sequence[str], edges: Iterable[Sequence[Any]], strength: float) -> Acyclic:
    """The graph with every cycle contracted. Edges are (cause, effect[, strength in 0..1]); loops are ignored.

    Edges to nodes that are not listed add them. The strongest of parallel edges counts.
    """
    best: dict[tuple[str, str], float] = {}
    for edge in edges:
        source, sink = str(edge[0]), str(edge[1])
        given = edge[2] if len(edge) > 2 and edge[2] is not None else strength
        if source != sink:
            best[source, sink] = max(best.get((source, sink), 0.0), min(max(float(given), 0.0), 1.0))
    listed = sorted({*nodes, *(n for pair in best for n in pair)})
    down: dict[str, list[str]] = {node: [] for node in listed}
    for source, sink in sorted(best):
        down[source].append(sink)
    tied = knots(listed, down.__getitem__)
    home = {node: knot[0] for knot in tied for node in knot}
    joined: dict[tuple[str, str], float] = {}
    for (source, sink), value in best.items():
        pair = home[source], home[sink]
        if pair[0] != pair[1]:
            joined[pair] = max(joined.get(pair, 0.0), value)
    parents: dict[str, list[tuple[str, float]]] = {knot[0]: [] for knot in tied}
    for (source, sink), value in sorted(joined.items()):
        parents[sink].append((source, value))
    order = [knot[0] for knot in reversed(tied)]  # Tarjan finds sinks first
    members = {knot[0]: knot for knot in tied}
    return Acyclic(order, parents, members, home, [knot for knot in tied if len(knot) > 1])
