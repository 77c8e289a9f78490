"""Quality of one signal: nulls, values never seen or of another type, values out of the reference's range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.base import Detector, Finding, Learned

LEVELS = 6
MIN_RISE = 0.05


class Quality(Detector):
    """Fires when the share of nulls or of unseen values rises by 0.05 or more, with evidence of the ARL.

    Reads counts whose last two bins are null and unseen. Beta-binomial evidence over dyadic windows of 25 to 800 rows
    (`evidence.log_evidence_rate`), counts divided by the design effect. The Monitor runs the same arithmetic for all
    columns at once, out-of-range values included. Source: Shin, Ramdas and Rinaldo (2023), "E-detectors".

    >>> still = Learned(counts=np.array([500.0, 500.0, 0.0, 0.0]), values=np.zeros(0), deff=np.ones(9), worth=1000.0)
    >>> detector = Quality(still)
    >>> detector.update(np.array([12.0, 13.0, 0.0, 0.0])) is None
    True
    >>> found = [detector.update(np.array([5.0, 5.0, 15.0, 0.0])) for _ in range(4)]
    >>> any(found)
    True
    """

    name = "quality"
    reads = "counts"
    families = ("quality",)

    def __init__(self, learned: Learned, arl: float = 1e6):
        counts = np.asarray(learned.counts, dtype=np.float64)
        self.usual = [float(max(counts[b], 1.0) / max(counts.sum(), 2.0)) for b in (-2, -1)]
        super().__init__(learned, arl)

    def reset(self) -> None:
        self.recent: list[list[float]] = []
        self.rows = 0

    def update(self, data: np.ndarray) -> Finding | None:
        from detectors.evidence import log_evidence_rate

        n = float(data.sum())
        self.rows += int(n)
        self.recent = [*self.recent, [float(data[-2]), float(data[-1]), n]][-(1 << (LEVELS - 1)) :]
        total, best = 0.0, (-math.inf, 0.0, 0.0)
        for k in range(LEVELS):
            window = self.recent[-(1 << k) :]
            if len(window) < 1 << k:
                break
            rows = sum(w[2] for w in window)
            for kind in range(2):
                hits, usual = sum(w[kind] for w in window), self.usual[kind]
                if not rows or not hits:
                    continue
                scale = 1.0 / self.learned.deff_of(rows)
                log_e = log_evidence_rate(hits, rows, min(usual, 0.999), scale, self.learned.worth)
                total += math.exp(min(log_e, 600.0)) / 2
                best = max(best, (log_e, hits / rows - usual, rows))
        if total < self.arl or best[1] < MIN_RISE:
            return None
        finding = Finding(statistic=math.log10(total), threshold=math.log10(self.arl), effect=best[1], direction="up",
                          onset=self.rows - int(best[2]))  # fmt: skip
        self.reset()
        return finding

    def snapshot(self) -> dict[str, Any]:
        return {"recent": [list(r) for r in self.recent], "rows": self.rows}

    def restore(self, state: dict[str, Any]) -> None:
        self.recent, self.rows = [list(r) for r in state["recent"]], state["rows"]
