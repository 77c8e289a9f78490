"""Which metric alerts, and how large the fault is: the size is turned until the alert lies in its difficulty band."""

from dataclasses import dataclass

import numpy as np

from bot.simulator.catalogue import TYPES
from bot.simulator.faults import Fault
from bot.simulator.healthy import Block, World
from bot.simulator.rng import weighted
from bot.simulator.robust import first_alarm, seasonal_z
from bot.simulator.tenants import DAY, HOUR
from bot.simulator.travel import Spread, spread
from bot.simulator.vocabulary import KNOWN

BANDS = {"easy": (8.0, 15.0), "medium": (4.0, 8.0), "hard": (2.5, 4.0)}
SHARES = {"easy": 0.30, "medium": 0.45, "hard": 0.25}
_SLOW = ("F1", "X3", "W1", "W2", "M3", "L1", "D2", "X4")
_LATE = ("quality", "calibration", "served_quality", "business")


@dataclass(frozen=True)
class Aim:
    """The series that alerts: a node's canonical metric, of one feature and segment (by index) if it has any."""

    node: str
    metric: str
    feature: str | None
    segment: int | None


@dataclass(frozen=True)
class Shot:
    """A fault of a fitting size and the alert it raises: when, by which rule, what was seen and what was expected."""

    spread: Spread
    aim: Aim
    at: float
    rule: str
    z: float
    observed: float
    expected: float

    @property
    def difficulty(self) -> str:
        """The band in which the alert's robust z lies."""
        size = abs(self.z)
        return "easy" if size >= 8 else "medium" if size >= 4 else "hard"


def sign_of(world: World, metric: str) -> int:
    """+1 if more is worse, -1 if less is worse, 0 if either."""
    if metric in ("quality", "served_quality"):
        return -1 if world.tenant.quality[3] else 1
    if metric == "business":
        return -1 if world.tenant.business in ("conversion", "approval_rate", "save_rate") else 1
    return {"up": 1, "down": -1}.get(KNOWN[metric].worse, 0)


def aims(world: World, fault: Fault, reached: Spread, random: np.random.Generator, count: int) -> list[Aim]:
    """Up to `count` series that the fault moves and that its type is known to be noticed by."""
    spec, graph = TYPES[fault.type], world.graph
    by_kind: dict[str, list[str]] = {}
    touched = set(reached.effects) if fault.type in ("W3", "O1") else set(reached.strength) & set(reached.effects)
    for node in touched:
        by_kind.setdefault(graph.nodes[node].kind, []).append(node)
    slow = world.tenant.label_delay[0] > DAY and fault.type not in ("L1", "L2", "M3")
    options = {
        (kind, metric): weight
        for (kind, metric), weight in spec.alerts.items()
        if kind in by_kind
        and not (slow and metric in _LATE)
        and not (metric == "business" and world.tenant.label_delay[0] > HOUR)
    }
    chosen: list[Aim] = []
    while options and len(chosen) < count:
        kind, metric = weighted(random, options)
        options[kind, metric] *= 0.3
        node = sorted(by_kind[kind])[int(random.integers(len(by_kind[kind])))]
        feature = _feature(world, reached, node, metric, random)
        if KNOWN[metric].per_feature and feature is None:
            if max(options.values()) < 0.01:
                break
            continue
        sliced = fault.segments and kind in ("model", "feature_view", "service") and random.random() < 0.4
        segment = fault.segments[int(random.integers(len(fault.segments)))] if sliced else None
        aim = Aim(node, metric, feature, segment)
        if aim not in chosen:
            chosen.append(aim)
        elif max(options.values()) < 0.01:
            break
    return chosen


def _feature(world: World, reached: Spread, node: str, metric: str, random: np.random.Generator) -> str | None:
    if not KNOWN[metric].per_feature:
        return None
    key = {
        "psi_7d": ("shift", "logscale", "psi", "top", "oov"),
        "mean": ("shift",),
        "null_rate": ("null",),
        "oov_rate": ("oov",),
        "top_share": ("top",),
    }[metric]
    features = world.graph.nodes[node].features
    moved = {
        index
        for effect in reached.effects[node]
        if effect.key in key
        for index in np.flatnonzero(np.abs(effect.size) > 1e-3)
    }
    if metric == "oov_rate":
        moved = {index for index in moved if features[index].categorical}
    names = [features[index].name for index in sorted(moved)]
    return names[int(random.integers(len(names)))] if names else None


def shoot(world: World, fault: Fault, aim: Aim, band: tuple[float, float], rounds: int = 7) -> Shot | None:
    """Turn the fault's size, bisecting its logarithm, until `aim` alerts with |z| inside `band`; None if it cannot."""
    quiet = world.block(aim.node, aim.segment)
    most = fire(world, fault.sized(fault.bounds[1]), aim, quiet)
    if most is None or abs(most.z) < band[0]:
        return None
    if abs(most.z) <= band[1]:
        return most
    low, high = np.log(fault.bounds)
    trial = float(np.log(fault.size))
    for _ in range(rounds):
        shot = fire(world, fault.sized(float(np.exp(trial))), aim, quiet)
        if shot is not None and band[0] <= abs(shot.z) <= band[1]:
            return shot
        low, high = (trial, high) if shot is None or abs(shot.z) < band[0] else (low, trial)
        trial = (low + high) / 2
    return None


def fire(world: World, fault: Fault, aim: Aim, quiet: Block) -> Shot | None:
    """Run the three plain rules over the aimed series with this fault in the world.

    None if nothing alerts, if it comes too late to be due to the fault, or if the same noise without the fault
    (`quiet`) explains 40 % of it.
    """
    reached = spread(world.graph, fault)
    if aim.node not in reached.effects:
        return None
    begin = max(reached.onset(aim.node), world.start + 27 * DAY)
    block = World(world.seed, world.tenant, world.graph, world.start, world.end, [*world.spreads, reached]).block(
        aim.node, aim.segment
    )
    value, calm = block.values[aim.metric, aim.feature], quiet.values[aim.metric, aim.feature]
    split = max(begin - (10 * DAY if fault.shape.length > 10 * DAY else 0), world.start + 14 * DAY)
    z = seasonal_z(block.at, value, split)
    found = first_alarm(z, block.at, value, begin, sign_of(world, aim.metric), aim.metric.endswith("psi_7d"))
    if found is None:
        return None
    index, rule = found
    step = world.step(world.graph.nodes[aim.node])
    slow = 4 * DAY if fault.shape.kind != "step" or fault.type in _SLOW else max(8 * step, 4 * HOUR)
    alone = abs(z[index] * (value[index] - calm[index]))
    unit = abs(value[index] - np.median(value[block.at < split]))
    if block.at[index] - begin > slow or alone < 0.6 * abs(z[index]) * unit:
        return None
    past = value[block.at < begin][-24 * 28 :]
    return Shot(
        reached, aim, float(block.at[index]), rule, float(z[index]), float(value[index]), float(np.median(past))
    )
