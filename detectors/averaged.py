"""Dependent rows, averaged until they are nearly independent: what classical detectors need to keep their word."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from detectors.base import Detector, Finding, Learned


class Averaged(Detector):
    """A detector fed with means over as many rows as the design effect says carry one row's worth of news.

    Independent rows go one by one. Values are scaled by the reference (mean 0, standard deviation 1 of those means).
    """

    reads = "values"

    def __init__(self, learned: Learned, arl: float = 1e6):
        values = learned.values[np.isfinite(learned.values)]
        deff = float(learned.deff.max()) if len(learned.deff) else 1.0
        self.stride = int(min(max(round(deff), 1), 2_000))
        self.mean = float(values.mean()) if len(values) else 0.0
        # A mean over `stride` rows that are worth stride / deff rows.
        spread = float(values.std()) * math.sqrt(min(deff / self.stride, 1.0)) if len(values) else 1.0
        self.spread = max(spread, 1e-12)
        super().__init__(learned, arl)

    def reset(self) -> None:
        self.rows = 0
        self.pending = 0.0
        self.held = 0
        self.restart()

    @abstractmethod
    def restart(self) -> None:
        """Make the inner detector anew."""

    @abstractmethod
    def take(self, value: float) -> Finding | None:
        """One (averaged) value in the signal's own units."""

    def update(self, data: np.ndarray) -> Finding | None:
        found = None
        for value in data.tolist():
            if value != value or value in (float("inf"), float("-inf")):
                continue
            self.rows += 1
            self.pending += value
            self.held += 1
            if self.held < self.stride:
                continue
            mean, self.pending, self.held = self.pending / self.held, 0.0, 0
            found = self.take(mean) or found
        return found

    def snapshot(self) -> dict[str, Any]:
        return {"rows": self.rows, "pending": self.pending, "held": self.held, **self.inner()}

    @abstractmethod
    def inner(self) -> dict[str, Any]:
        """The inner detector's state."""

    def restore(self, state: dict[str, Any]) -> None:
        self.rows, self.pending, self.held = state["rows"], state["pending"], state["held"]
