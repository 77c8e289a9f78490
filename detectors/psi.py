"""Population stability index, corrected for its bias."""

from __future__ import annotations

import numpy as np

from core.statistics import psi
from detectors.windowed import WindowRule, held_bins


class Psi(WindowRule):
    """Fires on a corrected PSI of 0.2 or more that chance does not explain.

    Under no change PSI times the effective rows is about chi-squared with (bins - 1) degrees of freedom. Source:
    Yurdakul and Naranjo (2020), "Statistical properties of the population stability index".

    >>> from detectors.base import Learned
    >>> rule = Psi(Learned(counts=np.full(10, 500.0), values=np.zeros(0), deff=np.ones(9), worth=5000.0))
    >>> rule.update(np.full(10, 50.0)) is None
    True
    >>> rule.update(np.array([10.0] * 5 + [90.0] * 5)).effect > 0.2
    True
    """

    name = "psi"
    least_effect = 0.2

    def judge(self, counts: np.ndarray, worth: float, chance: float) -> tuple[float, float]:
        from scipy.stats import chi2

        bins = held_bins(self.counts, counts)
        raw = psi(self.counts.tolist(), counts.tolist())
        return raw, max(0.2, float(chi2.isf(chance, max(bins - 1, 1))) / worth)
