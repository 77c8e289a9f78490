"""Whatever producers send, of whatever type, in whatever mixture: nothing breaks, and a restart changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.events import InferenceServed, LabelArrived
from detectors.monitor import Monitor
from tests.detectors.streams import START, as_json

Make = Callable[[np.random.Generator], Any]
VALUES: list[Make] = [
    lambda rng: float(rng.normal()), lambda rng: int(rng.integers(-5, 5)), lambda rng: 2**62 + int(rng.integers(9)),
    lambda rng: 10**25, lambda rng: -(10**400), lambda rng: float("nan"), lambda rng: float("inf"), lambda rng: None,
    lambda rng: True, lambda rng: "true", lambda rng: "", lambda rng: "x" * 500, lambda rng: "1.5",
    lambda rng: f"u{rng.integers(10**6)}", lambda rng: f"k{rng.integers(4)}",
    lambda rng: " ".join(f"w{rng.integers(50)}" for _ in range(8)), lambda rng: [],
    lambda rng: rng.normal(size=6).tolist(),
    lambda rng: ["a", "b"], lambda rng: {"a": {"b": 1}}, lambda rng: 1e308, lambda rng: -1e308, lambda rng: 1e-320,
    lambda rng: "\x00", lambda rng: "2026-03-01",
]  # fmt: skip
LABELS = (0, 1, True, "yes", "fraud", 2.5, -1, 1e308, 10**30)


def stream(seed: int, rows: int = 1_500) -> list[InferenceServed]:
    """Three features of one to three kinds of value each, of other kinds from the 900th row on; times with leaps."""
    rng, at, made = np.random.default_rng(seed), START, []
    plans = [[rng.choice(len(VALUES), rng.integers(1, 4)) for _ in range(3)] for _ in range(2)]
    for n in range(rows):
        at += float(rng.choice([0, 1, 60, 3_600, -5], p=[0.2, 0.4, 0.37, 0.02, 0.01]))
        features = {f"f{i}": VALUES[rng.choice(kinds)](rng) for i, kinds in enumerate(plans[n >= 900])}
        made.append(InferenceServed(
            id=f"r{n}", at=at, version=str(1 + (n >= 900 and seed % 3 == 0)), features=features,
            score=float(rng.random()) if seed % 4 else None, latency_ms=float(rng.lognormal(3, 1)),
            prediction=VALUES[rng.choice([1, 9, 14])](rng) if seed % 5 == 0 else None,
        ))  # fmt: skip
    return made


def fed(monitor: Monitor, served: list[InferenceServed], seed: int) -> bytes:
    """Everything the monitor says of the events, their labels and the time that passes."""
    said = []
    for first in range(0, len(served), 70):
        some = served[first : first + 70]
        labels = [LabelArrived(id=e.id, at=e.at, label=LABELS[(n * seed) % len(LABELS)]) for n, e in enumerate(some)]
        said += [monitor.on_inference("acme", "m", some), monitor.on_labels("acme", "m", labels)]
        said.append(monitor.on_tick(some[-1].at + 100))
    return b"".join(as_json([r.detections, r.calms, r.windows, r.baselines]) for r in said)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_breaks_and_a_restart_changes_nothing(seed: int):
    """A monitor restored in the middle says, byte for byte, what the one that lived on says."""
    options = {"baseline_rows": 500, "window_rows": 100, "error_rows": 200, "segments": ["f0"]}
    served, monitor = stream(seed), Monitor(options)
    fed(monitor, served[:840], seed)
    again = Monitor(options)
    again.restore(monitor.snapshot())
    assert fed(again, served[840:], seed) == fed(monitor, served[840:], seed)
