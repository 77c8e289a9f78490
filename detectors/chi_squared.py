"""Pearson's chi-squared test on binned counts."""

from __future__ import annotations

import numpy as np

from detectors.distances import chi_squared
from detectors.windowed import WindowRule


class ChiSquared(WindowRule):
    """Fires when Pearson's statistic, scaled to effective rows, is beyond chance.

    Bins that expect fewer than five rows are pooled. Sources: Pearson (1900); Cochran (1954) for the pooling; Rao and
    Scott (1984) for dividing by the design effect.

    >>> from detectors.base import Learned
    >>> rule = ChiSquared(Learned(counts=np.full(10, 500.0), values=np.zeros(0), deff=np.ones(9), worth=5000.0))
    >>> rule.update(np.full(10, 50.0)) is None
    True
    >>> rule.update(np.array([10.0] * 5 + [90.0] * 5)).effect > 0.2
    True
    """

    name = "chi_squared"

    def judge(self, counts: np.ndarray, worth: float, chance: float) -> tuple[float, float]:
        from scipy.stats import chi2

        reference, pooled = pool(self.counts, counts, worth)
        scaled = chi_squared(reference, pooled) / pooled.sum() * worth
        return scaled, float(chi2.isf(chance, max(len(pooled) - 1, 1)))


def pool(reference: np.ndarray, counts: np.ndarray, worth: float) -> tuple[np.ndarray, np.ndarray]:
    """Both counts with all bins that expect fewer than five effective rows as one (Cochran 1954)."""
    rare = reference / max(reference.sum(), 1.0) * worth < 5.0
    if not rare.any() or rare.all():
        return reference, counts
    order = np.argsort(reference)
    while (reference[rare].sum() / reference.sum()) * worth < 5.0 and not rare.all():
        rare[next(b for b in order if not rare[b])] = True
    return (np.append(reference[~rare], reference[rare].sum()), np.append(counts[~rare], counts[rare].sum()))
