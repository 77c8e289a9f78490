"""How surprising a node's metrics are: against its fault-free history *and* against the moment just before.

The scale is robust (median absolute deviation, Hampel 1974; and the 5-95% range), so that a few wild values of the
past hide nothing. A level that was already stale before the alert is no news and counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct

from agents.metrics import direction_of


class Constants(Struct, frozen=True):
    """The ranker's constants. None is tuned to a data set; top-1 moves little when any is halved or doubled."""

    clip: float = 100.0
    threshold: float = 3.0
    """An anomaly of this many scales is neither for nor against a fault (log factor 0)."""
    quiet: float = -4.0
    """Log factor of a culprit that shows nothing (s < 1)."""
    culprit_floor: float = -4.0
    relay_floor: float = -1.0
    unseen_culprit: float = -1.5
    target_relay: float = 3.0
    target_culprit: float = 1.0
    strength: float = 0.5
    """Chance that a fault travels along an edge of unknown importance."""
    no_path: float = 3.0
    uniform: float = 0.25
    """Share of the time weights that is uniform; the rest follows the target's own anomaly."""
    observed: float = 0.2
    """Less of the weight seen than this: the metric counts as missing."""
    rarity: float = 3.0
    """Nats that rarity in the fault-free history must exceed to speak for a fault."""
    connection: float = -1.0
    """Log factor of a node's connections, which no metric of its own shows."""
    temperature: float = 1.0


class Shown(NamedTuple):
    """What one metric shows: its anomaly s (0: as ever, NaN: unseen) and its log Bayes factor in nats."""

    s: float
    nats: float


def surprise(
    normal: Mapping[str, Mapping[str, Sequence[float]]],
    abnormal: Mapping[str, Mapping[str, Sequence[float]]],
    onset: int,
    target: str | None,
    directions: Mapping[str, int],
    c: Constants,
) -> dict[str, dict[str, Shown]]:
    """What every metric of every node shows. Arguments as for `causes.rank`.

    A metric that cries wolf is heard less: how often the same procedure finds as much in the fault-free history, over
    all nodes that have a metric of this name, is the chance of a false alarm that its Bayes factor has to beat.
    """
    z: dict[str, dict[str, Any]] = {}
    quiet: dict[str, list[Any]] = {}
    for node, table in abnormal.items():
        for metric, rows in table.items():
            history = np.asarray(normal.get(node, {}).get(metric, ()), float)
            sign = directions.get(metric, direction_of(metric))
            z.setdefault(node, {})[metric] = deviations(history, rows, onset, sign)
            quiet.setdefault(metric, []).append(_rehearsed(history, len(rows), onset, sign, c))
    length = max((len(rows) for table in abnormal.values() for rows in table.values()), default=0)
    weights = _weights(z, length, onset, target, c)
    found: dict[str, dict[str, Shown]] = {}
    known = {metric: np.sort(np.concatenate(several)) for metric, several in quiet.items()}
    for node, table in z.items():
        for metric, d in table.items():
            s = pool(d, weights, c)
            found.setdefault(node, {})[metric] = Shown(s, judged(s, known[metric], c))
    return found


def judged(s: float, rehearsed: Any, c: Constants) -> float:
    """Log Bayes factor of an anomaly against the sorted anomalies found in fault-free stretches.

    Where nothing fault-free ever came near it, the larger of what the count allows and what the size says; a small one
    never speaks for a fault.
    """
    if math.isnan(s) or s < 1 or len(rehearsed) < 10:
        return bayes(s, c) if not math.isnan(s) else math.nan
    above = len(rehearsed) - int(np.searchsorted(rehearsed, s, side="left"))
    nats = -math.log((1 + above) / (1 + len(rehearsed))) - c.rarity
    if s < c.threshold:
        return min(nats, bayes(s, c))
    if above:
        return nats
    return max(nats, bayes(s, c)) + math.log((1 + s) / (1 + max(float(rehearsed[-1]), c.threshold)))


def _rehearsed(history: Any, length: int, onset: int, sign: int, c: Constants) -> Any:
    """The anomalies that the same procedure finds in stretches of the fault-free history itself."""
    count = (len(history) - length) // max(length // 2, 1)
    past = history[np.isfinite(history)]
    if len(past) < 30 or count < 5:
        return np.empty(0)
    starts = np.unique(np.linspace(0, len(history) - length, min(count, 120)).astype(int))
    rows = history[starts[:, None] + np.arange(length)[None, :]]
    location, scale = robust_scale(past)
    if onset > 0:
        before = np.ma.median(np.ma.masked_invalid(rows[:, :onset]), axis=1, keepdims=True).filled(location)
    else:
        before = np.full((len(rows), 1), location)
    d = combine((rows - location) / scale, (rows - before) / scale, sign)[:, max(onset - 1, 0) :]
    seen = np.isfinite(d)
    total = np.log1p(np.clip(np.where(seen, d, 0.0), 0, c.clip)).sum(axis=1)
    enough = seen.sum(axis=1) >= c.observed * d.shape[1]
    return np.expm1(total[enough] / seen.sum(axis=1)[enough])


