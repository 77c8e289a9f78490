"""Edges that a lineage lacks, told by names: `orders` feeds `load_orders`, though nobody declared it.

Nothing is assumed about how a tenant names things. What most nodes of a kind have in their names (`load`, `raw`) says
the kind, what is left says which one it is. Where nearly all declared edges from one kind to another join nodes of one
name, two such nodes without an edge are taken to be joined as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agents.cases import Case, Edge
from agents.metrics import words_of

USUAL, ALIKE, LEAST = 0.6, 0.8, 3
"""Share of a kind's names that holds a word of the kind; share of edges that join one name; examples for either."""

Names = Mapping[str, tuple[str, ...]]


def undeclared(nodes: Mapping[str, Mapping[str, Any]], edges: Sequence[Edge]) -> list[Edge]:
    """The edges to add. `nodes`: id -> {name, kind}.

    >>> nodes = {f"{k}{i}": {"kind": k, "name": f"{k}_{i}x"} for k in ("raw", "load") for i in range(5)}
    >>> edges = [Edge(f"load{i}", f"raw{i}", "writes", None, 0) for i in range(4)]
    >>> [(e.source, e.target) for e in undeclared(nodes, edges)]
    [('load4', 'raw4')]
    """
    kinds = {node: str(about.get("kind", "")) for node, about in nodes.items()}
    names = _names(nodes, kinds)
    known = {(e.source, e.target) for e in edges} | {(e.target, e.source) for e in edges}
    found: dict[tuple[str, str], Edge] = {}
    for (above, below), pattern in _patterns(edges, kinds, names).items():
        sinks = _unique(names, kinds, below)
        for name, source in _unique(names, kinds, above).items():
            sink = sinks.get(name)
            if sink is not None and (source, sink) not in known:
                found[source, sink] = Edge(source, sink, pattern.kind, None, pattern.lag)
    return [found[pair] for pair in sorted(found)]


def completed(case: Case) -> Case:
    """The case with the edges its lineage lacks, behind those it has."""
    return case._replace(edges=[*case.edges, *undeclared(case.nodes, case.edges)])


def _names(nodes: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """What is left of each node's name without the words of its kind."""
    spoken = {node: tuple(words_of(str(about.get("name", "")))) for node, about in nodes.items()}
    count = Counter(kinds.values())
    usual = Counter((kinds[node], word) for node, words in spoken.items() for word in set(words))

    def tells(kind: str, word: str) -> bool:
        return count[kind] < LEAST or usual[kind, word] < USUAL * count[kind]

    return {node: tuple(w for w in words if tells(kinds[node], w)) for node, words in spoken.items()}


def _patterns(edges: Sequence[Edge], kinds: Mapping[str, str], names: Names) -> dict[tuple[str, str], Edge]:
    """Pairs of kinds whose declared edges join nodes of one name, each with one such edge."""
    of: dict[tuple[str, str], list[Edge]] = {}
    for e in edges:
        of.setdefault((kinds.get(e.source, ""), kinds.get(e.target, "")), []).append(e)
    alike = {pair: [e for e in several if names.get(e.source) and names.get(e.source) == names.get(e.target)]
             for pair, several in of.items()}  # fmt: skip
    return {pair: alike[pair][0] for pair, several in of.items()
            if len(alike[pair]) >= max(LEAST, ALIKE * len(several))}  # fmt: skip


def _unique(names: Names, kinds: Mapping[str, str], kind: str) -> dict[tuple[str, ...], str]:
    """Name -> the only node of this kind that has it."""
    count = Counter(name for node, name in names.items() if kinds[node] == kind)
    return {name: node for node, name in names.items() if kinds[node] == kind and name and count[name] == 1}
