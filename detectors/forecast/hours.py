"""From closed windows to hourly series: what a policy's SLO on a signal reads, hour by hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from core.events import WindowClosed
from core.policy import Slo
from detectors.forecast.panel import LEAST, MOST, Series

Hours = dict[int, tuple[float, float]]
"""Hour since the epoch -> (sum of value times rows, rows)."""
KEPT = 24 * 90
"""Hours that are kept."""
GAPS = 0.5
"""A series of which more than this is missing over the last week says too little."""


def value(window: WindowClosed, signal: str) -> float | None:
    """What a window says of a signal, as an SLO means it; None when it says nothing.

    `drift` is the greatest PSI of any feature, `drift:<feature>` one's; `nulls:<feature>` the share of nulls; `latency`
    the 95 % quantile; everything else its value or its mean.
    """
    family, _, rest = signal.partition(":")
    if family == "drift":
        prefix = f"feature:{rest}"
        chosen = [s for name, s in window.signals.items() if (name == prefix if rest else name.startswith(prefix))]
        return max((s.psi for s in chosen if s.psi is not None), default=None)
    one = window.signals.get(f"feature:{rest}" if family == "nulls" else signal)
    if one is None:
        return None
    if family == "nulls":
        return one.summary.nulls / max(one.summary.rows, 1)
    if one.value is not None:
        return one.value
    return one.summary.p95 if family == "latency" else one.summary.mean


def hours(windows: Iterable[WindowClosed], signal: str, before: Hours | None = None) -> Hours:
    """The hours of `windows` (of no segment, any version), laid over those known `before`, oldest forgotten.

    The first hour of the windows may be cut short: it is taken only where it was not known.
    """
    found: dict[int, list[float]] = {}
    for window in windows:
        seen = None if window.segment else value(window, signal)
        if seen is not None and np.isfinite(seen):
            hour = found.setdefault(int((window.start + window.end) / 2 // 3600), [0.0, 0.0])
            hour[0] += seen * window.rows
            hour[1] += window.rows
    merged = dict(before or {})
    for hour, (total, rows) in found.items():
        if rows > 0 and not (hour == min(found) and hour in merged):
            merged[hour] = (total, rows)
    last = max(merged, default=0)
    return {hour: merged[hour] for hour in sorted(merged) if hour > last - KEPT}


def series(name: str, segment: str, known: Mapping[int, tuple[float, float]], slo: Slo,
           drift: Mapping[int, tuple[float, float]] | None = None) -> Series | None:  # fmt: skip
    """The series scaled by its SLO, or None when there is too little. An hour without rows repeats the one before."""
    if not known:
        return None
    first, last = min(known), max(known)
    if last - first + 1 < LEAST or sum(hour > last - 168 for hour in known) < (1 - GAPS) * min(168, last - first + 1):
        return None
    values, shifts, now, moved = [], [], 0.0, 0.0
    for hour in range(first, last + 1):
        if hour in known:
            total, rows = known[hour]
            now = slo.scaled(total / rows)
        if drift and hour in drift:
            moved = drift[hour][0] / drift[hour][1]
        values.append(now)
        shifts.append(moved)
    scaled = np.clip(np.array(values), -MOST, MOST).astype(np.float32)
    return Series(name, segment, first, scaled, np.array(shifts, np.float32))
