"""What the Monitor answers with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from core.events import SignalWindow, WindowClosed, content_id
from core.findings import Detection, Summary
from core.ports import Baseline

if TYPE_CHECKING:
    from detectors.labels import Labelled
    from detectors.model import Model, Version
    from detectors.watch import Calm
    from detectors.windows import Content

Key = tuple[str, str, str]
"""tenant, model, version"""


class Fact(Struct, frozen=True, kw_only=True):
    """Something operators want to know that is no detection: a refused baseline, a new feature, a moved clock."""

    name: str
    tenant: str
    model: str
    detail: str


class Reaction(Struct, kw_only=True):
    """`calms` are troubles that ended; `baselines` are newly learnt or loaded references, for the telemetry store."""

    detections: list[tuple[Key, Detection]] = field(default_factory=list)
    calms: list[tuple[Key, Calm]] = field(default_factory=list)
    windows: list[WindowClosed] = field(default_factory=list)
    baselines: list[Baseline] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def window(self, model: Model, version: Version, content: Content, segment: str = "") -> WindowClosed:
        """`content` under its full name."""
        name = content_id(
            "win", model.tenant, model.model, version.name, segment, content.start, content.end, content.rows
        )
        return WindowClosed(
            id=name, cause="", actor="detect", at=content.end, tenant=model.tenant, model=model.model,
            version=version.name, baseline=version.watch.compiled.reference.id, start=content.start, end=content.end,
            rows=content.rows, signals=content.signals, segment=segment, design_effect=content.design_effect,
        )  # fmt: skip

    def error_window(self, model: Model, version: Version, closed: Labelled) -> WindowClosed:
        """A window of labelled rows; its times are those of the predictions."""
        name = content_id("win", model.tenant, model.model, version.name, "error", closed.start, closed.end,
                          closed.summary.rows)  # fmt: skip
        reference = version.errors.reference if version.errors else None
        signals = {"error": SignalWindow(summary=closed.summary, value=closed.summary.mean)}
        for metric, value in closed.metrics.items():
            summary = Summary(rows=closed.summary.rows, mean=value)
            signals[f"quality:{metric}"] = SignalWindow(summary=summary, value=value)
        return WindowClosed(
            id=name, cause="", actor="detect", at=closed.end, tenant=model.tenant, model=model.model,
            version=version.name, baseline=model.reference.id if model.reference else "", start=closed.start,
            end=closed.end, rows=closed.summary.rows, signals=signals,
            design_effect={"error": reference.deff if reference else 1.0},
        )  # fmt: skip
