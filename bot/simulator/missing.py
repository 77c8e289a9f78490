"""What the investigator cannot see: absent metrics, dark nodes, gaps, an outage over the onset, reset counters."""

from dataclasses import dataclass, field

import numpy as np

from bot.simulator.aim import Shot
from bot.simulator.lineage import Graph
from bot.simulator.rng import stream
from bot.simulator.tenants import DAY
from bot.simulator.vocabulary import metrics_of


@dataclass(frozen=True)
class Blindness:
    """`absent` (node, canonical metric); `dark` nodes; `gaps` [node or "*", from, to); `resets` (node, at)."""

    absent: frozenset[tuple[str, str]]
    dark: frozenset[str]
    gaps: tuple[tuple[str, float, float], ...]
    resets: tuple[tuple[str, float], ...]
    untold: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    def keep(self, node: str, at: np.ndarray) -> np.ndarray:
        """Which of the node's values at these times can be seen."""
        keep = np.ones(len(at), bool)
        for where, begin, end in self.gaps:
            if where in ("*", node):
                keep &= ~((at >= begin) & (at < end))
        return keep


def withhold(seed: int, graph: Graph, shot: Shot) -> Blindness:
    """Draw what is missing from an episode; the alerting series is always there."""
    random = stream(seed, "missing", shot.spread.fault.type)
    target, root, onset = shot.aim.node, shot.spread.fault.node, shot.spread.onset(shot.spread.fault.node)
    absent, dark, gaps, resets = set(), set(), [], []
    for node in graph.nodes.values():
        for metric in metrics_of(node.kind):
            if random.random() < 0.08 and (node.id, metric.name) != (target, shot.aim.metric):
                absent.add((node.id, metric.name))
        if random.random() < 0.04 and node.id not in (target, root):
            dark.add(node.id)
        if random.random() < 0.10:
            begin = shot.at - random.uniform(0.05, 2) * DAY
            gaps.append((node.id, begin, min(begin + random.uniform(10, 120) * 60, shot.at - 60)))
        if random.random() < 0.02:
            resets.append((node.id, shot.at - random.uniform(0.1, 20) * DAY))
    if root != target and random.random() < 0.07:
        dark.add(root)
    if random.random() < 0.05:
        begin = onset - random.uniform(5, 30) * 60
        gaps.append(("*", begin, min(begin + random.uniform(20, 90) * 60, shot.at - 600)))
    feeds = [(edge.src, edge.dst) for edge in graph.edges if edge.kind == "feeds"]
    untold = frozenset(pair for pair in feeds if random.random() < 0.15)
    return Blindness(frozenset(absent), frozenset(dark), tuple(gaps), tuple(resets), untold)
