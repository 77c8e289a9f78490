"""Kolmogorov and Smirnov's test on binned counts."""

from __future__ import annotations

import numpy as np

from detectors.distances import kolmogorov_smirnov
from detectors.windowed import WindowRule


class Ks(WindowRule):
    """Fires when the largest difference of the cumulated shares is beyond chance.

    On bins the test is conservative: the largest difference inside a bin is not seen. Source: Kolmogorov (1933); the
    limit law is scipy's `kstwobign`.

    >>> from detectors.base import Learned
    >>> rule = Ks(Learned(counts=np.full(12, 500.0), values=np.zeros(0), deff=np.ones(9), worth=5000.0))
    >>> rule.update(np.full(12, 40.0)) is None
    True
    >>> rule.update(np.array([10.0] * 6 + [90.0] * 6)).statistic > 0.3
    True
    """

    name = "ks"

    def judge(self, counts: np.ndarray, worth: float, chance: float) -> tuple[float, float]:
        from scipy.stats import kstwobign

        return kolmogorov_smirnov(self.counts, counts), float(kstwobign.isf(chance)) / np.sqrt(worth)
