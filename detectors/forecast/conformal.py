"""Rolling conformal calibration (after Xu and Xie 2021): the quantiles of each series are
widened or narrowed by what would have been right over the last weeks, so that they keep their promise under drift."""

from __future__ import annotations

import numpy as np

from detectors.forecast.panel import HORIZON, QUANTILES

DAYS = 28
LEAST_SCORES = 20
"""Known cases of a series before its own errors count; before that, those of all series do."""
MIDDLE = len(QUANTILES) // 2


def calibrated(
    predicted: np.ndarray, series: np.ndarray, hour: np.ndarray, past: np.ndarray, past_series: np.ndarray,
    past_hour: np.ndarray, actual: np.ndarray, learnt: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """`predicted` (N, HORIZON, quantiles) after calibration by forecasts `past` whose `actual` future is known.

    `hour` and `past_hour` are last known hours: of a past case only what was known by `hour` is used, of the last DAYS.
    Distances from the median are scaled, per series and half of the day ahead, by the factor that would have given each
    quantile its nominal share. Where a series has too few of its own, those `learnt` (M,) of all series are used.
    """
    ratio = _ratios(past, actual)  # (M, HORIZON, 2) how far out the truth lay, in outer half-widths
    everyone = _factors(ratio[learnt])
    out = predicted.copy()
    for s in np.unique(series):
        mine = np.flatnonzero(past_series == s)
        at = past_hour[mine]
        for day in np.unique(hour[series == s] // 24):
            now = (series == s) & (hour // 24 == day)
            first = hour[now].min()
            known = mine[(at + HORIZON <= first) & (at >= first - 24 * DAYS)]
            factor = _factors(ratio[known]) if len(known) >= LEAST_SCORES else everyone
            out[now] = _scaled(predicted[now], factor)
    return out


def _ratios(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    middle = predicted[:, :, MIDDLE]
    low = np.maximum(middle - predicted[:, :, 0], 1e-3)
    high = np.maximum(predicted[:, :, -1] - middle, 1e-3)
    return np.stack([(middle - actual) / low, (actual - middle) / high], axis=2)


def _factors(ratio: np.ndarray) -> np.ndarray:
    """(2, 2): for the near and the far half of the horizon, how much to stretch below and above the median."""
    if len(ratio) == 0:
        return np.ones((2, 2))
    level = min(QUANTILES[-1] * (1 + 1 / len(ratio)), 1.0)
    halves = [ratio[:, : HORIZON // 2], ratio[:, HORIZON // 2 :]]
    found = np.array([[np.quantile(half[:, :, side], level) for side in (0, 1)] for half in halves])
    return np.clip(found, 0.3, 4.0)


def _scaled(predicted: np.ndarray, factor: np.ndarray) -> np.ndarray:
    middle = predicted[:, :, MIDDLE : MIDDLE + 1]
    away = predicted - middle
    stretch = np.repeat(factor, HORIZON // 2, axis=0)[None, :, :, None]
    return middle + np.where(away < 0, away * stretch[:, :, 0], away * stretch[:, :, 1])
