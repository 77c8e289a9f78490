"""What each series of a recorded case shows around the alert: how far it moved, since when, and how rare that is.

History is what is older than five days (or a day and a half, where there is too little), the present the last steps up
to the alert. How often a metric of this name strays as far in the histories of all nodes is the chance of a false alarm
that its Bayes factor has to beat (see `surprise.judged`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.cases import Case, Series
from agents.surprise import Constants, judged, robust_scale

HOUR, DAY = 3600.0, 86_400.0
OLD, LATE = 5 * DAY, 30 * HOUR
ENOUGH = 8
"""Values of history needed to judge by the older part alone."""
AFTER = 1800.0
"""Telemetry runs on this long after the alert (seconds)."""
WILD = 2.5


class Reading(NamedTuple):
    """One series: anomaly s >= 0 with its sign, level before and now, onset (None: cannot tell), nats, and the row."""

    series: Series
    s: float
    sign: int
    before: float
    now: float
    onset: float | None
    nats: float
    at: float
    """Time of the value to cite."""
    scale: float


def read_all(case: Case, segments: bool = False) -> list[Reading]:
    """The readings of every series of all traffic (of the slices, with `segments`), best evidence first."""
    c = Constants()
    wanted = [s for s in case.series if bool(s.segment) == segments and len(s.at) >= 4]
    target = [s for s in wanted if s.node == case.alert["node"] and s.metric == case.alert.get("metric")]
    profile = _profile(target, case.at)
    first = [_measure(s, case.at, profile, c) for s in wanted]
    quiet: dict[tuple[str, str], list[Any]] = {}
    for series, found in zip(wanted, first, strict=True):
        if found is not None:
            quiet.setdefault(_family(case, series), []).append(found[1])
    known = {family: np.sort(np.concatenate(several)) for family, several in quiet.items()}
    readings = []
    cycle = _cycle([s for s in wanted if s.role.name == "model_age"])
    for series, found in zip(wanted, first, strict=True):
        if series.role.name == "model_age":
            readings.append(_aged(series, case.at, cycle, c))
        elif found is not None:
            reading = found[0]
            if reading.series.role.name in ("version", "schema") and reading.s:
                readings.append(reading._replace(nats=1.5))
                continue
            readings.append(reading._replace(nats=judged(reading.s, known[_family(case, series)], c)))
    return sorted(readings, key=lambda r: (-r.nats, -r.s, r.series.row_id))


def _family(case: Case, series: Series) -> tuple[str, str]:
    return series.metric, str(case.nodes.get(series.node, {}).get("kind", ""))


def _profile(target: Sequence[Series], at: float) -> Any:
    """(times, weights) of the alerting series' own excursion over its last steps; None when it cannot be seen."""
    for series in target:
        past, recent = _parts(series, at)
        if len(past) >= 4 and recent.any():
            location, scale = robust_scale(series.value[past])
            z = np.clip(np.abs(series.value[recent] - location) / scale, 0, 20)
            return series.at[recent], z / max(float(z.sum()), 1e-9)
    return None


def _parts(series: Series, at: float) -> tuple[Any, Any]:
    """Indexes of the history, and a mask of the present: the last six steps up to half an hour past the alert."""
    t = series.at
    old = np.flatnonzero(t < at - OLD)
    if len(old) < ENOUGH:
        old = np.flatnonzero(t < at - LATE)
    step = float(np.median(np.diff(t[-5:]))) if len(t) > 4 else HOUR
    recent = (t >= at - 5.5 * min(step, HOUR)) & (t <= at + AFTER)
    if not recent.any():
        recent = t == t[-1]
    return old, recent


