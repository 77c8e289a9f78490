"""The drift detection method by Hoeffding's bound, from River."""

from __future__ import annotations

from typing import Any

from detectors.river_drift import river_drift
from detectors.river_error import RiverError


class Hddm(RiverError):
    """Fires when the mean error moved by more than Hoeffding's bound allows. Off by default.

    Source: Frias-Blanco and others (2015), "Online and non-parametric drift detection methods".

    >>> import numpy as np
    >>> from detectors.base import Learned
    >>> still = Learned(counts=np.zeros(0), values=np.repeat([0.0, 1.0], [900, 100]), deff=np.ones(1), worth=1000.0)
    >>> detector = Hddm(still)
    >>> rare = np.tile(np.repeat([0.0, 1.0], [9, 1]), 50)
    >>> detector.update(rare), detector.update(np.ones(200)).direction
    (None, 'up')
    """

    name = "hddm"

    def make(self) -> Any:
        return river_drift().binary.HDDMA(drift_confidence=0.0001)
