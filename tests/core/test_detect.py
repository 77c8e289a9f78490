"""Detect: what a snapshot holds, what may be acknowledged, and where the detections of all partitions meet."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec import Struct

from core.alerts import Alerts, World
from core.detect import POSITION, Columns, Detect, Said, health
from core.errors import Conflict, Unavailable
from core.events import Detected, InferenceServed, LabelArrived
from core.findings import Calm, Detection
from core.policy import Policy
from core.ports import Silence


class Snapshots:
    """`core.ports.Snapshots` as a dictionary; `away` makes it fail."""

    def __init__(self) -> None:
        self.pieces: dict[str, dict[str, bytes]] = {}
        self.epochs: dict[str, int] = {}
        self.away = False

    async def claim(self, name: str) -> int:
        self.epochs[name] = self.epochs.get(name, 0) + 1
        return self.epochs[name]

    async def load(self, name: str) -> dict[str, bytes]:
        return dict(self.pieces.get(name, {}))

    async def store(self, name: str, epoch: int, pieces: Any) -> None:
        if self.away:
            raise Unavailable("Redis is away")
        if epoch != self.epochs.get(name, 0):
            raise Conflict(name)
        self.pieces.setdefault(name, {}).update(pieces)


class Flags:
    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.counts: dict[str, int] = {}

    async def get_flag(self, name: str) -> bytes | None:
        return self.rows.get(name)

    async def set_flag(self, name: str, value: bytes, **_: Any) -> None:
        self.rows[name] = value

    async def count(self, name: str, by: int = 1) -> int:
        self.counts[name] = self.counts.get(name, 0) + by
        return self.counts[name]


class Bus:
    def __init__(self) -> None:
        self.said: dict[str, Any] = {}
        self.away = False

    async def publish(self, event: Any) -> None:
        if self.away:
            raise Unavailable("NATS is away")
        self.said.setdefault(event.id, event)

    async def publish_all(self, events: Any) -> None:
        for event in events:
            await self.publish(event)


class Counting:
    """A watcher that counts rows a model, and says a detection at every row whose id begins with `bad`."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.changed: set[str] = set()

    def _took(self, tenant: str, model: str, count: int) -> Said:
        self.rows[f"{tenant}/{model}"] = self.rows.get(f"{tenant}/{model}", 0) + count
        self.changed.add(f"{tenant}/{model}")
        return Said()

    def forget(self, tenant: str, model: str) -> None:
        self.rows.pop(f"{tenant}/{model}", None)

    def on_inference(self, tenant: str, model: str, events: Any) -> Said:
        if any(e.id == "fatal" for e in events):
            raise ZeroDivisionError("a fault of ours")
        said = self._took(tenant, model, len(events))
        said.detected = [detected(model, at=e.at) for e in events if e.id.startswith("bad")]
        return said

    def on_columns(self, tenant: str, model: str, columns: Columns) -> Said:
        return self._took(tenant, model, len(columns.rows))

    def on_labels(self, tenant: str, model: str, labels: Any) -> Said:
        return Said()

    def on_tick(self, times: Any) -> Said:
        return Said()

    def newest(self, tenant: str, model: str) -> float:
        return 0.0

    def snapshot(self, *, whole: bool = False) -> dict[str, bytes]:
        names = sorted(self.rows if whole else self.changed)
        self.changed = set()
        return {name: str(self.rows[name]).encode() for name in names}

    def restore(self, pieces: dict[str, bytes]) -> None:
        self.rows = {name: int(data) for name, data in pieces.items()}


class Message(Struct):
    seq: int
    events: list[Any]
    tenant: str = "acme"
    model: str = "m"
    at: float = 0.0


class Rows(Struct):
    at: np.ndarray
    ids: list[str]

    def __len__(self) -> int:
        return len(self.at)


class Place(Struct):
    """What detect stands on, and outlives it."""

    bus: Bus
    snapshots: Snapshots
    flags: Flags

    async def detect(self) -> Detect:
        made = Detect(
            Counting, self.bus, None, self.flags, self.snapshots, epoch=await self.snapshots.claim("detect:0"),
            now=lambda: 5_000.0,
        )  # fmt: skip
        await made.restore()
        return made


