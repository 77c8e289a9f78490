"""A fault: its type, node, onset, shape and parameters, drawn within the ranges of the catalogue."""

from dataclasses import dataclass, field, replace

import numpy as np

from bot.simulator.catalogue import TYPES
from bot.simulator.lineage import Graph, Node
from bot.simulator.rng import stream, weighted
from bot.simulator.shapes import Shape
from bot.simulator.tenants import DAY, HOUR, Tenant

FACTORS = (0.001, 0.01, 0.0254, 0.1, 1.609, 10.0, 60.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Fault:
    """One fault. `size` is the scalar that bisection turns, in the unit of the type's range; `column` the source's
    column it touches (None for all); `features` the columns of a view when it begins at a feature job or view;
    `segments` the slice's values by index, of traffic share `share` (all traffic is share 1).
    """

    type: str
    node: str
    onset: float
    shape: Shape
    size: float
    column: int | None = None
    features: tuple[int, ...] | None = None
    segments: tuple[int, ...] = ()
    share: float = 1.0
    params: dict[str, float] = field(default_factory=dict)

    def sized(self, size: float) -> "Fault":
        """The same fault, larger or smaller."""
        return replace(self, size=size)

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest size the catalogue allows."""
        return next(iter(TYPES[self.type].ranges.values()))


def segment_shares(seed: int, tenant: Tenant) -> np.ndarray:
    """Traffic shares of the values of the tenant's first dimension; they sum to 1."""
    count = next(iter(tenant.segments.values()))
    return np.sort(stream(seed, "segments").dirichlet(np.full(count, 1.5)))[::-1]


def draw(
    seed: int, attempt: int, kind: str, graph: Graph, tenant: Tenant, onset: float, nodes: list[Node] | None = None
) -> Fault:
    """Draw a fault of type `kind` that begins at `onset` (epoch seconds), on one of `nodes` or any fitting node."""
    random = stream(seed, "fault", kind, attempt)
    spec = TYPES[kind]
    candidates = nodes or _candidates(graph, spec.origins, random)
    node = candidates[int(random.integers(len(candidates)))]
    shape, start = _shape(random, kind, weighted(random, spec.shapes), onset)
    low, high = next(iter(spec.ranges.values()))
    fault = Fault(kind, node.id, start, shape, float(np.sqrt(low * high)), params=_params(random, kind))
    if node.kind == "source" and kind not in ("W1", "W3", "W4", "X3"):
        fault = replace(fault, column=_field(random, graph, node))
    if node.kind == "table" and kind == "D2":
        fault = replace(fault, column=_field(random, graph, node))
    if kind in ("D3", "F3", "X5") and node.kind in ("feature_job", "feature_view"):
        fault = replace(fault, features=_features(random, graph, node, 1 if kind == "D3" else 0))
    if random.random() < spec.segment:
        shares = segment_shares(seed, tenant)
        picked = tuple(
            int(i) for i in random.permutation(len(shares))[: 1 + int(random.integers(0, min(4, len(shares) - 2)))]
        )
        fault = replace(fault, segments=picked, share=float(min(0.9, max(0.03, shares[list(picked)].sum()))))
    return fault


def _candidates(graph: Graph, origins: dict[str, float], random: np.random.Generator) -> list[Node]:
    kinds = {kind: weight for kind, weight in origins.items() if graph.of(kind)}
    found = graph.of(weighted(random, kinds))
    if found[0].kind in ("monitor", "service", "model"):
        return found
    used = [node for node in found if any(graph.nodes[name].kind == "model" for name in graph.reach(node.id, up=False))]
    return used or found


def _shape(random: np.random.Generator, kind: str, name: str, onset: float) -> tuple[Shape, float]:
    if kind == "M3":
        age = float(random.uniform(21, 120)) * DAY
        return Shape("late-ramp", age), onset - age * 0.8
    if kind in ("W1", "W2") and name in ("ramp", "s-curve"):
        return Shape(name, float(random.uniform(1.0, 5.0)) * DAY), onset
    length = float(np.exp(random.uniform(np.log(0.5), np.log(8)))) * HOUR
    if name == "intermittent":
        period = 300.0 if kind == "F6" else float(random.choice([900, 1800, 5400]))
        return Shape(name, length, period, float(random.uniform(0.3, 0.9))), onset
    return Shape("step" if name == "per-run" else name, length), onset


def _params(random: np.random.Generator, kind: str) -> dict[str, float]:
    sign = float(random.choice([-1.0, 1.0]))
    return {
        "D3": lambda: {"r": float(random.choice(FACTORS))},
        "D4": lambda: {"as_null": float(random.random() < 0.5)},
        "M1": lambda: {"score": float(random.uniform(-1, 1)), "rows": float(random.uniform(0.05, 0.7))},
        "F1": lambda: {"tau": float(np.exp(random.uniform(np.log(1), np.log(72)))) * HOUR},
        "X3": lambda: {"tau": float(random.uniform(2, 48)) * HOUR},
    }.get(kind, dict)() | {"sign": sign}


def _field(random: np.random.Generator, graph: Graph, node: Node) -> int:
    """A column of the source that some view downstream really uses, preferring the used ones."""
    used: dict[int, float] = {}
    for other in graph.reach(node.id, up=False):
        for feature in graph.nodes[other].features:
            used[feature.column] = used.get(feature.column, 0.0) + feature.weight
    return weighted(random, used) if used else int(random.integers(4))


def _features(random: np.random.Generator, graph: Graph, node: Node, count: int) -> tuple[int, ...]:
    view = node if node.kind == "feature_view" else graph.nodes[graph.children[node.id][0].dst]
    total = len(view.features)
    weights = np.array([feature.weight for feature in view.features]) + 0.05
    size = count or int(random.integers(1, max(2, total // 2)))
    return tuple(int(i) for i in random.choice(total, size, replace=False, p=weights / weights.sum()))
