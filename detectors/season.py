"""The reference by hour of day and day type, shrunk toward the whole; used where it predicts days it has not seen."""

from __future__ import annotations

import numpy as np

CELLS = 48
LEAST_DAYS = 1.99
STRENGTHS = (0.02, 0.1, 0.5, 2.0, 10.0)
"""Shrinkage toward the whole, as a multiple of the rows an average cell holds."""


def _tables(codes: np.ndarray, cells: np.ndarray, chosen: np.ndarray, bins: int) -> np.ndarray:
    flat = np.bincount(cells[chosen].astype(np.int64) * bins + codes[chosen], minlength=CELLS * bins)
    return flat.reshape(CELLS, bins).astype(np.float64)


def shrunk(table: np.ndarray, toward: np.ndarray, strength: float) -> np.ndarray:
    """Shares per cell: its own counts and `strength` pseudo-rows of `toward` ([bins] or [cells, bins])."""
    return (table + strength * toward) / (table.sum(axis=1, keepdims=True) + strength)


def shares(table: np.ndarray, hour_strength: float, day_strength: float) -> np.ndarray:
    """[48, bins] from counts per cell: whole -> hour of day -> day type."""
    whole = (table.sum(axis=0) + 0.5) / (table.sum() + 0.5 * table.shape[1])
    hours = table[:24] + table[24:]
    by_hour = shrunk(hours, whole, hour_strength) if np.isfinite(hour_strength) else np.tile(whole, (24, 1))
    twice = np.vstack([by_hour, by_hour])
    return shrunk(table, twice, day_strength) if np.isfinite(day_strength) else twice


def _gain(train: np.ndarray, test: np.ndarray, hour: float, day: float) -> float:
    return float((test * np.log(np.maximum(shares(train, hour, day), 1e-12))).sum())


def learn(
    codes: np.ndarray, cells: np.ndarray, at: np.ndarray, bins: int, design: float
) -> tuple[np.ndarray, float] | None:
    """(shares per cell [48, bins], nats a row that knowing the hour is worth), or None where hours do not help.

    Two-fold cross-validation over alternate days; the gain in log likelihood, counted in effective rows (divided by
    `design`, the design effect of one block), must be at least 10 nats. Needs two days of reference.
    """
    if not len(at) or not np.isfinite(at).all() or at[-1] - at[0] < LEAST_DAYS * 86400:
        return None
    odd = (at // 86400).astype(np.int64) % 2 == 1
    first, second = (_tables(codes, cells, chosen, bins) for chosen in (odd, ~odd))
    if not first.sum() or not second.sum():
        return None
    unit = (first.sum() + second.sum()) / 48

    def score(hour: float, day: float) -> float:
        return _gain(first, second, hour, day) + _gain(second, first, hour, day)

    none = score(np.inf, np.inf)
    best, strength = max((score(s * unit, np.inf), s * unit) for s in STRENGTHS)
    if (best - none) / design < 10.0:
        return None
    day = np.inf
    if at[-1] - at[0] >= 14 * 86400:
        with_day, candidate = max((score(strength, s * unit), s * unit) for s in STRENGTHS)
        if (with_day - best) / design >= 10.0:
            day = candidate
    return shares(first + second, strength, day), (best - none) / len(codes)
