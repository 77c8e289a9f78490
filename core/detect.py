"""The detect target's handlers for one partition: batches in, closed windows and detections out, progress by snapshot.

The monitor's memory is only in this process, so a message is acknowledged when a snapshot that contains it is stored:
a process killed anywhere starts again from its last snapshot, reads on from there, and says the same things under the
same ids, which the server drops. Order: publish, snapshot, ack.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from core.event_time import EventTime, Times
from core.events import Detected, InferenceServed, LabelArrived, WindowClosed
from core.ports import Baseline, Bus, Flags, Rebaseline, Snapshots, Telemetry

log = logging.getLogger("middlewatch.detect")

PARTITIONS = 8
"""Into so many parts the server divides models, by a hash of tenant and model: at most so many processes share them."""


NOTE = "note:"
"""Flag `note:<tenant>/<model>`: the last thing operators want to know of it, {"at", "text"}."""
NOTE_SECONDS = 7 * 86_400.0


class Columns(Struct, frozen=True):
    """Served predictions of one version that came in columns. `rows` is the detectors' own: core only counts it."""

    version: str
    rows: Any
    """Has a length, `ids`, and `at`: an array of event times in epoch seconds, with `min()` and `max()`."""


class Watcher(Protocol):
    """What the detectors room gives: all models of one partition. Pure."""

    def on_inference(self, tenant: str, model: str, events: Sequence[InferenceServed]) -> Said: ...

    def on_columns(self, tenant: str, model: str, columns: Columns) -> Said: ...

    def on_labels(self, tenant: str, model: str, labels: Sequence[LabelArrived]) -> Said: ...

    def on_tick(self, times: Callable[[str, str], float]) -> Said:
        """`times(tenant, model)` is the event time that this model has reached."""
        ...

    def newest(self, tenant: str, model: str) -> float:
        """Event time of the newest row that was believed, 0 when there is none."""
        ...

    def rebaseline(self, approved: Rebaseline, exported: bytes) -> Said: ...

    def forget(self, tenant: str, model: str) -> None:
        """Whatever is known of this model; its next rows begin anew."""
        ...

    def snapshot(self, *, whole: bool = False) -> dict[str, bytes]:
        """State by model of those that changed since the last one; or of all."""
        ...

    def restore(self, pieces: dict[str, bytes]) -> None: ...


class Batch(Protocol):
    """One message's decoded events."""

    seq: int
    at: float
    """When the server stored it, epoch seconds."""
    tenant: str
    model: str
    events: Sequence[Any]


class Note(Struct, frozen=True):
    """What operators want to know of a model, that is no detection."""

    tenant: str
    model: str
    detail: str


class Said(Struct, kw_only=True):
    """What one batch led to."""

    windows: list[WindowClosed] = []
    detected: list[Detected] = []
    baselines: list[Baseline] = []
    facts: list[Any] = []
    """What operators want to know that is no detection, each with `tenant`, `model`, `detail`."""

    def add(self, other: Said) -> None:
        self.windows += other.windows
        self.detected += other.detected
        self.baselines += other.baselines
        self.facts += other.facts


class Position(Struct, kw_only=True):
    """How far each stream has been taken into the snapshot beside it."""

    sequences: dict[str, int] = {}
    time: EventTime = msgspec.field(default_factory=EventTime)
    events: int = 0
    """Inference events taken in, ever."""
    labels: int = 0


POSITION = ""
"""The piece of a snapshot that holds the Position; every other piece is a model's."""


