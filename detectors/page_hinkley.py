"""Page and Hinkley's test: a cumulative sum with a drift allowance, both ways."""

from __future__ import annotations

import math
from typing import Any

from detectors.averaged import Averaged
from detectors.base import Finding, Learned


class PageHinkley(Averaged):
    """Fires when the sum of deviations from the reference's mean, less an allowance, rises too far above its least.

    Deviations are in the reference's standard deviations, the allowance is a quarter of one; the threshold follows from
    the mean time between false alarms for Gaussian values (Siegmund's approximation). Off by default: values that are
    not Gaussian make it noisy. Sources: Page (1954), "Continuous inspection schemes"; Siegmund (1985).

    >>> import numpy as np
    >>> values = np.sin(np.arange(1000.0))
    >>> detector = PageHinkley(Learned(counts=np.zeros(0), values=values, deff=np.ones(1), worth=1000.0))
    >>> detector.update(values), detector.update(values[:100] + 2).direction
    (None, 'up')
    """

    name = "page_hinkley"
    allowance = 0.25

    def __init__(self, learned: Learned, arl: float = 1e6):
        # ARL of a one-sided sum at height h with drift -d is about exp(2 d h) / (2 d^2); two sides, 25 values a block.
        d = self.allowance
        self.height = math.log(2 * arl * 25 * 2 * d * d) / (2 * d)
        super().__init__(learned, arl)

    def restart(self) -> None:
        self.up = self.down = 0.0
        self.up_start = self.down_start = 0

    def take(self, value: float) -> Finding | None:
        z = min(max((value - self.mean) / self.spread, -10.0), 10.0)
        if self.up <= 0:
            self.up_start = self.rows
        if self.down <= 0:
            self.down_start = self.rows
        self.up = max(self.up + z - self.allowance, 0.0)
        self.down = max(self.down - z - self.allowance, 0.0)
        highest = max(self.up, self.down)
        if highest < self.height:
            return None
        start = self.up_start if self.up >= self.down else self.down_start
        steps = max((self.rows - start) / self.stride + 1, 1)
        effect = (highest / steps + self.allowance) * self.spread
        finding = Finding(statistic=highest, threshold=self.height, effect=effect,
                          direction="up" if self.up >= self.down else "down", onset=max(start - 1, 0))  # fmt: skip
        self.restart()
        return finding

    def inner(self) -> dict[str, Any]:
        return {"sums": [self.up, self.down], "starts": [self.up_start, self.down_start]}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.up, self.down = state["sums"]
        self.up_start, self.down_start = state["starts"]
