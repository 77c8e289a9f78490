"""Window rules: a distance of binned counts from the reference, tested once enough independent rows have come."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from core.statistics import corrected_psi
from detectors.base import BLOCK, Detector, Finding, Learned

LEAST_ROWS = 200
LEAST_WORTH = 50.0
"""Below this many effective rows the tests' approximations do not hold: the rule stays silent and waits for more."""


class WindowRule(Detector):
    """Counts are gathered into tumbling windows of at least 200 rows worth 50 independent ones, then tested once.

    The chance of a false firing per window is its share of blocks over the ARL; a firing must also show a corrected
    PSI of 0.05. Expected counts carry the reference's own uncertainty: the window is worth n m / (n + m) rows.
    """

    reads = "counts"
    least_effect = 0.05

    def __init__(self, learned: Learned, arl: float = 1e6):
        self.counts = np.asarray(learned.counts, dtype=np.float64)
        super().__init__(learned, arl)

    def reset(self) -> None:
        self.held = np.zeros(len(self.counts))
        self.rows = 0

    def update(self, data: np.ndarray) -> Finding | None:
        self.held = self.held + data
        self.rows += int(data.sum())
        n = float(self.held.sum())
        if n < LEAST_ROWS or n / self.learned.deff_of(n) < LEAST_WORTH:
            return None
        counts, self.held = self.held, np.zeros(len(self.counts))
        deff = self.learned.deff_of(n)
        worth = n / deff * self.learned.worth / (n / deff + self.learned.worth)
        effect = corrected_psi(self.counts.tolist(), counts.tolist(), deff)
        statistic, threshold = self.judge(counts, worth, min(n / BLOCK / self.arl, 0.01))
        if statistic < threshold or effect < self.least_effect:
            return None
        return Finding(statistic=float(statistic), threshold=float(threshold), effect=effect, direction="both",
                       onset=self.rows - int(n))  # fmt: skip

    @abstractmethod
    def judge(self, counts: np.ndarray, worth: float, chance: float) -> tuple[float, float]:
        """(statistic, threshold) of a window worth `worth` independent rows, at this chance of a false firing."""

    def snapshot(self) -> dict[str, Any]:
        return {"held": self.held.tolist(), "rows": self.rows}

    def restore(self, state: dict[str, Any]) -> None:
        self.held, self.rows = np.array(state["held"]), state["rows"]


def held_bins(reference: np.ndarray, counts: np.ndarray) -> int:
    """Bins that hold anything."""
    return int(((reference > 0) | (counts > 0)).sum())
