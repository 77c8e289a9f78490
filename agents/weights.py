"""How much each trait counts for each kind of fault, and how often a confidence like this one was right: fitted, in one
file.

`weights.json` is written by `python -m benchmarks.fit_causes` from simulated incidents: a conditional logit (McFadden
1974) over all typed causes of an incident, "nothing is broken" among them, whose weights are drawn towards what the
catalogue says of each kind (`faults.FAULTS`); then an isotonic map from posterior to confidence, fitted on incidents
that the weights never saw.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from agents.candidates import Traits
from agents.faults import Fault

FILE = Path(__file__).with_name("weights.json")

Parts = list[tuple[str, str, float]]


class Weights(NamedTuple):
    """`traits` and `around`: nats by fault and trait; `prior`: nats by fault; `calibration`: points (posterior,
    confidence), ascending; `threshold` of confidence."""

    version: str
    traits: Mapping[str, Mapping[str, float]]
    around: Mapping[str, Mapping[str, float]]
    prior: Mapping[str, float]
    calibration: Sequence[Sequence[float]]
    threshold: float
    target_precision: float


@lru_cache
def load(path: Path = FILE) -> Weights:
    """The fitted weights."""
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return Weights(**{name: told[name] for name in Weights._fields})


def parts(fault: Fault, node: Traits, around: Mapping[str, float], target: str, w: Weights) -> Parts:
    """(node, what, nats) of a fault of this kind at a node; they sum to its score. `target`: what alerted."""
    found: Parts = [(node.node, f"how often: {fault.cause}", w.prior.get(fault.cause, 0.0))]
    counts = w.traits.get(fault.cause, {})
    for name, value in node.values.items():
        if name in counts:
            what = f"change {node.change}" if name.startswith("change ") and node.change else name
            found.append((node.where.get(name, node.node), what, counts[name] * value))
    counts = w.around.get(fault.cause, {})
    found += [(target, name, counts[name] * value) for name, value in around.items() if name in counts]
    return [part for part in found if abs(part[2]) > 1e-9]


def calibrated(posterior: float, w: Weights) -> float:
    """How often a posterior like this one was right: linear between the points of the isotonic map.

    >>> from agents.weights import load
    >>> 0.0 <= calibrated(0.5, load()) <= calibrated(0.99, load()) <= 1.0
    True
    """
    xs = [x for x, _ in w.calibration]
    at = bisect.bisect_left(xs, posterior)
    if at == 0 or at == len(xs):
        return w.calibration[0 if at == 0 else -1][1]
    (x0, y0), (x1, y1) = w.calibration[at - 1], w.calibration[at]
    return y0 + (y1 - y0) * (posterior - x0) / (x1 - x0) if x1 > x0 else y1
