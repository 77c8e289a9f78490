"""The one-sided e-detector for a rate: errors, failures, duplicates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.base import BLOCK, Detector, Finding, Learned

ODDS = (1.3, 1.6, 2.0, 3.0, 5.0, 10.0)


def highest(rate: float, rows: float) -> float:
    """Upper 93 % confidence limit of a rate seen in so many independent rows. Source: Wilson (1927)."""
    z = 1.5
    return (rows * rate + z * z / 2 + z * math.sqrt(rows * rate * (1 - rate) + z * z / 4)) / (rows + z * z)


class ErrorEDetector(Detector):
    """Shiryaev-Roberts sums over a grid of odds against the upper confidence bound of the reference's rate.

    Fires when their mean reaches the mean time between false alarms, here in rows. Dependent rows are weighed down by
    the design effect: each likelihood ratio is raised to one over it, the bound widens with it. Constant memory. Odds
    that climb along the way (Herbster and Warmuth's fixed share) were tried for slow changes and gained nothing: a sum
    over all starts already holds, for every part of a ramp, odds and a start that fit it.
    Sources: Shin, Ramdas and Rinaldo (2023), "E-detectors"; Pollak (1985) for the Shiryaev-Roberts sum.

    >>> still = Learned(counts=np.zeros(0), values=np.repeat([0.0, 1.0], [900, 100]), deff=np.ones(1), worth=1000.0)
    >>> detector = ErrorEDetector(still)
    >>> detector.update(np.zeros(500)) is None
    True
    >>> detector.update(np.ones(40)).direction
    'up'
    """

    name = "e_detector_error"
    reads = "values"
    families = ("error",)

    def __init__(self, learned: Learned, arl: float = 1e6):
        values = learned.values[np.isfinite(learned.values)]
        self.rate = float(values.mean()) if len(values) else 0.5
        self.deff = float(max(learned.deff.max(), 1.0)) if len(learned.deff) else 1.0
        self.bound = min(highest(self.rate, max(learned.worth, 1.0)), 0.98)
        odds = self.bound / (1 - self.bound)
        rates = [o * odds / (1 + o * odds) for o in ODDS]
        self.hit = [math.log(q / self.bound) / self.deff for q in rates]
        self.miss = [math.log((1 - q) / (1 - self.bound)) / self.deff for q in rates]
        super().__init__(learned, arl)

    def reset(self) -> None:
        self.rows = 0
        self.hits = 0.0
        self.sums = [0.0] * len(ODDS)
        self.walk = [0.0] * len(ODDS)
        self.start = [0] * len(ODDS)
        self.before = [0.0] * len(ODDS)
        """Errors seen when the walk of these odds began."""

    def update(self, data: np.ndarray) -> Finding | None:
        # The mean time between false alarms is counted in independent rows.
        limit = self.arl * min(self.deff, BLOCK)
        sums, walk, start, before = self.sums, self.walk, self.start, self.before
        for value in data.tolist():
            if value != value:
                continue
            steps = self.hit if value > 0.5 else self.miss
            total = 0.0
            for j, step in enumerate(steps):
                if walk[j] <= 0.0:
                    walk[j], start[j], before[j] = 0.0, self.rows, self.hits
                walk[j] += step
                sums[j] = min((1.0 + sums[j]) * math.exp(step), 1e300)
                total += sums[j]
            self.rows += 1
            self.hits += value > 0.5
            if total >= limit * len(sums):
                return self._fired(total / len(sums), limit)
        return None

    def _fired(self, total: float, limit: float) -> Finding:
        best = max(range(len(self.sums)), key=self.sums.__getitem__)
        onset = self.start[best]
        # The walk of the winning odds began at the change; the share of errors since then is the rate now.
        now = (self.hits - self.before[best]) / max(self.rows - onset, 1)
        odds = ODDS[best] * self.bound / (1 - self.bound)
        finding = Finding(
            statistic=math.log10(total), threshold=math.log10(limit), effect=now - self.rate,
            least=min(odds / (1 + odds), now) - self.rate, direction="up", onset=onset,
        )  # fmt: skip
        self.reset()
        return finding

    def snapshot(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "hits": self.hits,
            "sums": self.sums[:],
            "walk": self.walk[:],
            "start": self.start[:],
            "before": self.before[:],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.rows, self.hits = state["rows"], state["hits"]
        self.sums, self.walk, self.start = list(state["sums"]), list(state["walk"]), list(state["start"])
        self.before = list(state.get("before", self.before))
