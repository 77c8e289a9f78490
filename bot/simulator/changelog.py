"""The change log: background changes, the culprit among them, and decoys that tempt."""

from dataclasses import dataclass

import numpy as np

from bot.simulator.catalogue import TYPES
from bot.simulator.lineage import Graph, Node
from bot.simulator.phrases import PEOPLE, TOOLS, TOOLS_OF_KIND, text
from bot.simulator.rng import hex_id, stream, weighted
from bot.simulator.tenants import DAY, HOUR
from bot.simulator.travel import Spread

_BUSY = {
    "source": 3.0,
    "ingest_job": 1.5,
    "table": 1.0,
    "feature_job": 2.5,
    "feature_view": 0.5,
    "label_job": 1.5,
    "training_job": 1.5,
    "feature_store": 2.0,
    "model": 2.0,
    "service": 4.0,
    "monitor": 2.0,
}


@dataclass(frozen=True)
class Change:
    """One entry: when it was stamped (epoch seconds), by which tool, on which node, in whose words."""

    id: str
    at: float
    tool: str
    node: str
    summary: str
    by: str

    @property
    def kind(self) -> str:
        """The wire word of `ChangeRecorded`."""
        return TOOLS[self.tool][0]


@dataclass(frozen=True)
class Log:
    """All changes in order of time, the culprit's id (or "none" / "unlogged") and the ids of planted decoys."""

    changes: tuple[Change, ...]
    culprit: str
    decoys: tuple[str, ...]
    late: bool = False


def entry(random: np.random.Generator, node: Node, at: float, tools: tuple[str, ...] = ()) -> Change:
    """One change on a node, by one of `tools` if given, else by a tool usual for its kind."""
    usual = TOOLS_OF_KIND[node.kind]
    options = {tool: usual.get(tool, 0.5) for tool in tools} if tools else usual
    tool = weighted(random, options)
    by = PEOPLE[int(random.integers(len(PEOPLE)))]
    return Change(hex_id(random, 10), float(int(at)), tool, node.id, text(random, tool), by)


def background(seed: int, graph: Graph, start: float, end: float) -> list[Change]:
    """Ordinary changes: Poisson, a rate of 0.5 to 3 a day for each of a tenant's few release groups."""
    random = stream(seed, "background-changes")
    nodes = list(graph.nodes.values())
    weights = np.array([_BUSY[node.kind] for node in nodes])
    rate = sum(random.uniform(0.5, 3) for _ in range(3 + len(nodes) // 60))
    count = int(random.poisson(rate * (end - start) / DAY))
    picked = random.choice(len(nodes), count, p=weights / weights.sum())
    at = np.sort(random.uniform(start, end, count))
    return [entry(random, nodes[int(i)], when) for i, when in zip(picked, at, strict=True)]


def write_log(
    seed: int,
    graph: Graph,
    main: Spread,
    alert_at: float,
    target: str,
    start: float,
    end: float,
    coincident: list[Change],
) -> Log:
    """The log of an episode: background, culprit (present, late, unlogged or none), decoys near the alert."""
    random = stream(seed, "changes", main.fault.type)
    onset = main.onset(main.fault.node)
    changes = background(seed, graph, start, end)
    outcome = _outcome(random, main.fault.type)
    culprit = _culprit(random, graph, main, onset, outcome)
    if culprit is not None and culprit.at >= start:
        changes.append(culprit)
    elif culprit is not None:
        culprit, outcome = None, "unlogged"  # older than the log goes back
    planted = _decoys(random, graph, main, onset, alert_at, target, culprit)
    changes = sorted(changes + planted + coincident, key=lambda change: (change.at, change.id))
    name = culprit.id if culprit else ("unlogged" if outcome == "unlogged" else "none")
    near = [c.id for c in changes if onset - 6 * HOUR <= c.at <= alert_at and c.id != name]
    return Log(tuple(changes), name, tuple(sorted(near)), outcome == "late")


def _outcome(random: np.random.Generator, kind: str) -> str:
    spec = TYPES[kind]
    none = max(spec.p_none, 0.13 if spec.family in "DFSX" else 0.0)
    if random.random() < none:
        return "none"
    return weighted(random, {"present": 55, "late": 10, "unlogged": 10})


def _culprit(random: np.random.Generator, graph: Graph, main: Spread, onset: float, outcome: str) -> Change | None:
    if outcome in ("none", "unlogged"):
        return None
    spec, node = TYPES[main.fault.type], graph.nodes[main.fault.node]
    before = float(random.exponential(12 * 60)) + 30
    if node.cadence and node.kind in ("ingest_job", "label_job"):
        before = float(random.uniform(60, max(600, node.cadence)))
    if main.fault.type == "M3":
        onset = main.fault.onset
    at = onset + random.uniform(5, 90) * 60 if outcome == "late" else onset - before
    if spec.logged == "elsewhere":
        others = [graph.nodes[e.src] for e in graph.parents.get(node.id, ())] or graph.of("service", "source")
        others = [other for other in others if other.id != node.id] or graph.of("service")
        node = others[int(random.integers(len(others)))]
    return entry(random, node, at, spec.tools)


def _decoys(
    random: np.random.Generator,
    graph: Graph,
    main: Spread,
    onset: float,
    alert_at: float,
    target: str,
    culprit: Change | None,
) -> list[Change]:
    count = 1 + int(random.poisson(2.5))
    begin = max(onset - 6 * HOUR, alert_at - 10 * DAY)
    after = random.uniform(0.4, 1.0) if random.random() < 0.6 else 0.0  # share of decoys nearer to the alert
    pivot = culprit.at if culprit else onset
    ancestors = [graph.nodes[name] for name in graph.reach(target, up=True) if name not in (target, main.fault.node)]
    places = [graph.nodes[target]] if random.random() < 0.3 else []
    if ancestors and random.random() < 0.6:
        places.append(ancestors[int(random.integers(len(ancestors)))])
    everywhere = list(graph.nodes.values())
    weights = np.array([_BUSY[node.kind] for node in everywhere])
    while len(places) < count:
        if ancestors and random.random() < 0.6:
            places.append(ancestors[int(random.integers(len(ancestors)))])
        else:
            places.append(everywhere[int(random.choice(len(everywhere), p=weights / weights.sum()))])
    planted = []
    for node in places:
        late = random.random() < after
        low, high = (pivot, alert_at) if late and pivot < alert_at else (begin, max(begin + 60, min(pivot, alert_at)))
        planted.append(entry(random, node, random.uniform(low, high)))
    return planted
