"""ADWIN, adaptive windowing, from River."""

from __future__ import annotations

from array import array
from typing import Any

from detectors.averaged import Averaged
from detectors.base import Finding, Learned
from detectors.frozen import freeze, thaw
from detectors.river_drift import river_drift

RECENT = 512
"""Values kept to date the change."""


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
        self.delta = float(min(0.002, 20.0 / arl))
        super().__init__(learned, arl)

    def restart(self) -> None:
        self.adwin = river_drift().ADWIN(delta=self.delta, clock=8, grace_period=10, min_window_length=5)
        self.recent = array("d")

    def take(self, value: float) -> Finding | None:
        # ADWIN's bound is for numbers of about unit size.
        scaled = min(max((value - self.mean) / self.spread, -50.0), 50.0)
        width = self.adwin.width
        before = self.adwin.total / width if width else 0.0
        self.recent.append(scaled)
        del self.recent[:-RECENT]
        self.adwin.update(scaled)
        if not self.adwin.drift_detected or width < 10:
            return None
        now = self.adwin.estimation
        if abs(now) <= abs(before):
            return None
        return Finding(
            statistic=abs(now - before), threshold=self.delta, effect=now * self.spread,
            direction="up" if now > before else "down", onset=max(self.rows - self._since(now) * self.stride, 0),
        )  # fmt: skip

    def _since(self, now: float) -> int:
        """How many of the last values belong to the change: the tail that lies most on the new side of the middle."""
        away = [(x - now / 2) * (1 if now > 0 else -1) for x in self.recent]
        best, total, chosen = -float("inf"), 0.0, 1
        for back, step in enumerate(reversed(away), 1):
            total += step
            if total > best:
                best, chosen = total, back
        return chosen

    def inner(self) -> dict[str, Any]:
        return {"adwin": freeze(self.adwin), "recent": self.recent.tobytes()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.adwin, self.recent = thaw(state["adwin"]), array("d", state["recent"])
