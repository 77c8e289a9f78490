"""How each series of a recorded case stands at the alert: in scales from what was usual, since when, and where to look.

History is what is older than two days (less, where there is too little). The present is looked at over several
stretches that end now, for a fault may have begun a minute or a day before it was noticed; the one that strays most
counts. What has no size of its own (a version, a schema, a state) is read by when it changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.cases import Case, Series
from agents.usual import usual

HOUR, DAY = 3600.0, 86_400.0
HISTORY = ((44 * HOUR, 8), (30 * HOUR, 6))
"""(age, count): what is older is history, if that is at least so many values."""
STRETCHES = (0.0, HOUR, 4 * HOUR, 14 * HOUR, 40 * HOUR)
"""How long before the alert the present may begin (seconds)."""
AFTER = 1800.0
"""Telemetry runs on this long after the alert (seconds)."""
MOST = 15.0
JUMP = 8.0
"""What a change of something without size counts, in scales."""
RECENT, ROLLED = 3 * DAY, 4 * DAY
FLOOR = 0.01
"""No scale is finer than this share of the level."""
SIZES = frozenset(
    {"rows", "rows_in", "rows_out", "traffic", "duration", "latency", "distinct", "lag", "memory", "staleness",
     "checks"}
)  # fmt: skip
"""Roles that vary by factors: judged by their logarithm."""


class Reading(NamedTuple):
    """One series: `z` scales from what was usual, with its sign; onset (None: it did not move, or nobody can tell); the
    value to cite and its time."""

    series: Series
    z: float
    onset: float | None
    now: float
    at: float


def read_all(case: Case) -> list[Reading]:
    """The reading of every series with enough values, of all traffic and of slices, in the order of the case."""
    alike: dict[tuple[bytes, bool], list[Series]] = {}
    found: dict[str, Reading] = {}
    for series in case.series:
        seen = series.at <= case.at + AFTER
        if int(seen.sum()) < 4:
            continue
        special = _STATES.get(series.role.name)
        if special is not None:
            found[series.row_id] = special(series, series.at[seen], series.value[seen], case.at)
        else:
            alike.setdefault((series.at[seen].tobytes(), series.role.name in SIZES), []).append(series)
    for (_, sized), several in alike.items():
        found |= {r.series.row_id: r for r in _together(several, sized, case.at)}
    return [found[s.row_id] for s in case.series if s.row_id in found]


def _together(several: Sequence[Series], sized: bool, at: float) -> Iterator[Reading]:
    """Readings of series that share their times."""
    seen = several[0].at <= at + AFTER
    t = several[0].at[seen]
    shown = np.array([s.value[seen] for s in several])
    values = _logs(shown) if sized else shown
    old = _history(t, at)
    expected, scale = usual(t, values, old)
    before = np.median(shown[:, old], axis=1)
    least = FLOOR if sized else FLOOR * np.abs(before)
    sampling = _sampling(several, before, shown[:, old].max(axis=1))
    z = (values - expected) / np.maximum(np.maximum(scale, least), np.maximum(sampling, 1e-12))[:, None]
    standing = _standing(t, z, at)
    for i, series in enumerate(several):
        onset, place = _excursion(t, z[i], float(standing[i]))
        yield Reading(series, float(standing[i]), onset, float(shown[i, place]), float(t[place]))


def _logs(values: Any) -> Any:
    """Logarithms of sizes; nothing at all counts as a thousandth of the usual."""
    least = np.maximum(1e-3 * np.median(values, axis=1), 1e-9)
    return np.log(np.maximum(values, least[:, None]))


def _history(t: Any, at: float) -> Any:
    for age, count in HISTORY:
        old = t < at - age
        if int(old.sum()) >= count:
            return old
    return np.arange(len(t)) < max(3, len(t) - 4)


def _sampling(several: Sequence[Series], share: Any, largest: Any) -> Any:
    """The sampling error of shares seen in so many rows (per cent, where values exceed 1); 0 for what is no share."""
    whole = np.where(largest > 1.5, 100.0, 1.0)
    rows = np.maximum([float(s.n.mean()) for s in several], 1.0)
    p = np.clip(share / whole, 0.0, 1.0)
    error = whole * np.maximum(np.sqrt(p * (1 - p) / rows), 1 / rows)
    return np.where([s.role.share for s in several], error, 0.0)


def _standing(t: Any, z: Any, at: float) -> Any:
    """The most that any stretch strays: its median, worth up to twice as much the more values it has."""
    best = np.zeros(len(z))
    for back in STRETCHES:
        inside = t >= at - back
        if not inside.any():
            inside = np.arange(len(t)) == len(t) - 1
        strays = np.median(z[:, inside], axis=1) * min(2.0, float(inside.sum()) ** 0.25)
        best = np.where(np.abs(strays) > np.abs(best), strays, best)
    return np.clip(best, -MOST, MOST)


def _excursion(t: Any, z: Any, standing: float) -> tuple[float | None, int]:
    """(onset, place of the value to cite). The onset lies between the last value that was as ever and the first of the
    excursion that reaches furthest into the present."""
    sign = 1.0 if standing >= 0 else -1.0
    recent = np.flatnonzero(t >= t[-1] - STRETCHES[2])
    place = int(recent[np.argmax(sign * z[recent])])
    away = sign * z > max(2.0, abs(standing) / 3)
    last = np.flatnonzero(away)
    if abs(standing) < 2 or not len(last):
        return None, place
    start = int(last[-1])
    while start > 0 and (away[start - 1] or (start > 1 and away[start - 2])):
        start -= 1
    return float(t[max(start - 1, 0)] + t[start]) / 2, place


def _changed(series: Series, t: Any, value: Any, at: float) -> Reading:
    """A version or a hash: did it change of late?"""
    places = np.flatnonzero(np.diff(value) != 0)
    if not len(places) or t[places[-1] + 1] < at - RECENT:
        return _calm(series, t, value)
    i = int(places[-1])
    onset = float(t[i] + t[i + 1]) / 2
    return Reading(series, JUMP, onset, float(value[i + 1]), float(t[i + 1]))


def _rolled(series: Series, t: Any, value: Any, at: float) -> Reading:
    """An age that should only grow: was it set back of late?"""
    places = np.flatnonzero(np.diff(value) < 0)
    if not len(places) or t[places[-1] + 1] < at - ROLLED:
        return _calm(series, t, value)
    i = int(places[-1])
    return Reading(series, JUMP, float(t[i + 1]), float(value[i + 1]), float(t[i + 1]))


def _failing(series: Series, t: Any, value: Any, at: float) -> Reading:
    """A state, 1 for failed: how many of the last runs failed in a row, where failures are rare."""
    old = _history(t, at)
    usually = float(value[old].mean()) if old.any() else 0.0
    bad = value > 0.5
    calm = np.flatnonzero(~bad)
    row = len(value) - 1 - int(calm[-1]) if len(calm) else len(value)
    if usually >= 0.3 or not bad[t >= at - HISTORY[0][0]].any():
        return _calm(series, t, value)
    if not row:
        place = int(np.flatnonzero(bad)[-1])
        return Reading(series, 2.5, None, 1.0, float(t[place]))
    return Reading(series, 3.0 + 2.0 * min(row, 4), float(t[-row]), 1.0, float(t[-1]))


def _aged(series: Series, t: Any, value: Any, at: float) -> Reading:
    """An age in days that a renewal should set back: how old, where it never was."""
    if (np.diff(value) < 0).any():
        return _calm(series, t, value)
    return Reading(series, min(float(value[-1]) / 10, MOST), None, float(value[-1]), float(t[-1]))


def _calm(series: Series, t: Any, value: Any) -> Reading:
    return Reading(series, 0.0, None, float(value[-1]), float(t[-1]))


_STATES: dict[str, Callable[[Series, Any, Any, float], Reading]] = {
    "version": _changed, "schema": _changed, "reference_age": _rolled, "status": _failing, "model_age": _aged,
}  # fmt: skip
