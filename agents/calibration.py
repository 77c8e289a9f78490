"""Confidence of a live hypothesis, from the posteriors of its node and of its type.

The two slopes are set by hand: too few labelled live incidents exist to fit them. `benchmarks/live_causes.py` measures
how honest they are on simulated traffic. Recorded cases have a fitted map of their own (`weights`).
"""

from __future__ import annotations

import math

VERSION = "rules-1"

_BIAS, _NODE, _KIND = 0.0, 0.55, 0.55
"""Logistic in the log odds of node and type, clipped."""
_CLIP = 4.0
ALONE = 0.5
BLIND = 0.8
"""Factor when there was no telemetry to check the alert against."""


def confidence(node: float, kind: float, *, telemetry: bool, alone: bool = False) -> float:
    """Stated chance that the first cause is right, from the posteriors of its node and of its type (0..1).

    `alone`: the alert is the only evidence there is; that is never enough to act on.
    """
    x = _BIAS + _NODE * logit(node) + _KIND * logit(kind)
    value = 1 / (1 + math.exp(-x))
    value *= 1.0 if telemetry else BLIND
    return round(min(value, ALONE) if alone else value, 3)


def logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -_CLIP), _CLIP)
