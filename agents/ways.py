"""Where a fault can travel in a case's lineage: how surely it reaches a node, what lies above, how far the alert is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agents.cases import Edge

BESIDE = frozenset({"observes", "trains_on"})
"""Edges along which a fault does not travel within the time of an incident."""
CARRIES = {"writes": 0.95, "reads": 0.6, "serves": 0.8, "labels": 0.8, "trains": 0.8, "reads_online": 0.7, "feeds": 0.4}
"""Chance that a fault passes an edge of this kind: what a job writes it has made, what it reads it may use in part."""
SHOWS = {"reads": 0.9}
"""Where a fault, if it is there, can be seen: whoever reads broken data shows it in some of what he makes of it."""
UNKNOWN, ASIDE, LEAST, GAIN = 0.5, 0.6, 0.02, 1e-3
"""Chance of an edge of which nothing is known, and of what only some faults take; what is too little to follow."""

Edges = list[tuple[str, str, float | None]]


def strength(edge: Edge) -> float | None:
    """Chance that a fault of the source shows at the target; None when nothing is known."""
    if edge.importance is not None:
        return 0.15 + 0.8 * min(math.sqrt(edge.importance), 1.0)
    return CARRIES.get(edge.kind)


def edges_of(edges: Sequence[Edge]) -> Edges:
    """The lineage along which a fault can travel."""
    return [(e.source, e.target, strength(e)) for e in edges if e.kind not in BESIDE]


class Ways:
    """The lineage around one alert. `kinds`: node -> kind."""

    def __init__(self, edges: Sequence[Edge], kinds: Mapping[str, str], target: str):
        self.down: dict[str, list[tuple[str, float]]] = {}
        self.parents: dict[str, list[str]] = {}
        self.aside: dict[str, list[str]] = {}
        for e in edges:
            if e.kind not in BESIDE:
                chance = SHOWS.get(e.kind) or strength(e) or UNKNOWN
                self.down.setdefault(e.source, []).append((e.target, chance))
                self.parents.setdefault(e.target, []).append(e.source)
        self._stand_beside(edges, kinds)
        self.distance, queue = {target: 0}, [target]
        for node in queue:
            for parent in self.parents.get(node, ()):
                if parent not in self.distance:
                    self.distance[parent] = self.distance[node] + 1
                    queue.append(parent)

    def _stand_beside(self, edges: Sequence[Edge], kinds: Mapping[str, str]) -> None:
        """A monitor that is wrong shows at what it observes; a store at the views whose models read from it."""
        fed: dict[str, list[str]] = {}
        for e in edges:
            if e.kind == "observes":
                self.aside.setdefault(e.target, []).append(e.source)
            elif kinds.get(e.source) == "feature_view" and e.kind not in BESIDE:
                fed.setdefault(e.target, []).append(e.source)
        for e in edges:
            if kinds.get(e.source) == "feature_store":
                self.aside.setdefault(e.source, []).extend(fed.get(e.target, ()))

    def reach(self, node: str) -> dict[str, float]:
        """The chance of the strongest way to each node that can be reached, 1 for the node itself."""
        found, queue = {node: 1.0}, [node]
        for here in queue:
            for child, chance in self.down.get(here, ()):
                p = found[here] * chance
                if p > found.get(child, 0.0) + GAIN and p > LEAST:
                    found[child] = p
                    queue.append(child)
        for other in self.aside.get(node, ()):
            found[other] = max(found.get(other, 0.0), ASIDE)
        return found

    def above(self, node: str, steps: int = 3) -> set[str]:
        """The nodes up to so many steps upstream."""
        seen: set[str] = set()
        front = [node]
        for _ in range(steps):
            front = [p for n in front for p in self.parents.get(n, ()) if p not in seen and p != node]
            seen.update(front)
        return seen
