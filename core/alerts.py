"""Where the detections of all models meet and become alerts: one reader of all partitions, so that models under one
broken job make one incident whichever process watches them.

Acknowledged after the snapshot, as detect is: a reader killed anywhere says the same alerts under the same ids again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from core.alerting import Context, Maintenance, Pipeline
from core.detect import Batch
from core.events import AlertFired, ChangeRecorded, Detected
from core.policy import Policy
from core.ports import Bus, Flags, Silence, Snapshots

log = logging.getLogger("middlewatch.detect")

NAME = "alerts"
STREAM = "DETECTIONS"


@dataclass(kw_only=True)
class World:
    """What the pipeline may know beyond the detections; refreshed from outside, never by the pipeline."""

    silences: Sequence[Silence] = ()
    changes: dict[str, Sequence[ChangeRecorded]] = field(default_factory=dict)
    """tenant -> most recent changes."""
    upstream: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """tenant -> model -> everything upstream of it, nearest first."""
    down: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """tenant -> upstream node that is dead -> why."""
    downstream: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """tenant -> model -> how many consumers hang on it."""
    maintenance: Sequence[Maintenance] = ()


class State(Struct, kw_only=True):
    """How far the detections were taken in, and what the pipeline remembers."""

    seq: int = 0
    pipeline: bytes = b""


class Alerts:
    """Takes detections in stream order, publishes alerts, stores where it stands."""

    def __init__(
        self, bus: Bus, snapshots: Snapshots, flags: Flags, policy: Policy, rules: Any, world: World, *,
        now: Callable[[], float] = time.time,
    ):  # fmt: skip
        self.bus, self.snapshots, self.flags, self.policy, self.world = bus, snapshots, flags, policy, world
        self.now = now
        self.pipeline = Pipeline(rules)
        self.turn = asyncio.Lock()
        """Held while something is said and stored."""
        self.seq = self.epoch = 0
        self._at = self._heard = 0.0
        """Event time of the newest detection, and when it was heard."""

    async def restore(self) -> int:
        """Claim the alerts for this process; the sequence up to which the stored state goes."""
        self.epoch = await self.snapshots.claim(NAME)
        data = (await self.snapshots.load(NAME)).get("")
        state = msgspec.msgpack.decode(data, type=State) if data else State()
        self.pipeline = Pipeline(self.pipeline.rules)
        if state.pipeline:
            self.pipeline.restore(state.pipeline)
        self.seq = state.seq
        return self.seq

    async def on_batch(self, batch: Sequence[Batch]) -> None:
        """Publish, then store; the caller acknowledges. Raises Unavailable (restore and read again), Conflict."""
        alerts: list[Any] = []
        muted: Counter[str] = Counter()
        for message in (m for m in batch if m.seq > self.seq):
            for detected in message.events:
                alerts += self.on_detected(detected, muted)
            self.seq = message.seq
        await self._say(alerts)
        await self._store()
        for reason, number in muted.items():
            await self.flags.count(f"muted:{reason}", number)

    async def on_time(self) -> None:
        """Let go what waited long enough, and what lasts although its silence or its dead upstream is over.

        Without detections the event time runs on with the wall clock. Raises Unavailable, Conflict.
        """
        if not (self.pipeline.state.waiting or self.pipeline.state.held):
            return
        alerts = self.pipeline.later(self._context, self.now(), self._at + self.now() - self._heard)
        if alerts:
            await self._say(alerts)
            await self._store()

    async def _store(self) -> None:
        state = State(seq=self.seq, pipeline=self.pipeline.snapshot())
        await self.snapshots.store(NAME, self.epoch, {"": msgspec.msgpack.encode(state)})

    def on_detected(self, detected: Detected, muted: Counter[str]) -> list[Any]:
        """The alerts, past every stage of the pipeline, in order; what was muted is counted by its reason."""
        key = (detected.tenant, detected.model, detected.version)
        context = self._context(detected.tenant, detected.model)
        alerts = self.pipeline.push(
            key, detected.detections, context, self.now(), calms=detected.calms, cause=detected.id
        )  # fmt: skip
        self._at, self._heard = max(self._at, detected.at), self.now()
        for draft in self.pipeline.muted:
            log.info("muted %s %s: %s (%s)", "/".join(draft.key[:2]), draft.kind, draft.muted, draft.why)
            muted[str(draft.muted)] += 1
        if self.pipeline.state.waiting:
            alerts += self.pipeline.later(self._context, self.now(), self._at)
        return alerts

    async def _say(self, alerts: Sequence[Any]) -> None:
        for alert in alerts:
            if isinstance(alert, AlertFired):
                log.warning("%s %s %s: %s (%s)", alert.severity, alert.tenant, alert.model, alert.kind, alert.reason)
        await self.bus.publish_all(alerts)

    def _context(self, tenant: str, model: str) -> Context:
        rules, world = self.policy.rules(tenant, model), self.world
        labels = {name: value for name, value in (("owner", rules.owner), ("tier", rules.tier)) if value}
        return Context(
            silences=world.silences, changes=world.changes.get(tenant, ()), upstream=world.upstream.get(tenant, {}),
            down=world.down.get(tenant, {}), downstream=world.downstream.get(tenant, {}),
            maintenance=world.maintenance, labels={model: labels},
        )  # fmt: skip
