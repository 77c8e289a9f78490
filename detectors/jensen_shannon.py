"""Jensen-Shannon distance on binned counts."""

from __future__ import annotations

import numpy as np

from detectors.distances import jensen_shannon
from detectors.windowed import WindowRule, held_bins


class JensenShannon(WindowRule):
    """Fires when the distance (base 2, square root) is at least 0.1 and beyond chance.

    Eight ln(2) times the divergence times the effective rows is about chi-squared with (bins - 1) degrees of freedom.
    Source: Lin (1991), "Divergence measures based on the Shannon entropy".

    >>> from detectors.base import Learned
    >>> rule = JensenShannon(Learned(counts=np.full(10, 500.0), values=np.zeros(0), deff=np.ones(9), worth=5000.0))
    >>> rule.update(np.full(10, 50.0)) is None
    True
    >>> rule.update(np.array([10.0] * 5 + [90.0] * 5)).statistic > 0.1
    True
    """

    name = "jensen_shannon"

    def judge(self, counts: np.ndarray, worth: float, chance: float) -> tuple[float, float]:
        from scipy.stats import chi2

        limit = float(chi2.isf(chance, max(held_bins(self.counts, counts) - 1, 1))) / (8 * np.log(2) * worth)
        return jensen_shannon(self.counts, counts), max(0.1, float(np.sqrt(limit)))