class Detect:
    """Feeds the watcher of one partition, publishes what it says, stores where it stands."""

    def __init__(
        self, make: Callable[[], Watcher], bus: Bus, telemetry: Telemetry, flags: Flags, snapshots: Snapshots, *,
        partition: int = 0, epoch: int = 0, now: Callable[[], float] = time.time,
        cpu: asyncio.Semaphore | None = None,
    ):  # fmt: skip
        """`epoch` is what `Snapshots.claim` gave; `cpu` is shared by the partitions of one process, so that their
        arithmetic does not fight over one core."""
        self.make, self.bus, self.telemetry, self.flags, self.now = make, bus, telemetry, flags, now
        self.snapshots, self.partition, self.epoch = snapshots, partition, epoch
        self.key = f"detect:{partition}"
        self.watcher, self.position = make(), Position()
        self.turn = asyncio.Lock()
        """Held while a batch is taken in or a snapshot is made: a snapshot never holds half a batch."""
        self.cpu = cpu or asyncio.Semaphore(1)
        self.stored_at: dict[str, float] = {}
        """stream -> when the server stored the last message taken in, epoch seconds."""
        self._heard = 0.0
        self._unsaved: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        """Bytes of each piece of the stored snapshot."""
        self._whole = True
        """Everything taken in was also said: a batch that was cut short must not get into a snapshot."""

    async def restore(self) -> Position:
        """A fresh watcher in the state of the stored snapshot, if there is one; where to read on."""
        self.watcher, self.position, self._unsaved = self.make(), Position(), {}
        pieces = await self.snapshots.load(self.key)
        self._sizes = {name: len(data) for name, data in pieces.items()}
        if POSITION in pieces:
            self.position = msgspec.msgpack.decode(pieces.pop(POSITION), type=Position)
            await asyncio.to_thread(self.watcher.restore, pieces)
            log.info("partition %d: resumed from the snapshot at %s", self.partition, self.position.sequences)
        return self.position

    async def on_batch(self, stream: str, batch: Sequence[Batch]) -> None:
        """Messages of one stream, in order. What the snapshot holds already is passed over.

        Events of one model are handed over together; models are independent, so their order among one another is free.
        The arithmetic runs in a thread: what else lives in this process stays responsive.
        """
        fresh = [b for b in batch if b.seq > self.position.sequences.get(stream, 0)]
        events: dict[tuple[str, str], list[Any]] = {}
        spans: dict[tuple[str, str], float] = {}
        for message in (m for m in fresh if m.events):
            model = (message.tenant, message.model)
            events.setdefault(model, []).extend(message.events)
            spans[model] = max(spans.get(model, 0.0), _span(message.events))
        if events:
            async with self.cpu:
                self._whole = False
                said = await asyncio.to_thread(self._take, events, spans)
            await self.say(said)
        self._whole = True
        if fresh:
            self.position.sequences[stream] = fresh[-1].seq
            self.stored_at[stream] = fresh[-1].at
            self._heard = self.now()

    def _take(self, events: dict[tuple[str, str], list[Any]], spans: dict[tuple[str, str], float]) -> Said:
        total = Said()
        elapsed = self.now() - self._heard if self._heard else 0.0
        for (tenant, model), items in events.items():
            for kind, run in _runs(items):
                try:
                    self._hand(kind, tenant, model, run, total)
                except Exception as error:  # a fault of ours that one model's rows brought out: others are watched on
                    log.exception("%s/%s: its watch broke and begins anew", tenant, model)
                    self.watcher.forget(tenant, model)
                    total.facts.append(Note(tenant, model, f"its watch broke and begins anew: {error!r}"[:300]))
                    continue
                newest = 0.0 if kind is LabelArrived else self.watcher.newest(tenant, model)
                self.position.time.heard(tenant, model, _times(kind, run), elapsed, newest, spans[tenant, model])
        return total

    def _hand(self, kind: Any, tenant: str, model: str, run: list[Any], total: Said) -> None:
        if kind is LabelArrived:
            total.add(self.watcher.on_labels(tenant, model, run))
            self.position.labels += len(run)
        elif kind is Columns:
            for columns in run:
                total.add(self.watcher.on_columns(tenant, model, columns))
                self.position.events += len(columns.rows)
        else:
            total.add(self.watcher.on_inference(tenant, model, run))
            self.position.events += len(run)

    async def tick(self) -> None:
        """Let event time run on with the wall clock since the last event, so that silence can be noticed."""
        if self._heard:
            elapsed = self.now() - self._heard
            reached = self.position.time.reached
            self._whole = False
            await self.say(self.watcher.on_tick(lambda tenant, model: reached(tenant, model, elapsed)))
            self._whole = True

    async def rebaseline(self, approved: Rebaseline, exported: bytes) -> None:
        """What a person approved as usual counts from now on."""
        async with self.turn:
            self._whole = False
            await self.say(self.watcher.rebaseline(approved, exported))
            self._whole = True

    async def say(self, said: Said) -> None:
        """Publish baselines, windows, then detections. Raises Unavailable while the bus is away: the watcher is then
        ahead of what was said, so the caller must `restore` and read again."""
        for baseline in said.baselines:
            await self.telemetry.put_baseline(baseline)
        if said.windows:
            await self.bus.publish_all(said.windows)
        for detected in said.detected:
            await self.bus.publish(detected)
        for fact in said.facts:
            log.warning("%s/%s: %s", fact.tenant, fact.model, fact.detail)
            note = msgspec.json.encode({"at": self.now(), "text": fact.detail})
            await self.flags.set_flag(f"{NOTE}{fact.tenant}/{fact.model}", note, ttl=NOTE_SECONDS)

    async def checkpoint(self) -> dict[str, int]:
        """Store what changed since the last snapshot; the sequences that may now be acknowledged (none while a batch
        is half said).

        Raises Unavailable when it cannot be stored, Conflict when another process works on this partition now.
        """
        async with self.turn:
            if not self._whole:
                return {}
            async with self.cpu:
                self._whole = False
                self._unsaved |= await asyncio.to_thread(self.watcher.snapshot)
            self._unsaved[POSITION] = msgspec.msgpack.encode(self.position)
            self._whole = True
            self._sizes |= {name: len(data) for name, data in self._unsaved.items()}
            sequences = dict(self.position.sequences)
            health = msgspec.json.encode(self.health())
        await self.snapshots.store(self.key, self.epoch, self._unsaved)
        self._unsaved = {}
        await self.flags.set_flag(f"health:{self.key}", health)
        return sequences

    def health(self) -> dict[str, Any]:
        """How far detection of this partition is."""
        p = self.position
        return {
            "events": p.events, "labels": p.labels, "event_time": p.time.busiest, "at": self.now(),
            "snapshot_bytes": sum(self._sizes.values()),
        }  # fmt: skip


