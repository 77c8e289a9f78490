"""What comes from what: sources, jobs, datasets, features, models and services as a graph that survives partial
knowledge.

The graph is a value built from facts that commute: each fact about a node or an edge carries the event time it
speaks of, the newest wins field by field, and ties are broken by content. So any order of the same events, with
repeats, gives the same graph.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Literal

import msgspec

from core.knots import knots

Kind = Literal["source", "job", "dataset", "feature", "model", "service", "label_job", "training_job", "monitor", ""]
KINDS = ("source", "job", "dataset", "feature", "model", "service", "label_job", "training_job", "monitor")
MAX_PATHS = 20
MAX_RUNS = 8
_STATED = ("kind", "name", "owner", "tier", "cadence", "tags", "description", "dead")
_STATES = {"start": 1, "running": 2, "other": 2, "abort": 3, "fail": 4, "complete": 5}


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing in the lineage. Times are epoch seconds of event time; 0 means never seen."""

    id: str
    kind: Kind = ""
    name: str = ""
    owner: str = ""
    tier: str = ""
    cadence: float = 0.0
    """Seconds between runs, as declared or learnt from completed runs; 0 when unknown."""
    last_run: float = 0.0
    """When the last run that ended well ended (jobs), or when the data was last written (datasets)."""
    last_state: str = ""
    """State of the newest run: start, running, complete, fail, abort."""
    state_at: float = 0.0
    tags: tuple[str, ...] = ()
    description: str = ""
    dead: bool | None = None
    """Declared deleted (a dropped dataset); kept, because its edges still explain the past."""
    runs: tuple[float, ...] = ()
    """Ends of the newest completed runs, at most eight, oldest first: the cadence is learnt from them."""
    said: dict[str, float] = {}
    """Field -> the event time of the statement it holds."""


class Edge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`source` feeds `target`. `importance` in 0..1 or None when unknown; `lag` in seconds or None."""

    source: str
    target: str
    kind: str = "feeds"
    importance: float | None = None
    importance_at: float = 0.0
    lag: float | None = None
    lag_at: float = 0.0
    columns: tuple[str, ...] = ()
    """Column lineage: names of the source's columns that reach the target."""
    seen: float = 0.0