@pytest.fixture
def place() -> Place:
    return Place(Bus(), Snapshots(), Flags())


def served(*names: str, at: float = 1_000.0) -> list[InferenceServed]:
    return [InferenceServed(id=name, at=at) for name in names]


def detected(model: str = "m", *, at: float = 1_000.0, calm: bool = False, effect: float = 0.4) -> Detected:
    found = Detection(
        detector="e_detector", signal="feature:x", kind="data_drift", at=at, onset=at, statistic=7.0, threshold=6.0,
        effect=effect,
    )  # fmt: skip
    over = Calm(kind="data_drift", at=at, rows=500)
    return Detected(
        id=f"det_{model}_{at}_{calm}", cause="e", actor="detect", at=at, tenant="acme", model=model, version="1",
        detections=[] if calm else [found], calms=[over] if calm else [],
    )  # fmt: skip


async def test_what_a_snapshot_holds_is_passed_over(place):
    """Read again from the start, a restored detect counts only what it had not seen."""
    first = await place.detect()
    await first.on_batch("INFERENCE", [Message(1, served("a", "b")), Message(2, served("c"), model="n")])
    assert await first.checkpoint() == {"INFERENCE": 2}
    again = await place.detect()
    await again.on_batch("INFERENCE", [Message(n, served(f"e{n}")) for n in (1, 2, 3)])
    assert again.watcher.rows == {"acme/m": 3, "acme/n": 1}
    assert again.position.events == 4


async def test_a_snapshot_writes_only_what_changed(place):
    """The second one holds the place and the one model that was heard since."""
    detect = await place.detect()
    await detect.on_batch("INFERENCE", [Message(1, served("a")), Message(2, served("b"), model="n")])
    await detect.checkpoint()
    place.snapshots.pieces["detect:0"].clear()
    await detect.on_batch("INFERENCE", [Message(3, served("c"), model="n")])
    await detect.checkpoint()
    assert set(place.snapshots.pieces["detect:0"]) == {POSITION, "acme/n"}


async def test_what_could_not_be_stored_is_stored_next_time(place):
    """A model that changed before an outage of the store, and not since, is in the first snapshot after it."""
    detect = await place.detect()
    await detect.on_batch("INFERENCE", [Message(1, served("a"))])
    place.snapshots.away = True
    with pytest.raises(Unavailable):
        await detect.checkpoint()
    place.snapshots.away = False
    await detect.on_batch("INFERENCE", [Message(2, served("b"), model="n")])
    await detect.checkpoint()
    assert set(place.snapshots.pieces["detect:0"]) == {POSITION, "acme/m", "acme/n"}


async def test_a_batch_that_was_not_said_is_in_no_snapshot(place):
    """While the bus is away the watcher is ahead of what was said: nothing is stored, nothing acknowledged."""
    detect = await place.detect()
    await detect.on_batch("INFERENCE", [Message(1, served("a"))])
    await detect.checkpoint()
    place.bus.away = True
    with pytest.raises(Unavailable):
        await detect.on_batch("INFERENCE", [Message(2, served("bad"))])
    assert await detect.checkpoint() == {}
    place.bus.away = False
    again = await place.detect()
    assert again.watcher.rows == {"acme/m": 1}
    await again.on_batch("INFERENCE", [Message(2, served("bad"))])
    assert len(place.bus.said) == 1


async def test_a_batch_cut_short_is_in_no_snapshot(place):
    """A task cancelled in the middle of a batch leaves nothing that could be stored."""
    detect = await place.detect()
    stuck = asyncio.Event()

    async def never(said: Said) -> None:
        stuck.set()
        await asyncio.Event().wait()

    detect.say = never
    task = asyncio.create_task(detect.on_batch("INFERENCE", [Message(1, served("a"))]))
    await stuck.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await detect.checkpoint() == {}


async def test_who_lost_the_partition_can_store_no_more(place):
    """A claim made later ends the earlier one: its next snapshot is a conflict."""
    slow = await place.detect()
    await slow.on_batch("INFERENCE", [Message(1, served("a"))])
    await place.detect()
    with pytest.raises(Conflict):
        await slow.checkpoint()


