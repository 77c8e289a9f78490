"""What was usual for a series: where it lay and how far it strayed, by the hour of day where it has one.

Series that share their times are judged together. The season is a daily wave and a weekend, fitted by ridge regression
to the history with its strays cut (Huber 1964: wild values must not decide); it is used where what is left over strays
less than the series itself. Scales are robust (`surprise.robust_scale` says which).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

DAY = 86_400.0
LEAST = 14
"""Values of history that a season needs."""
GAIN = 0.85
"""A season is used where it leaves less than this share of the scale."""
CUT = 4.0
_RIDGE = np.diag([0.0, 0.3, 0.3, 1.0])


class Usual(NamedTuple):
    """For N series at T times: what was expected, float[N, T], and the scale of straying from it, float[N]."""

    expected: Any
    scale: Any


def usual(at: Any, values: Any, old: Any) -> Usual:
    """`at` epoch seconds, float[T], ascending; `values` float[N, T]; `old` bool[T], which of them are history."""
    history = values[:, old]
    middle, scale = robust(history)
    expected = np.repeat(middle[:, None], len(at), axis=1)
    count = int(old.sum())
    if count < LEAST or np.ptp(at[old] % DAY) < DAY / 4:
        return Usual(expected, scale)
    cut = CUT * scale[:, None]
    tame = np.clip(history, middle[:, None] - cut, middle[:, None] + cut)
    past = _season(at[old])
    weights = np.linalg.solve(past.T @ past + _RIDGE, past.T @ tame.T)
    left = history - (past @ weights).T
    offset, rest = robust(left)
    rest *= np.sqrt(count / (count - 3))
    seasonal = rest < GAIN * scale
    wave = (_season(at) @ weights).T + offset[:, None]
    return Usual(np.where(seasonal[:, None], wave, expected), np.where(seasonal, rest, scale))


def _season(at: Any) -> Any:
    """Columns: always, the day's wave, the weekend (1 January 1970 was a Thursday)."""
    turn = 2 * np.pi * at / DAY
    weekend = ((at // DAY + 4) % 7 >= 5).astype(float)
    return np.stack([np.ones_like(at), np.cos(turn), np.sin(turn), weekend], axis=1)


def robust(history: Any) -> tuple[Any, Any]:
    """(median, scale) of each row: the larger of 1.4826 MAD and the 5-95 % range over 3.29."""
    middle = np.median(history, axis=1)
    low, high = np.quantile(history, (0.05, 0.95), axis=1)
    mad = 1.4826 * np.median(np.abs(history - middle[:, None]), axis=1)
    return middle, np.maximum(mad, (high - low) / 3.29)
