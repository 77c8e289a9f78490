"""What else is going on: a second fault now and then, and unrelated anomalies that coincide with an innocent change."""

import numpy as np

from bot.simulator.catalogue import TYPES
from bot.simulator.changelog import Change, entry
from bot.simulator.faults import draw
from bot.simulator.healthy import World
from bot.simulator.lineage import Node
from bot.simulator.rng import stream, weighted
from bot.simulator.tenants import HOUR
from bot.simulator.travel import Spread, spread

_SECOND = {"D1": 2, "D3": 2, "D5": 2, "D6": 2, "D8": 1, "F1": 2, "M1": 1, "S1": 1, "S4": 1, "M4": 1}
_BLIPS = {
    "source": ("rows", 0.25),
    "table": ("rows", 0.25),
    "ingest_job": ("duration", 0.6),
    "feature_job": ("duration", 0.6),
    "feature_view": ("shift", 0.2),
    "model": ("score", 0.2),
    "service": ("lat", 0.4),
}


def bystanders(
    seed: int, world: World, main: Spread, target: str, alert_at: float
) -> tuple[Spread | None, list[Spread], list[Change]]:
    """(the second fault or None, everything unrelated that is in the telemetry, changes that coincide with it).

    None of it is upstream of the target, or only by an edge that carries next to nothing.
    """
    random = stream(seed, "bystanders", main.fault.type)
    graph = world.graph
    upstream = set(graph.reach(target, up=True)) | set(main.strength)
    away = [node for node in graph.nodes.values() if node.id not in upstream]
    second, extra, changes = None, [], []
    if random.random() < 0.10:
        second = _second(seed, world, main, away, upstream, random)
        if second is not None:
            extra.append(second)
            if random.random() < 0.6:
                node = graph.nodes[second.fault.node]
                changes.append(entry(random, node, second.onset(node.id) - random.uniform(60, 1200)))
    blips = [node for node in away if node.kind in _BLIPS]
    if random.random() < 0.20 and blips:
        node = blips[int(random.integers(len(blips)))]
        begin = alert_at - random.uniform(0.3, 5) * HOUR
        extra.append(_blip(world, main, node, begin, random))
        changes.append(entry(random, node, begin - random.uniform(60, 1200)))
    return second, extra, changes


def _second(
    seed: int, world: World, main: Spread, away: list[Node], upstream: set[str], random: np.random.Generator
) -> Spread | None:
    kind = weighted(random, _SECOND)
    places = [node for node in away if node.kind in TYPES[kind].origins]
    if not places:
        return None
    onset = main.onset(main.fault.node) + random.uniform(-18, 0.5) * HOUR
    fault = draw(seed + 1, 77, kind, world.graph, world.tenant, onset, places)
    reached = spread(world.graph, fault)
    return None if upstream & set(reached.strength) - set(main.strength) else reached


def _blip(world: World, main: Spread, node: Node, begin: float, random: np.random.Generator) -> Spread:
    fault = draw(world.seed + 2, 78, "S1", world.graph, world.tenant, begin, [node])
    key, size = _BLIPS[node.kind]
    out = Spread(fault)
    sign = float(random.choice([-1.0, 1.0])) if key in ("rows", "shift", "score") else 1.0
    amount = sign * size * float(random.uniform(0.7, 1.3))
    vector = np.zeros(len(node.features))
    if node.kind == "feature_view":
        vector[int(random.integers(len(vector)))] = amount
    out.add(node.id, key, vector if node.kind == "feature_view" else amount)
    return out
