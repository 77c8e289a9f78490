"""The monitor as detect sees it: events in; closed windows, detections and new baselines out, as events. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from core.detect import Columns, Said
from core.events import Detected, InferenceServed, LabelArrived, content_id
from core.findings import Calm, Detection
from core.ports import Rebaseline
from core.privacy import Mask

Key = tuple[str, str, str]
"""tenant, model, version"""
NOTHING = Mask()


class Monitor(Protocol):
    """What the detectors room gives: all models of one partition. Its answers carry `detections`, `calms`, `windows`,
    `baselines`, `facts`."""

    def on_inference(self, tenant: str, model: str, events: Sequence[InferenceServed]) -> Any: ...

    def on_rows(self, tenant: str, model: str, version: str, rows: Any) -> Any: ...

    def on_labels(self, tenant: str, model: str, labels: Sequence[LabelArrived]) -> Any: ...

    def on_tick(self, at: float | Callable[[str, str], float]) -> Any: ...

    def newest(self, tenant: str, model: str) -> float: ...

    def forget(self, tenant: str, model: str) -> None: ...

    def rebaseline(self, tenant: str, model: str, version: str, approved: str, exported: bytes = b"") -> Any: ...

    def pieces(self, *, whole: bool = False) -> dict[str, bytes]: ...

    def restore_pieces(self, pieces: Mapping[str, bytes]) -> None: ...


class Watcher:
    """Implements `core.detect.Watcher`. What `mask` hides does not leave it, but in snapshots of the monitor itself."""

    def __init__(self, monitor: Monitor, mask: Mask = NOTHING):
        self.monitor, self.mask = monitor, mask

    def on_inference(self, tenant: str, model: str, events: Sequence[InferenceServed]) -> Said:
        return self._said(self.monitor.on_inference(tenant, model, events), cause=events[-1].id)

    def on_columns(self, tenant: str, model: str, columns: Columns) -> Said:
        reaction = self.monitor.on_rows(tenant, model, columns.version, columns.rows)
        return self._said(reaction, cause=columns.rows.ids[-1] if len(columns.rows) else "")

    def on_labels(self, tenant: str, model: str, labels: Sequence[LabelArrived]) -> Said:
        return self._said(self.monitor.on_labels(tenant, model, labels), cause=labels[-1].id)

    def on_tick(self, times: Callable[[str, str], float]) -> Said:
        return self._said(self.monitor.on_tick(times), cause="tick")

    def newest(self, tenant: str, model: str) -> float:
        return self.monitor.newest(tenant, model)

    def forget(self, tenant: str, model: str) -> None:
        self.monitor.forget(tenant, model)

    def rebaseline(self, approved: Rebaseline, exported: bytes) -> Said:
        reaction = self.monitor.rebaseline(approved.tenant, approved.model, approved.version, approved.id, exported)
        return self._said(reaction, cause=approved.id)

    def snapshot(self, *, whole: bool = False) -> dict[str, bytes]:
        return self.monitor.pieces(whole=whole)

    def restore(self, pieces: dict[str, bytes]) -> None:
        """Raises ValueError when the bytes are not a snapshot of this release."""
        self.monitor.restore_pieces(pieces)

    def _said(self, reaction: Any, cause: str) -> Said:
        return _said(reaction, cause, self.mask)


def _said(reaction: Any, cause: str, mask: Mask) -> Said:
    found: dict[Key, tuple[list[Detection], list[Calm]]] = {}
    for key, detection in reaction.detections:
        found.setdefault(key, ([], []))[0].append(mask.detection(detection))
    for key, calm in reaction.calms:
        over = Calm(kind=calm.kind, at=calm.at, rows=calm.rows, signals=list(calm.signals))
        found.setdefault(key, ([], []))[1].append(over)
    detected = [_detected(key, detections, calms, cause) for key, (detections, calms) in found.items()]
    return Said(
        windows=[mask.window(one) for one in reaction.windows], detected=detected,
        baselines=[mask.baseline(one) for one in reaction.baselines], facts=reaction.facts,
    )  # fmt: skip


def _detected(key: Key, detections: list[Detection], calms: list[Calm], cause: str) -> Detected:
    """The id follows from what was seen, whichever batch brought it: a replay says it under the same id."""
    tenant, model, version = key
    marks = [(d.signal, d.kind, d.at, d.segment) for d in detections] + [(c.kind, c.at, c.rows) for c in calms]
    return Detected(
        id=content_id("det", tenant, model, version, *marks), cause=cause, actor="detect",
        at=max([d.at for d in detections] + [c.at for c in calms]), tenant=tenant, model=model, version=version,
        detections=detections, calms=calms,
    )  # fmt: skip
