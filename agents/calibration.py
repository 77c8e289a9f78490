"""Confidence of a live hypothesis: how often one like this was right, fitted, in one small versioned file.

`live.json` is written by `python -m benchmarks.fit_live` from simulated live incidents: a logistic (Platt 1999) in the
log odds of the kind and of its node, with a malus while no window has closed since the onset; and the threshold above
which at least `target_precision` of what is shown was right. Recorded cases have a fitted map of their own (`weights`).
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("live.json")

_CLIP = 6.0
ALONE = 0.5
BLIND = 0.8
"""Factor when there was no telemetry to check the alert against; not fitted, for simulated incidents all have some."""


class Fitted(NamedTuple):
    """`weights` of `features`, in their order; below `threshold` the card says "Not sure"."""

    version: str
    weights: tuple[float, ...]
    threshold: float
    target_precision: float


@lru_cache
def load(path: Path = FILE) -> Fitted:
    """The fitted map. Raises KeyError, ValueError or OSError for a file that is none."""
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return Fitted(told["version"], tuple(told["weights"]), told["threshold"], told["target_precision"])


def features(node: float, kind: float, partial: bool) -> tuple[float, ...]:
    """What confidence is a logistic of: 1, the log odds of kind and node (0..1 each), and whether it is early."""
    return 1.0, logit(kind), logit(node), float(partial)


def confidence(node: float, kind: float, *, partial: bool, telemetry: bool = True, alone: bool = False) -> float:
    """Stated chance that the kind of the first cause is right, from the posteriors of its node and of its kind (0..1).

    `partial`: no window has begun since the onset. `alone`: the alert is the only evidence there is; that is never
    enough to act on.

    >>> confidence(0.9, 0.99, partial=False) > confidence(0.9, 0.5, partial=False)
    True
    """
    x = sum(w * f for w, f in zip(load().weights, features(node, kind, partial), strict=True))
    value = 1 / (1 + math.exp(-x))
    value *= 1.0 if telemetry else BLIND
    return round(min(value, ALONE) if alone else value, 3)


def logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -_CLIP), _CLIP)
