"""Small valid events of ours for the tests of the integrations."""

from __future__ import annotations

from typing import Any

import msgspec

from core.events import AlertFired, SignalWindow, WindowClosed
from core.findings import Summary
from core.incidents import Incident, opened


def alert(number: int = 1, **changes: Any) -> AlertFired:
    first = AlertFired(
        id=f"al_{number}", cause="w_1", actor="detect", at=1_000.0, tenant="acme", model="fraud", version="2",
        fingerprint="fp", group=f"g{number}", kind="data_drift", severity="SEV2", onset=900.0, detections=[],
        reason="fired",
    )  # fmt: skip
    return msgspec.structs.replace(first, **changes)


def incident(number: int = 1, now: float = 5_000.0) -> Incident:
    return opened(alert(number), f"in_{number}", now)


def window(number: int = 1, *, end: float = 0.0, model: str = "fraud", version: str = "2") -> WindowClosed:
    end = end or 1_000.0 + number
    return WindowClosed(
        id=f"w_{model}_{number}", cause="c", actor="detect", at=end, tenant="acme", model=model, version=version,
        baseline="b1", start=end - 1, end=end, rows=10, signals={"score": SignalWindow(summary=Summary(rows=10))},
    )  # fmt: skip
