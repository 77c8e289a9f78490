"""How much each trait counts, and how often a confidence like this one was right: fitted, in one small file.

`weights.json` is written by `python -m benchmarks.fit_causes` from simulated incidents: a conditional logit (McFadden
1974) over all candidates of an incident and "nothing is broken", with a ridge that draws every weight to nothing; then
an isotonic map from posterior to confidence, fitted on incidents that the weights never saw.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from agents.candidates import Traits
from agents.signs import Sign

FILE = Path(__file__).with_name("weights.json")

Parts = list[tuple[str, str, float]]


class Weights(NamedTuple):
    """`shared` by trait, `prior` by fault, `role` by fault and role ("nulls+"), `alert` by fault and role, `benign` by
    sign of a healthy world; `calibration` points (posterior, confidence), ascending; `threshold` of confidence."""

    version: str
    shared: Mapping[str, float]
    prior: Mapping[str, float]
    role: Mapping[str, Mapping[str, float]]
    alert: Mapping[str, Mapping[str, float]]
    benign: Mapping[str, float]
    calibration: Sequence[Sequence[float]]
    threshold: float
    target_precision: float


@lru_cache
def load(path: Path = FILE) -> Weights:
    """The fitted weights."""
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return Weights(**{name: told[name] for name in Weights._fields})


def squashed(sign: Sign) -> float:
    """A sign's nats within bounds: no single reading settles the kind."""
    return min(max(sign.nats, -1.5), 4.0)


def key(role: str, sign: Sign) -> str:
    """The name of what is seen: the role and which way it went."""
    return f"{role}{'-' if sign.sign < 0 else '+'}"


def parts(traits: Traits, shown: Mapping[str, Sign], alert: str, w: Weights) -> Parts:
    """(node, what, nats) of a candidate; they sum to its score."""
    found: Parts = []
    for name, value in traits.values.items():
        what = f"change {traits.change}" if name.endswith("change") and traits.change else name
        found.append((traits.where.get(name, traits.node), what, w.shared.get(name, 0.0) * value))
    cause = traits.fault.cause
    roles = w.role.get(cause, {})
    for role, sign in shown.items():
        if (name := key(role, sign)) in roles:
            found.append((traits.node, f"{name} of a {cause}", roles[name] * squashed(sign)))
    found.append((traits.node, f"how often: {cause}", w.prior.get(cause, 0.0)))
    found.append((traits.node, f"an alert of {alert or 'nothing known'}", w.alert.get(cause, {}).get(alert, 0.0)))
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