class Lineage:
    """The graph and the questions people ask of it. Nodes are found by id, or by name where the name is unique."""

    def __init__(self, nodes: Iterable[Node] = (), edges: Iterable[Edge] = ()):
        self.nodes: dict[str, Node] = {node.id: node for node in nodes}
        self._edges: dict[tuple[str, str], Edge] = {}
        self._down: dict[str, set[str]] = {}
        self._up: dict[str, set[str]] = {}
        for edge in edges:
            self.connect(edge)

    def add(self, node: Node, at: float = 0.0) -> None:
        """Learns what `node` states (its non-empty fields), as of event time `at`; the newest statement of a field
        wins.
        """
        old = self.nodes.get(node.id, Node(id=node.id))
        stated = {
            field: value
            for field in _STATED
            if (value := getattr(node, field)) is False or value not in ("", 0.0, (), None)
        }
        won = {
            field: value
            for field, value in stated.items()
            if (at, repr(value)) >= (old.said.get(field, -1.0), repr(getattr(old, field)))
        }
        runs = tuple(sorted({*old.runs, *node.runs}))[-MAX_RUNS:]
        state = max(
            (old.state_at, _STATES.get(old.last_state, 0), old.last_state),
            (node.state_at, _STATES.get(node.last_state, 0), node.last_state),
        )
        self.nodes[node.id] = msgspec.structs.replace(
            old, **won, said=old.said | dict.fromkeys(won, at), runs=runs, state_at=state[0], last_state=state[2],
            last_run=max(old.last_run, node.last_run),
        )  # fmt: skip

    def connect(self, edge: Edge) -> None:
        """Adds an edge (and bare nodes for ends nobody described yet); a repeat fills what was not known. A loop on
        itself is ignored.
        """
        if edge.source == edge.target:
            return
        for end in (edge.source, edge.target):
            self.nodes.setdefault(end, Node(id=end, name=end))
        edge = msgspec.structs.replace(
            edge, importance_at=edge.importance_at or edge.seen, lag_at=edge.lag_at or edge.seen
        )
        old = self._edges.get((edge.source, edge.target))
        self._edges[edge.source, edge.target] = _joined(old, edge) if old else edge
        self._down.setdefault(edge.source, set()).add(edge.target)
        self._up.setdefault(edge.target, set()).add(edge.source)

    def find(self, name: str) -> str | None:
        """The id for an id or a name. A name that several nodes share is found only if just one of them is a model."""
        if name in self.nodes:
            return name
        named = sorted(node.id for node in self.nodes.values() if node.name == name)
        if len(named) > 1:
            named = [node for node in named if self.nodes[node].kind == "model"] or named
        return named[0] if len(named) == 1 else None

    def node(self, name: str) -> dict[str, Any] | None:
        """One node's facts, or None."""
        found = self.find(name)
        return None if found is None else self._facts(found)

    def upstream(self, name: str, depth: int = 20) -> list[dict[str, Any]]:
        """Everything the node depends on, nearest first: the node's facts and `distance`."""
        return [self._facts(node, distance) for node, distance in self._walk(name, self._up, depth)]

    def downstream(self, name: str, depth: int = 20) -> list[dict[str, Any]]:
        """Everything that depends on the node, nearest first: exactly what is reachable, no more and no less."""
        return [self._facts(node, distance) for node, distance in self._walk(name, self._down, depth)]

    def reachable(self, name: str) -> set[str]:
        """Ids of all descendants: the exact blast radius, cycles and all."""
        return {node for node, _ in self._walk(name, self._down, len(self.nodes) + 1)}

    def paths(self, start: str, end: str) -> list[list[str]]:
        """Simple paths from start to end, shortest first, at most 20. Empty when either is unknown or none exists."""
        first, last = self.find(start), self.find(end)
        if first is None or last is None:
            return []
        if first == last:
            return [[first]]
        useful = {last} | {node for node, _ in self._walk(last, self._up, len(self.nodes) + 1)}
        found: list[list[str]] = []
        queue = deque([[first]]) if first in useful else deque()
        for _ in range(20_000):
            if not queue or len(found) == MAX_PATHS:
                break
            path = queue.popleft()
            for following in sorted(self._down.get(path[-1], ())):
                if following == last:
                    found.append([*path, last])
                elif following in useful and following not in path:
                    queue.append([*path, following])
        return found[:MAX_PATHS]

    def edges(self) -> list[dict[str, Any]]:
        """All edges as plain facts, in a stable order."""
        return [msgspec.to_builtins(self._edges[key]) for key in sorted(self._edges)]

    def edge(self, source: str, target: str) -> Edge | None:
        return self._edges.get((source, target))

    def cycles(self) -> list[list[str]]:
        """Each knot of nodes that feed themselves, by name: bad input that people should hear about."""
        return [sorted(knot) for knot in self._knots() if len(knot) > 1]

    def acyclic(self) -> tuple["Lineage", list[Edge]]:
        """A copy without cycles, and the edges cut: in each knot, those that lead back on a walk from where it is
        fed.
        """
        copy = Lineage(self.nodes.values(), self._edges.values())
        cut: list[Edge] = []
        for knot in copy._knots():
            if len(knot) > 1:
                cut += [copy._edges[ends] for ends in copy._back_edges(knot)]
        for edge in cut:
            copy._cut(edge)
        return copy, cut

    def encode(self) -> bytes:
        """The graph as JSON bytes, the same for the same graph."""
        nodes = [self.nodes[key] for key in sorted(self.nodes)]
        return msgspec.json.encode(
            _Stored(nodes=nodes, edges=[self._edges[key] for key in sorted(self._edges)]), order="sorted"
        )

    @classmethod
    def decode(cls, encoded: bytes | None) -> "Lineage":
        """The graph of `encode`; None is the empty graph. Raises msgspec.ValidationError for anything else."""
        stored = msgspec.json.decode(encoded, type=_Stored) if encoded else _Stored()
        return cls(stored.nodes, stored.edges)

    def _facts(self, name: str, distance: int | None = None) -> dict[str, Any]:
        node = self.nodes[name]
        facts = msgspec.to_builtins(node)
        del facts["said"], facts["runs"]
        if node.kind in ("", "dataset") and not self._up.get(name):
            facts["kind"] = "source"  # nothing known writes it
        facts["name"] = node.name or node.id
        facts["cadence"] = node.cadence or _cadence(node.runs)
        if node.kind == "dataset":  # a producer may name its outputs at the start only
            writers = [
                self.nodes[job].last_run for job in self._up.get(name, ()) if self._edges[job, name].kind == "writes"
            ]
            facts["last_run"] = max([node.last_run, *writers])
        return facts if distance is None else {**facts, "distance": distance}

    def _walk(self, name: str, links: dict[str, set[str]], depth: int) -> Iterator[tuple[str, int]]:
        start = self.find(name)
        if start is None:
            return
        seen, front = {start}, [start]
        for distance in range(1, depth + 1):
            front = sorted({following for node in front for following in links.get(node, ())} - seen)
            seen.update(front)
            yield from ((node, distance) for node in front)
            if not front:
                return

    def _back_edges(self, knot: set[str]) -> list[tuple[str, str]]:
        entries = sorted(knot, key=lambda node: (not (self._up.get(node, set()) - knot), node))
        done: set[str] = set()
        active: set[str] = set()
        back: list[tuple[str, str]] = []
        for root in entries:
            work = [] if root in done else [(root, iter(sorted(self._down[root] & knot)))]
            active.update(node for node, _ in work)
            while work:
                node, following = work[-1]
                child = next(following, None)
                if child is None:
                    work.pop()
                    active.discard(node)
                    done.add(node)
                elif child in active:
                    back.append((node, child))
                elif child not in done:
                    active.add(child)
                    work.append((child, iter(sorted(self._down[child] & knot))))
        return back

    def _cut(self, edge: Edge) -> None:
        del self._edges[edge.source, edge.target]
        self._down[edge.source].discard(edge.target)
        self._up[edge.target].discard(edge.source)

    def _knots(self) -> list[set[str]]:
        return [set(knot) for knot in knots(sorted(self.nodes), lambda node: sorted(self._down.get(node, ())))]


def _joined(one: Edge, other: Edge) -> Edge:
    """One edge of two statements: of each field the newest value that was given."""
    importance, importance_at = max(((e.importance, e.importance_at) for e in (one, other)), key=_given)
    lag, lag_at = max(((e.lag, e.lag_at) for e in (one, other)), key=_given)
    kind, seen = max(((e.kind, e.seen) for e in (one, other)), key=lambda pair: (pair[1], pair[0]))
    columns = tuple(sorted({*one.columns, *other.columns}))
    return Edge(
        source=one.source, target=one.target, kind=kind, seen=seen, columns=columns,
        importance=importance, importance_at=importance_at, lag=lag, lag_at=lag_at,
    )  # fmt: skip


def _given(pair: tuple[float | None, float]) -> tuple[bool, float, float]:
    value, at = pair
    return value is not None, at, value if value is not None else 0.0


def _cadence(runs: tuple[float, ...]) -> float:
    """Median seconds between completed runs; 0 with fewer than three of them."""
    gaps = sorted(later - earlier for earlier, later in pairwise(runs))
    return gaps[len(gaps) // 2] if len(gaps) >= 2 else 0.0


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    nodes: list[Node] = []
    edges: list[Edge] = []
