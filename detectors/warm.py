"""Compile the kernels before the first event needs them: some ten seconds on a new machine, a fraction of one later."""

from __future__ import annotations

import random

from core.events import InferenceServed
from detectors.monitor import Monitor

ROWS = 1_200


def warm() -> None:
    """Let a small made-up model learn its baseline, serve, shift, and change its version: every kernel has then run."""
    monitor = Monitor({"baseline_rows": 400})
    dice = random.Random(0)
    events = [
        InferenceServed(
            id=str(n), at=float(n), version="1" if n < 800 else "2", score=dice.random(), latency_ms=dice.random(),
            features={"a": dice.gauss(5.0 * (n >= 800), 1), "b": dice.gauss(0, 1), "c": dice.choice("xyz")},
        )
        for n in range(ROWS)
    ]  # fmt: skip
    monitor.on_inference("warm", "warm", events)
    monitor.on_tick(float(ROWS))
    monitor.restore_pieces(monitor.pieces())