def robust_scale(history: Any) -> tuple[float, float]:
    """(location, scale) of finite values: median, and the largest of MAD, 5-95% range and 1% of the median.

    Whatever the unit: only a history of nothing but zeros has an absolute scale.
    """
    location = float(np.median(history))
    mad = 1.4826 * float(np.median(np.abs(history - location)))
    low, high = np.quantile(history, (0.05, 0.95))
    return location, max(
        mad, float(high - low) / 3.29, 0.01 * abs(location), 1e-9 * (float(np.max(np.abs(history))) or 1.0)
    )


def deviations(history: Sequence[float], rows: Sequence[float], onset: int, sign: int) -> Any:
    """z of each row in the bad direction; NaN where it cannot be told. `sign` 0: either way, if both agree."""
    past = np.asarray(history, float)
    past = past[np.isfinite(past)]
    values = np.asarray(rows, float)
    if len(past) < 3:
        return np.full(len(values), np.nan)
    location, scale = robust_scale(past)
    just_before = values[: max(onset, 0)]
    just_before = just_before[np.isfinite(just_before)]
    recent = float(np.median(just_before)) if len(just_before) else float(np.median(past[-3:]))
    return combine((values - location) / scale, (values - recent) / scale, sign)


def first_anomaly(
    normal: Mapping[str, Mapping[str, Sequence[float]]],
    abnormal: Mapping[str, Mapping[str, Sequence[float]]],
    target: str | None,
    c: Constants,
) -> int:
    """The first row in which the target (any node, without one) lies `threshold` scales from its history; 0 if none."""
    first: list[int] = []
    for node, table in abnormal.items():
        for metric, rows in table.items() if target in (None, node) else ():
            past = np.asarray(normal.get(node, {}).get(metric, ()), float)
            past = past[np.isfinite(past)]
            if len(past) >= 3:
                location, scale = robust_scale(past)
                hit = np.flatnonzero(np.abs(np.asarray(rows, float) - location) / scale > c.threshold)
                first += [int(hit[0])] if len(hit) else []
    return int(np.median(first)) if first else 0


def combine(against_history: Any, against_recent: Any, sign: int) -> Any:
    """Unusual against history and new since just before, whichever says less."""
    if sign:
        return np.minimum(sign * against_history, sign * against_recent)
    agree = np.sign(against_history) == np.sign(against_recent)
    return np.where(agree, np.minimum(np.abs(against_history), np.abs(against_recent)), 0 * against_history)


def _weights(z: Mapping[str, Mapping[str, Any]], length: int, onset: int, target: str | None, c: Constants) -> Any:
    """Weights of the rows: some uniform from one step before the onset, most where the target itself is anomalous."""
    flat = np.zeros(length)
    flat[max(onset - 1, 0) :] = 1.0
    flat /= max(flat.sum(), 1.0)
    shape = np.zeros(length)
    for d in z.get(target, {}).values() if target is not None else ():
        shape[: len(d)] += np.nan_to_num(np.clip(d, 0, c.clip))
    if not shape.any():
        return flat
    return c.uniform * flat + (1 - c.uniform) * shape / shape.sum()


def pool(d: Any, weights: Any, c: Constants) -> float:
    """One s for the rows: the weighted geometric mean of 1 + z+, less 1. NaN when too little was seen."""
    w = weights[: len(d)]
    seen = np.isfinite(d)
    total = float(w[seen].sum())
    if total < c.observed * max(float(weights.sum()), 1e-12):
        return math.nan
    return float(np.expm1((w[seen] / total) @ np.log1p(np.clip(d[seen], 0, c.clip))))


def bayes(s: float, c: Constants) -> float:
    """Log Bayes factor, in nats, of an anomaly of s scales: 0 at the threshold, `quiet` below 1.

    >>> round(bayes(3.0, Constants()), 3), bayes(0.2, Constants())
    (0.0, -4.0)
    """
    return c.quiet if s < 1 else math.log1p(s) - math.log1p(c.threshold)