def _measure(series: Series, at: float, profile: Any, c: Constants) -> tuple[Reading, Any] | None:
    """The reading (its nats still to be judged) and the anomalies of its own history; None with too little history."""
    old, recent = _parts(series, at)
    if len(old) < 4:
        return None
    past, role = series.value[old], series.role
    location, scale = robust_scale(past)
    if role.name in ("version", "schema"):
        return _stepped(series, at, c), np.zeros(len(past))
    if role.name == "status":
        scale = max(scale, 0.05)
    if role.share:
        scale = max(scale, _sampling(location, float(np.median(series.n[old])), float(np.max(past))))
    z = (series.value[recent] - location) / scale
    weights = _weights(series.at[recent], profile, c)
    up, down = (_pooled(sign * z, weights, c) for sign in (1, -1))
    if role.direction > 0:
        down = 0.0
    elif role.direction < 0:
        up = 0.0
    s, sign = (up, 1) if up >= down else (down, -1)
    place = np.flatnonzero(recent)[int(np.argmax(sign * z))]
    now = float(series.value[place])
    onset = _onset(series, at, location, scale * max(WILD, s / 3), sign) if s >= 1 else None
    quiet = (
        np.abs(past - location) / scale
        if not role.direction
        else np.clip(role.direction * (past - location) / scale, 0, None)
    )
    return Reading(series, s, sign, location, now, onset, 0.0, float(series.at[place]), scale), quiet


def _stepped(series: Series, at: float, c: Constants) -> Reading:
    """A value that has no size (a version, a hash): did it change within the last three days?"""
    seen = series.at <= at + AFTER
    value, t = series.value[seen], series.at[seen]
    changed = np.flatnonzero(np.diff(value) != 0)
    if not len(changed) or t[changed[-1] + 1] < at - 3 * DAY:
        last = float(value[-1]) if len(value) else 0.0
        return Reading(series, 0.0, 0, last, last, None, c.quiet, float(t[-1]) if len(t) else at, 1.0)
    place = int(changed[-1])
    onset = (float(t[place]) + float(t[place + 1])) / 2
    sign = 1 if value[place + 1] > value[place] else -1
    return Reading(
        series, 20.0, sign, float(value[place]), float(value[place + 1]), onset, 0.0, float(t[place + 1]), 1.0
    )


def _cycle(ages: Sequence[Series]) -> float:
    """The greatest age that any of these models reached before it was trained again; 30 (days) when none was."""
    reached = [float(s.value[i]) for s in ages for i in np.flatnonzero(np.diff(s.value) < 0)]
    return max(reached, default=30.0)


def _aged(series: Series, at: float, cycle: float, c: Constants) -> Reading:
    """A model's age has no usual level, it grows until the next training: is it older than any of them ever got?"""
    seen = series.at <= at + AFTER
    value, t = series.value[seen], series.at[seen]
    last, when = (float(value[-1]), float(t[-1])) if len(value) else (0.0, at)
    over = last / max(cycle, 1e-9)
    renewed = bool((np.diff(value) < 0).any()) if len(value) > 1 else False
    if renewed or over < 1.2:
        return Reading(series, 0.0, 0, last, last, None, c.quiet, when, 1.0)
    late = np.flatnonzero(value > cycle)
    return Reading(series, 20.0, 1, cycle, last, float(t[late[0]]), 1.5 + min(math.log(over), 2.0), when, cycle)


def _sampling(share: float, rows: float, largest: float) -> float:
    """The sampling error of a share seen in `rows` rows (per cent, where values exceed 1)."""
    whole = 100.0 if largest > 1.5 else 1.0
    p = min(max(share / whole, 0.0), 1.0)
    return whole * max(math.sqrt(p * (1 - p) / max(rows, 1.0)), 1 / max(rows, 1.0))


def _weights(at: Any, profile: Any, c: Constants) -> Any:
    flat = np.full(len(at), 1 / len(at))
    if profile is None:
        return flat
    shape = np.interp(at, profile[0], profile[1])
    return c.uniform * flat + (1 - c.uniform) * shape / shape.sum() if shape.sum() > 0 else flat


def _pooled(z: Any, weights: Any, c: Constants) -> float:
    return float(np.expm1(weights @ np.log1p(np.clip(z, 0, c.clip))))


def _onset(series: Series, at: float, location: float, limit: float, sign: int) -> float | None:
    """Between the last value that was as ever and the first of the excursion that reaches the present."""
    away = sign * (series.value - location) > limit
    upto = np.flatnonzero(series.at <= at + AFTER)
    last = np.flatnonzero(away[upto])
    if not len(last):
        return None
    start = int(last[-1])
    while start > 0 and (away[start - 1] or (start > 1 and away[start - 2])):
        start -= 1
    before = float(series.at[start - 1]) if start else float(series.at[start])
    return (before + float(series.at[start])) / 2
