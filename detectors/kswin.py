"""KSWIN, Kolmogorov and Smirnov's test on a sliding window, from River."""

from __future__ import annotations

from typing import Any

from detectors.averaged import Averaged
from detectors.base import Finding
from detectors.frozen import freeze, thaw
from detectors.river_drift import river_drift


class Kswin(Averaged):
    """Compares the last 30 values with a sample of the 270 before. Slow (3,000 values a second): off by default.

    Its sample is drawn with a fixed seed, so equal input gives equal output. Source: Raab, Heusinger and Schleif
    (2020), "Reactive soft prototype computing for concept drift streams".

    >>> import numpy as np
    >>> from detectors.base import Learned
    >>> values = np.sin(np.arange(300.0))
    >>> detector = Kswin(Learned(counts=np.zeros(0), values=values, deff=np.ones(1), worth=300.0))
    >>> detector.update(values), detector.update(values[:60] + 3).direction
    (None, 'up')
    """

    name = "kswin"

    def restart(self) -> None:
        self.kswin = river_drift().KSWIN(alpha=1e-6, window_size=300, stat_size=30, seed=1)
        self.recent: list[float] = []

    def take(self, value: float) -> Finding | None:
        self.kswin.update(float(value))
        self.recent = [*self.recent, float(value)][-30:]
        if not self.kswin.drift_detected:
            return None
        rise = sum(self.recent) / len(self.recent) - self.mean
        self.restart()
        return Finding(statistic=1.0, threshold=1.0, effect=abs(rise), direction="up" if rise > 0 else "down",
                       onset=max(self.rows - 30 * self.stride, 0))  # fmt: skip

    def inner(self) -> dict[str, Any]:
        for name in ("p_value", "n"):  # scipy left numpy scalars there, which no thawing makes
            if hasattr(self.kswin, name):
                setattr(self.kswin, name, float(getattr(self.kswin, name)))
        return {"kswin": freeze(self.kswin), "recent": list(self.recent)}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.kswin, self.recent = thaw(state["kswin"]), list(state["recent"])
