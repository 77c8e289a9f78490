"""The early drift detection method, from River."""

from __future__ import annotations

from typing import Any

from detectors.river_drift import river_drift
from detectors.river_error import RiverError


class Eddm(RiverError):
    """Fires when errors come closer together than they used to. Off by default: noisy.

    Source: Baena-Garcia and others (2006), "Early drift detection method".

    >>> import numpy as np
    >>> from detectors.base import Learned
    >>> still = Learned(counts=np.zeros(0), values=np.repeat([0.0, 1.0], [900, 100]), deff=np.ones(1), worth=1000.0)
    >>> detector = Eddm(still)
    >>> rare = np.tile(np.repeat([0.0, 1.0], [9, 1]), 50)
    >>> detector.update(rare), detector.update(np.ones(200)).direction
    (None, 'up')
    """

    name = "eddm"

    def make(self) -> Any:
        return river_drift().binary.EDDM(alpha=0.9, beta=0.8)