async def test_events_columns_and_labels_are_counted(place):
    """One message after another, whatever its form."""
    detect = await place.detect()
    columns = Columns("1", Rows(np.array([1_000.0, 1_010.0]), ["x", "y"]))
    label = LabelArrived(id="a", at=1_020.0, label=True)
    await detect.on_batch("INFERENCE", [Message(1, served("a")), Message(2, [columns]), Message(3, served("b"))])
    await detect.on_batch("LABELS", [Message(1, [label])])
    await detect.checkpoint()
    assert detect.watcher.rows == {"acme/m": 4}
    found = await health(place.flags)
    assert (found["events"], found["labels"], found["event_time"]) == (4, 1, 1_020.0)
    assert await health(Flags()) is None


def alerts(place: Place, world: World | None = None) -> Alerts:
    return Alerts(place.bus, place.snapshots, place.flags, Policy(), None, world or World(), now=lambda: 9.0)


async def test_models_of_all_partitions_make_one_incident(place):
    """Fifty models under one job, whichever process watched them: fifty alerts of one group."""
    above = {"acme": {f"m{i}": ["weather_job"] for i in range(50)}}
    one = alerts(place, World(upstream=above))
    await one.restore()
    await one.on_batch([Message(i + 1, [detected(f"m{i}", at=1_000.0 + i)]) for i in range(50)])
    assert len(place.bus.said) == 50
    assert len({alert.group for alert in place.bus.said.values()}) == 1


async def test_alerts_go_on_from_their_stored_state(place):
    """After a restart the same trouble is not told twice, its end is told, and what was muted is counted."""
    first = alerts(place)
    await first.restore()
    await first.on_batch([Message(1, [detected(at=1_000.0)])])
    again = alerts(place)
    assert await again.restore() == 1
    batch = [Message(1, [detected(at=1_000.0)]), Message(2, [detected(at=1_100.0)])]
    await again.on_batch([*batch, Message(3, [detected(at=1_200.0, calm=True)])])
    assert [type(event).__name__ for event in place.bus.said.values()] == ["AlertFired", "AlertResolved"]
    assert place.flags.counts == {"muted:already_firing": 1}
    with pytest.raises(Conflict):
        await first.on_batch([Message(4, [detected(at=1_300.0)])])


async def test_a_silence_that_ends_lets_the_alert_go(place):
    """Without another detection: the world changed, the alert is said, and said once across a restart."""
    world = World(silences=[Silence(id="s", tenant="acme", until=10.0, by="U1", reason="known")])
    one = alerts(place, world)
    await one.restore()
    await one.on_batch([Message(1, [detected()])])
    assert place.bus.said == {}
    world.silences = []
    await one.on_time()
    again = alerts(place, world)
    await again.restore()
    await again.on_time()
    assert [event.reason for event in place.bus.said.values()] == ["first_firing"]


async def test_a_fault_that_one_model_brings_out_hurts_no_other(place, caplog):
    """The batch goes on with the other models, the broken watch begins anew, and people are told of it."""
    detect = await place.detect()
    await detect.on_batch("INFERENCE", [
        Message(1, served("a"), model="first"), Message(2, served("fatal"), model="hurt"), Message(3, served("b", "c")),
    ])  # fmt: skip
    await detect.on_batch("INFERENCE", [Message(4, served("d"), model="hurt")])
    assert detect.watcher.rows == {"acme/first": 1, "acme/m": 2, "acme/hurt": 1}
    assert await detect.checkpoint() == {"INFERENCE": 4}
    assert "acme/hurt: its watch broke and begins anew" in caplog.text
    assert "ZeroDivisionError" in json.loads(place.flags.rows["note:acme/hurt"])["text"]


async def test_why_a_baseline_was_refused_reaches_people(caplog):
    """It is logged with its model, and kept where `baseline list` reads it."""
    bus, flags, snapshots = Bus(), Flags(), Snapshots()
    detect = Detect(Counting, bus, bus, flags, snapshots)
    why = SimpleNamespace(tenant="acme", model="m", detail="amount is null in 0% of the first half")
    await detect.say(Said(facts=[why]))
    assert "acme/m: amount is null" in caplog.text
    assert json.loads(flags.rows["note:acme/m"])["text"] == why.detail
