"""Features that only say what day or hour it is, behind a baseline too short to have seen them all.

An hour of the day is a feature like any other once a baseline holds whole days. Before that every new hour is new, and
that says nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DAY = 86_400.0
WEEK = 7
NEEDED = {"hour": 1, "day": 31, "month": 366, "year": 366}
"""Days of baseline that hold all there is of it."""
AGREES = 0.98
LEAST = 20
"""Rows of a day from which it counts."""


def says_the_time(values: Any, at: np.ndarray) -> bool:
    """Whether the column follows from the event times alone, as far as the baseline shows, and it is too short.

    Numbers equal to the hour, the day, the month or the year; anything of which each day has one value of its own.
    """
    days = float(at[-1] - at[0]) / DAY if len(at) else 0.0
    if isinstance(values, np.ndarray):
        for name, usual in _fields(at).items() if days < max(NEEDED.values()) else ():
            if days < NEEDED[name] and _equals(values, usual, 24 if name == "hour" else 0):
                return True
    return days < WEEK and _by_day(values, at)


def _fields(at: np.ndarray) -> dict[str, np.ndarray]:
    """What a calendar and a clock say of each time (UTC)."""
    stamp = at.astype("datetime64[s]")
    day, month, year = (stamp.astype(f"datetime64[{unit}]") for unit in "DMY")
    return {
        "hour": (at // 3_600) % 24, "day": (day - month.astype("datetime64[D]")).astype(float) + 1,
        "month": (month - year.astype("datetime64[M]")).astype(float) + 1, "year": year.astype(float) + 1970,
    }  # fmt: skip


def _equals(values: np.ndarray, usual: np.ndarray, cycle: int) -> bool:
    """Whether a column that varies is the field; within a cycle the clock may be off by as much everywhere."""
    finite = np.isfinite(values)
    if finite.mean() < AGREES or len(np.unique(values[finite][:5_000])) < 2:
        return False
    off = values[finite] - usual[finite]
    return float((off % cycle == off[0] % cycle).mean() if cycle else (off == 0).mean()) >= AGREES


def _by_day(values: Any, at: np.ndarray) -> bool:
    """Whether each whole day of the baseline has one value, and not all have the same."""
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    day = (at // DAY).astype(np.int64)
    found: dict[int, set[Any]] = {}
    rows = dict(zip(*np.unique(day, return_counts=True), strict=True))
    for one, value in zip(day.tolist(), listed, strict=True):
        held = found.setdefault(one, set())
        if isinstance(value, list | dict) or len(held) > 1:
            return False
        held.add(value)
    counted = [held for one, held in found.items() if rows[one] >= LEAST]
    return len(counted) >= 2 and all(len(held) == 1 for held in counted) and len(set.union(*counted)) > 1