def _runs(items: Sequence[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Neighbours of one kind together, in their order."""
    for kind, run in itertools.groupby(items, type):
        yield kind, list(run)


def _times(kind: Any, run: list[Any]) -> Times:
    """When the events of a run were."""
    if kind is not Columns:
        return Times.of([event.at for event in run])
    arrays = [one.rows.at for one in run]
    least, most = min(float(at.min()) for at in arrays), max(float(at.max()) for at in arrays)
    return Times(least, most, sum(map(len, arrays)), lambda: [t for at in arrays for t in at.tolist()])


def _span(events: Sequence[Any]) -> float:
    """Seconds of event time from the first to the last event of a message."""
    first, last = events[0], events[-1]
    begun = first.rows.at[0] if isinstance(first, Columns) else first.at
    return max(float((last.rows.at[-1] if isinstance(last, Columns) else last.at) - begun), 0.0)


async def health(flags: Flags) -> dict[str, Any] | None:
    """{"events", "labels", "event_time", "at", "snapshot_bytes"} over all partitions; None before the first.

    The event time is that of the busiest partition.
    """
    found = await asyncio.gather(*(flags.get_flag(f"health:detect:{n}") for n in range(PARTITIONS)))
    parts = [msgspec.json.decode(raw) for raw in found if raw]
    if not parts:
        return None
    busiest = max(parts, key=lambda part: part["events"])
    total = {name: sum(part[name] for part in parts) for name in ("events", "labels", "snapshot_bytes")}
    return total | {"event_time": busiest["event_time"], "at": max(part["at"] for part in parts)}
