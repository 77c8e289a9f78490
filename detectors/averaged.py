"""Dependent rows, averaged until they are nearly independent: what classical detectors need to keep their word."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from detectors.base import Detector, Finding, Learned


class Averaged(Detector):
    """A detector fed with means over as many rows as the design effect says carry one row's worth of news.

    Independent rows go one by one, or `least` at a
    time. Values are scaled by the reference (mean 0, standard deviation 1 of those means).
    """

    reads = "values"

    def __init__(self, learned: Learned, arl: float = 1e6):
        values = learned.values[np.isfinite(learned.values)]
        deff = float(learned.deff.max()) if len(learned.deff) else 1.0
        self.stride = int(min(max(round(deff), learned.least), 2_000))
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
        values = data[np.isfinite(data)]
        first = self.rows - self.held
        means = values.tolist() if self.stride == 1 else self._means(values)
        end, found = self.rows + len(values), None
        for n, mean in enumerate(means, 1):
            self.rows = first + n * self.stride
            found = self.take(mean) or found
        self.rows = end
        return found

    def _means(self, values: np.ndarray) -> list[float]:
        """Means of every full run of `stride` values; what is left over waits."""
        need = self.stride - self.held
        if len(values) < need:
            self.pending += float(values.sum())
            self.held += len(values)
            return []
        count = (len(values) - need) // self.stride
        full = values[need : need + count * self.stride].reshape(count, self.stride).mean(axis=1)
        first = (self.pending + float(values[:need].sum())) / self.stride
        rest = values[need + count * self.stride :]
        self.pending, self.held = float(rest.sum()), len(rest)
        return [first, *full.tolist()]

    def snapshot(self) -> dict[str, Any]:
        return {"rows": self.rows, "pending": self.pending, "held": self.held, **self.inner()}

    @abstractmethod
    def inner(self) -> dict[str, Any]:
        """The inner detector's state."""

    def restore(self, state: dict[str, Any]) -> None:
        self.rows, self.pending, self.held = state["rows"], state["pending"], state["held"]
