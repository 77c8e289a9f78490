"""How good forecasts are: pinball loss, coverage, average precision."""

from __future__ import annotations

import numpy as np

from detectors.forecast.panel import QUANTILES

_Q = np.array(QUANTILES)


def pinball(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """(N,) mean pinball loss of quantiles (N, HORIZON, quantiles) over the hours and the quantiles."""
    error = actual[:, :, None] - predicted
    return np.maximum(_Q * error, (_Q - 1) * error).mean(axis=(1, 2))


def macro(loss: np.ndarray, segments: np.ndarray, series: np.ndarray) -> float:
    """Mean over segments of the mean over their series of the mean loss: no long series outvotes the rest."""
    each = {s: loss[series == s].mean() for s in np.unique(series)}
    groups = {}
    for s, value in each.items():
        groups.setdefault(segments[s], []).append(value)
    return float(np.mean([np.mean(values) for values in groups.values()]))


def covered(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Share of hours inside the outer quantiles (nominal .90)."""
    return float(((actual >= predicted[:, :, 0]) & (actual <= predicted[:, :, -1])).mean())


def average_precision(chance: np.ndarray, happened: np.ndarray) -> float:
    """Mean precision at each hit, in falling order of chance, ties shared; NaN when nothing happened.

    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    if not happened.any():
        return float("nan")
    order = np.argsort(-chance, kind="stable")
    ranked, said = happened[order].astype(float), chance[order]
    last = np.append(said[1:] != said[:-1], True)
    hits, shown = np.cumsum(ranked)[last], np.flatnonzero(last) + 1.0
    gained = np.diff(hits, prepend=0.0)
    return float((gained * hits / shown).sum() / ranked.sum())
