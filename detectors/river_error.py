"""River's detectors of 0/1 error streams, which differ in their arithmetic alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from detectors.averaged import Averaged
from detectors.base import Finding
from detectors.frozen import freeze, thaw


class RiverError(Averaged):
    """Rows are 1 where they are above the middle of the reference's range, else 0; dependent rows are averaged first.

    These detectors have a false-alarm rate of their own (4 to 17 in 10,000 rows), which `arl` does not change.
    """

    @abstractmethod
    def make(self) -> Any:
        """River's detector, fresh."""

    def restart(self) -> None:
        self.inner_detector = self.make()
        self.seen = 0
        self.total = 0.0

    def take(self, value: float) -> Finding | None:
        self.inner_detector.update(value > 0.5)
        self.seen += 1
        self.total += value
        if not self.inner_detector.drift_detected:
            return None
        finding = Finding(statistic=1.0, threshold=1.0, effect=self.total / self.seen - self.mean, direction="up",
                          onset=max(self.rows - 100 * self.stride, 0))  # fmt: skip
        self.restart()
        return finding if finding.effect > 0 else None

    def inner(self) -> dict[str, Any]:
        return {"inner": freeze(self.inner_detector), "seen": self.seen, "total": self.total}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.inner_detector = thaw(state["inner"])
        self.seen, self.total = state["seen"], state["total"]
