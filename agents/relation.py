"""What labels say of the relation between inputs and truth, whatever else moved: pure.

A model that ranks as well as before, on labels of another frequency, met another label (or another threshold); one that
no longer tells the classes apart met another world. Recall of either class does not depend on how frequent it is, so
the two can be told apart (label shift against concept shift: Lipton, Wang & Smola, ICML 2018).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from agents.picture import Picture

SURE = 2.0
"""Standard errors that count for nothing."""


class Relation(NamedTuple):
    """Degrees in 0..1, or None where too few labels, or not two classes, were seen."""

    lost: float | None
    """How much of the power to tell the classes apart is gone."""
    base_rate: float | None
    """Whether the share of positive labels moved."""


def of(p: Picture) -> Relation:
    """Of the labelled windows before and after the onset."""
    before, now = _rates(p, "healthy"), _rates(p, "current")
    if before is None or now is None:
        return Relation(None, None)
    return Relation(_lost(before, now), _moved(before, now))


class _Rates(NamedTuple):
    positive: float
    negative: float
    base: float
    rows: float


def _rates(p: Picture, side: str) -> _Rates | None:
    """Recall of the positive and of the negative class, share of positive labels, and labelled rows; of one side."""
    found = {}
    for name in ("recall:true", "recall:false", "precision:true"):
        row = p.signals[f"quality:{name}"].telemetry.get(side) if f"quality:{name}" in p.signals else None
        if not row or row.get("value") is None:
            return None
        found[name] = (row["value"], row["rows"])
    said = p.signals["prediction"].telemetry.get(side) if "prediction" in p.signals else None
    counts = (said or {}).get("counts")
    if not counts or len(counts) < 2 or sum(counts[:2]) <= 0 or found["recall:true"][0] <= 0:
        return None
    rate = counts[1] / sum(counts[:2])  # levels in order: false, true
    base = rate * found["precision:true"][0] / found["recall:true"][0]
    return _Rates(found["recall:true"][0], found["recall:false"][0], min(max(base, 0.0), 1.0), found["recall:true"][1])


def _lost(before: _Rates, now: _Rates) -> float | None:
    told = before.positive + before.negative - 1
    errors = [
        _error(share, rows)
        for r in (before, now)
        for share, rows in ((r.positive, r.rows * r.base), (r.negative, r.rows * (1 - r.base)))
    ]
    noise = SURE * math.hypot(*errors)
    if told <= 0.05 or noise > told:
        return None
    gone = told - (now.positive + now.negative - 1) - noise
    return min(max(gone / (0.5 * told), 0.0), 1.0)


def _moved(before: _Rates, now: _Rates) -> float:
    noise = math.hypot(_error(before.base, before.rows), _error(now.base, now.rows))
    return min(max((abs(now.base - before.base) / max(noise, 1e-9) - SURE) / 3, 0.0), 1.0)


def _error(share: float, rows: float) -> float:
    """Standard error of a share over so many rows."""
    return math.sqrt(max(share * (1 - share), 0.01) / max(rows, 1.0))
