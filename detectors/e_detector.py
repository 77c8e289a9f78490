"""The e-detector on binned counts: calibrated PSI with an anytime guarantee."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from core.statistics import corrected_psi
from detectors.base import Detector, Finding, Learned

LEVELS = 9
MIN_EFFECT = 0.05


class EDetector(Detector):
    """Dyadic windows of 25 to 6,400 rows weighed against the reference; fires when their evidence sums to the ARL.

    A window's evidence is the Bayes factor of "some other distribution" over the reference's posterior predictive
    (`evidence.log_evidence`), its counts divided by the design effect of its length. The sum over windows is part of a
    Shiryaev-Roberts sum, so the mean time between false alarms is at least `arl` blocks. A firing must also show a
    corrected PSI of 0.05. The Monitor runs the same arithmetic for all columns at once in `kernel.advance`; this class
    is one signal of it. Sources: Shin, Ramdas and Rinaldo (2023), "E-detectors"; Yurdakul and Naranjo (2020) for PSI.

    >>> still = Learned(counts=np.full(10, 500.0), values=np.zeros(0), deff=np.ones(9), worth=5000.0)
    >>> detector = EDetector(still)
    >>> any(detector.update(np.array([3., 3, 3, 3, 3, 2, 2, 2, 2, 2])) for _ in range(200))
    False
    >>> found = [detector.update(np.array([0., 0, 0, 0, 0, 0, 0, 0, 5, 20])) for _ in range(4)]
    >>> next(f.onset for f in found if f)
    5000
    """

    name = "e_detector"
    reads = "counts"
    families = ("feature", "score", "confidence", "latency")

    def __init__(self, learned: Learned, arl: float = 1e6):
        counts = np.asarray(learned.counts, dtype=np.float64)
        self.counts = counts
        self.share = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
        super().__init__(learned, arl)

    def reset(self) -> None:
        self.blocks = np.zeros((1 << (LEVELS - 1), len(self.counts)))
        self.sums = np.zeros((LEVELS, len(self.counts)))
        self.logs = [-math.inf] * LEVELS
        self.seen = 0
        self.rows = 0

    def update(self, data: np.ndarray) -> Finding | None:
        from detectors.evidence import log_evidence

        ring = len(self.blocks)
        for k in range(LEVELS):
            if self.seen >= 1 << k:
                self.sums[k] -= self.blocks[(self.seen - (1 << k)) % ring]
            self.sums[k] += data
        self.blocks[self.seen % ring] = data
        self.seen += 1
        self.rows += int(data.sum())
        total = 0.0
        for k in range(LEVELS):
            length = 1 << k
            if self.seen < length:
                break
            if self.seen % max(length >> 2, 1) == 0:
                rows = float(self.sums[k].sum())
                scale = 1.0 / self.learned.deff_of(rows)
                self.logs[k] = log_evidence(
                    self.sums[k], self.share, 0, len(self.share), rows, scale, self.learned.worth
                )
            total += math.exp(min(self.logs[k], 600.0))
        return self._fired(total) if total >= self.arl else None

    def _fired(self, total: float) -> Finding | None:
        best = max(range(LEVELS), key=self.logs.__getitem__)
        rows = float(self.sums[best].sum())
        effect = corrected_psi(self.counts.tolist(), self.sums[best].tolist(), self.learned.deff_of(rows))
        if effect < MIN_EFFECT:
            return None
        onset = self.rows - int(rows)
        finding = Finding(
            statistic=math.log10(total), threshold=math.log10(self.arl), effect=effect, direction="both", onset=onset
        )
        self.reset()
        return finding

    def snapshot(self) -> dict[str, Any]:
        kept = self.blocks[: min(self.seen, len(self.blocks))]
        return {
            "blocks": kept.tolist(),
            "sums": self.sums.tolist(),
            "logs": list(self.logs),
            "seen": self.seen,
            "rows": self.rows,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.reset()
        if state["blocks"]:
            self.blocks[: len(state["blocks"])] = np.array(state["blocks"])
        self.sums = np.array(state["sums"])
        self.logs, self.seen, self.rows = list(state["logs"]), state["seen"], state["rows"]
