"""Requests the model server itself failed on: the share of them, against what it was when the model began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from core.findings import Calm, Detection
from core.statistics import psi
from detectors.labels import ErrorWatch

if TYPE_CHECKING:
    from detectors.model import Model, Version
    from detectors.reaction import Reaction
    from detectors.rows import Rows

SIGNAL = "failures"


def judge(model: Model, version: Version, rows: Rows, reaction: Reaction) -> None:
    """Take the rows' flags, where there are any. A new version is held against the versions before it."""
    if rows.errors is None:
        return
    if version.failures is None:
        known = (v.failures.reference for v in model.versions.values() if v.failures is not None)
        version.failures = ErrorWatch(model.options, next((r for r in known if r is not None), None), task="binary")
    watch = version.failures
    detections, calm = watch.add(rows.errors, rows.at)
    watch.closed()  # windows are told by the other signals
    reaction.detections += [(model.key(version), _told(d)) for d in detections]
    if calm:
        reaction.calms.append(
            (model.key(version), Calm(kind="quality", signals=[SIGNAL], at=version.last_at, rows=calm))
        )


def _told(found: Detection) -> Detection:
    before, now = (float(s.mean or 0.0) if s else 0.0 for s in (found.reference, found.current))
    words = f"{100 * now:.0f}% of the requests fail (usually {100 * before:.2g}%)"
    rows = float(found.current.rows) if found.current else 0.0
    effect = psi([1e4 * before, 1e4 * (1 - before)], [rows * now, rows * (1 - now)])
    return replace(found, signal=SIGNAL, kind="quality", effect=effect, detail=words)
