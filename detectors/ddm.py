"""The drift detection method, from River."""

from __future__ import annotations

from typing import Any

from detectors.river_drift import river_drift
from detectors.river_error import RiverError


class Ddm(RiverError):
    """Fires when the error rate exceeds its least value by three standard deviations. Off by default: noisy.

    Source: Gama, Medas, Castillo and Rodrigues (2004), "Learning with drift detection".

    >>> import numpy as np
    >>> from detectors.base import Learned
    >>> still = Learned(counts=np.zeros(0), values=np.repeat([0.0, 1.0], [900, 100]), deff=np.ones(1), worth=1000.0)
    >>> detector = Ddm(still)
    >>> rare = np.tile(np.repeat([0.0, 1.0], [9, 1]), 50)
    >>> detector.update(rare), detector.update(np.ones(200)).direction
    (None, 'up')
    """

    name = "ddm"

    def make(self) -> Any:
        return river_drift().binary.DDM()
