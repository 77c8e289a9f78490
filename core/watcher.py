"""The monitor and the alert pipeline as one watcher: events in, closed windows and alerts out. Pure but for `now`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from core.alerting import Context, Key, Pipeline
from core.detect import Said
from core.events import ChangeRecorded, InferenceServed, LabelArrived
from core.policy import Policy
from core.ports import Silence

CHANGES_KEPT = 200
"""Most recent changes of a tenant that inhibition may look at."""


class Monitor(Protocol):
    """What the detectors room gives: all models of one process. Its answers carry `detections`, `calms`, `windows`,
    `baselines`."""

    def on_inference(self, tenant: str, model: str, events: Sequence[InferenceServed]) -> Any: ...

    def on_labels(self, tenant: str, model: str, labels: Sequence[LabelArrived]) -> Any: ...

    def on_tick(self, at: float) -> Any: ...

    def snapshot(self) -> bytes: ...

    def restore(self, data: bytes) -> None: ...


@dataclass(kw_only=True)
class World:
    """What the pipeline may know beyond the detections; refreshed from outside, never by the pipeline."""

    silences: Sequence[Silence] = ()
    changes: dict[str, list[ChangeRecorded]] = field(default_factory=dict)
    """tenant -> most recent changes."""
    upstream: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """tenant -> model -> everything upstream of it, nearest first."""

    def heard(self, tenant: str, changes: Sequence[ChangeRecorded]) -> None:
        """Remember changes."""
        self.changes[tenant] = [*self.changes.get(tenant, []), *changes][-CHANGES_KEPT:]


class Watcher:
    """Implements `core.detect.Watcher`."""

    def __init__(self, monitor: Monitor, policy: Policy, rules: Any, world: World, now: Callable[[], float]):
        self.monitor, self.policy, self.world, self.now = monitor, policy, world, now
        self.pipeline = Pipeline(rules)

    def on_inference(self, tenant: str, model: str, events: Sequence[InferenceServed]) -> Said:
        return self._said(self.monitor.on_inference(tenant, model, events), cause=events[-1].id)

    def on_labels(self, tenant: str, model: str, labels: Sequence[LabelArrived]) -> Said:
        return self._said(self.monitor.on_labels(tenant, model, labels), cause=labels[-1].id)

    def on_tick(self, at: float) -> Said:
        return self._said(self.monitor.on_tick(at), cause="tick")

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode([self.monitor.snapshot(), self.pipeline.snapshot()])

    def restore(self, data: bytes) -> None:
        """Raises ValueError when the bytes are not a snapshot of this release."""
        monitor, pipeline = msgspec.msgpack.decode(data)
        self.monitor.restore(monitor)
        self.pipeline.restore(pipeline)

    def _said(self, reaction: Any, cause: str) -> Said:
        found: dict[Key, tuple[list[Any], list[Any]]] = {}
        for key, detection in reaction.detections:
            found.setdefault(key, ([], []))[0].append(detection)
        for key, calm in reaction.calms:
            found.setdefault(key, ([], []))[1].append(calm)
        alerts: list[Any] = []
        for key, (detections, calms) in found.items():
            context = self._context(*key[:2])
            alerts += self.pipeline.push(key, detections, context, self.now(), calms=calms, cause=cause)
        return Said(windows=reaction.windows, alerts=alerts, baselines=reaction.baselines)

    def _context(self, tenant: str, model: str) -> Context:
        rules = self.policy.rules(tenant, model)
        labels = {name: value for name, value in (("owner", rules.owner), ("tier", rules.tier)) if value}
        return Context(
            silences=self.world.silences,
            changes=self.world.changes.get(tenant, ()),
            upstream=self.world.upstream.get(tenant, {}),
            labels={model: labels},
        )
