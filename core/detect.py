"""The detect target's handlers: batches in, closed windows and alerts out, progress kept by snapshot.

The monitor's memory is only in this process, so a message is acknowledged when a snapshot that contains it is stored:
a process killed anywhere starts again from its last snapshot, reads on from there, and says the same things under the
same ids, which the server drops. Order: publish, snapshot, ack.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from core.errors import Unavailable
from core.events import AlertFired, InferenceServed, LabelArrived, WindowClosed
from core.ports import Baseline, Bus, Flags, Telemetry

log = logging.getLogger("middlewatch.detect")

SNAPSHOT_LIFE = 30 * 86_400.0
"""Seconds a snapshot is kept when nobody comes back for it."""


JUMP, CONFIRM = 86_400.0, 20
"""An event this many seconds away from where event time should be does not move it; so many in a row do. One producer
with a wrong clock must not close everybody's windows and end everybody's watch for silence."""


class Watcher(Protocol):
    """What the detectors room gives: all models of one process, with the alert pipeline behind them. Pure."""

    def on_inference(self, tenant: str, model: str, events: Sequence[InferenceServed]) -> Said: ...

    def on_labels(self, tenant: str, model: str, labels: Sequence[LabelArrived]) -> Said: ...

    def on_tick(self, at: float) -> Said: ...

    def snapshot(self) -> bytes: ...

    def restore(self, data: bytes) -> None: ...


class Batch(Protocol):
    """One message's decoded events."""

    seq: int
    at: float
    """When the server stored it, epoch seconds."""
    tenant: str
    model: str
    events: Sequence[Any]


class Said(Struct, kw_only=True):
    """What one batch led to."""

    windows: list[WindowClosed] = []
    alerts: list[Any] = []
    """AlertFired and AlertResolved, already past every stage of the pipeline."""
    baselines: list[Baseline] = []


class Position(Struct, kw_only=True):
    """How far each stream has been taken into the snapshot beside it."""

    sequences: dict[str, int] = {}
    watched: bytes = b""
    event_time: float = 0.0
    events: int = 0
    """Inference events taken in, ever."""
    labels: int = 0


class Detect:
    """Feeds the watcher, publishes what it says, stores where it stands."""

    def __init__(
        self, make: Callable[[], Watcher], bus: Bus, telemetry: Telemetry, flags: Flags, *,
        name: str = "detect", now: Callable[[], float] = time.time,
    ):  # fmt: skip
        self.make, self.bus, self.telemetry, self.flags, self.now = make, bus, telemetry, flags, now
        self.key = f"snapshot:{name}"
        self.watcher, self.position = make(), Position()
        self.turn = asyncio.Lock()
        """Held while a batch is taken in or a snapshot is made: a snapshot never holds half a batch."""
        self.stored_at: dict[str, float] = {}
        """stream -> when the server stored the last message taken in, epoch seconds."""
        self._heard = 0.0
        self._strange = 0

    async def restore(self) -> Position:
        """A fresh watcher in the state of the stored snapshot, if there is one; where to read on."""
        self.watcher, self.position = self.make(), Position()
        data = await self.flags.get_flag(self.key)
        if data:
            self.position = msgspec.msgpack.decode(data, type=Position)
            self.watcher.restore(self.position.watched)
            log.info("resumed from the snapshot at %s", self.position.sequences)
        return self.position

    async def on_batch(self, stream: str, batch: Sequence[Batch]) -> None:
        """Messages of one stream, in order. What the snapshot holds already is passed over.

        Events of one model are handed over together; models are independent, so their order among one another is free.
        The arithmetic runs in a thread: what else lives in this process stays responsive.
        """
        fresh = [b for b in batch if b.seq > self.position.sequences.get(stream, 0)]
        events: dict[tuple[str, str], list[Any]] = {}
        for message in (m for m in fresh if m.events):
            events.setdefault((message.tenant, message.model), []).extend(message.events)
        if events:
            await self.say(await asyncio.to_thread(self._take, events))
        if fresh:
            self.position.sequences[stream] = fresh[-1].seq
            self.stored_at[stream] = fresh[-1].at
            self._heard = self.now()

    def _take(self, events: dict[tuple[str, str], list[Any]]) -> Said:
        total = Said()
        for (tenant, model), rows in events.items():
            if isinstance(rows[0], LabelArrived):
                said = self.watcher.on_labels(tenant, model, rows)
                self.position.labels += len(rows)
            else:
                said = self.watcher.on_inference(tenant, model, rows)
                self.position.events += len(rows)
            total.windows += said.windows
            total.alerts += said.alerts
            total.baselines += said.baselines
            self._move([e.at for e in rows])
        return total

    def _move(self, times: Sequence[float]) -> None:
        """Event time follows what is said, but no single clock that is far off."""
        elapsed = self.now() - self._heard if self._heard else 0.0
        here, strange = self.position.event_time, self._strange
        for at in times:
            if not here or here - JUMP <= at <= here + elapsed + JUMP:
                here, strange = max(here, at), 0
            elif strange + 1 < CONFIRM:
                strange += 1
            else:
                here, strange = at, 0
        self.position.event_time, self._strange = here, strange

    async def tick(self) -> None:
        """Let event time run on with the wall clock since the last event, so that silence can be noticed."""
        if self._heard:
            await self.say(self.watcher.on_tick(self.position.event_time + self.now() - self._heard))

    async def say(self, said: Said) -> None:
        """Publish baselines, windows, then alerts. Raises Unavailable while the bus is away: the watcher is then
        ahead of what was said, so the caller must `restore` and read again."""
        for baseline in said.baselines:
            await self.telemetry.put_baseline(baseline)
        await asyncio.gather(*(self.bus.publish(window) for window in said.windows))
        for alert in said.alerts:
            if isinstance(alert, AlertFired):
                alert = msgspec.structs.replace(alert, fired_at=self.now())
                log.warning("%s %s %s: %s", alert.severity, alert.tenant, alert.model, alert.kind)
            await self.bus.publish(alert)

    async def checkpoint(self) -> dict[str, int]:
        """Store the snapshot; the sequences that may now be acknowledged."""
        self.position.watched = self.watcher.snapshot()
        data = msgspec.msgpack.encode(self.position)
        try:
            await self.flags.set_flag(self.key, data, ttl=SNAPSHOT_LIFE)
            await self.flags.set_flag("health:detect", msgspec.json.encode(self.health()), ttl=SNAPSHOT_LIFE)
        except Unavailable as error:
            log.warning("snapshot not stored, nothing is acknowledged: %s", error)
            return {}
        return dict(self.position.sequences)

    def health(self) -> dict[str, Any]:
        """How far detection is, for `status` and App Home."""
        p = self.position
        return {
            "events": p.events,
            "labels": p.labels,
            "event_time": p.event_time,
            "at": self.now(),
            "snapshot_bytes": len(p.watched),
        }
