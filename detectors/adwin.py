"""ADWIN, adaptive windowing, from River."""

from __future__ import annotations

from typing import Any

from detectors.averaged import Averaged
from detectors.base import Finding, Learned
from detectors.frozen import freeze, thaw


class Adwin(Averaged):
    """River's ADWIN on errors, scores, confidence, latency: fires when two parts of its window differ.

    Only a change that moves the mean away from the reference's is told; coming back is recovery. The confidence `delta`
    follows from the mean time between false alarms (at most River's 0.002). Source: Bifet and Gavalda (2007), "Learning
    from time-changing data with adaptive windowing".

    >>> import numpy as np
    >>> still = Learned(counts=np.zeros(0), values=np.tile([0.0, 1.0], 500), deff=np.ones(1), worth=1000.0)
    >>> detector = Adwin(still)
    >>> detector.update(np.tile([0.0, 1.0], 500)) is None
    True
    >>> detector.update(np.ones(200)).direction
    'up'
    """

    name = "adwin"
    families = ("error", "score", "confidence", "latency")

    def __init__(self, learned: Learned, arl: float = 1e6):
        self.delta = float(min(0.002, 25.0 / arl))
        super().__init__(learned, arl)

    def restart(self) -> None:
        from river.drift import ADWIN

        self.adwin = ADWIN(delta=self.delta, clock=8, grace_period=10, min_window_length=5)
        self.before = self.mean

    def take(self, value: float) -> Finding | None:
        # ADWIN's bound is for numbers of about unit size.
        scaled = min(max((value - self.mean) / self.spread, -50.0), 50.0)
        before, width = self.adwin.estimation, self.adwin.width
        self.adwin.update(scaled)
        if not self.adwin.drift_detected or width < 10:
            return None
        now = self.adwin.estimation
        if abs(now) <= abs(before):
            return None
        kept = int(self.adwin.width)
        return Finding(
            statistic=abs(now - before), threshold=self.delta, effect=now * self.spread,
            direction="up" if now > before else "down", onset=max(self.rows - kept * self.stride, 0),
        )  # fmt: skip

    def inner(self) -> dict[str, Any]:
        return {"adwin": freeze(self.adwin)}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.adwin = thaw(state["adwin"])
