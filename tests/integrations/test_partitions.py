"""Partitions: what the server puts together, and who works on what when processes come, go and die."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from core.detect import PARTITIONS
from core.events import DeadLetter
from integrations.nats import Nats
from integrations.partitions import Claim, Taken, consumers, reader_of
from integrations.streams import filters, spoken
from tests.servers import eventually

pytestmark = pytest.mark.servers

LONG = 60.0


@pytest.fixture
async def bus(nats_url):
    async with Nats(nats_url) as bus:
        yield bus


def event(name: str) -> bytes:
    return json.dumps({"id": name, "at": 1_000}).encode()


class Worker:
    """A process's share of the partitions: each job reads its partition and notes what it read."""

    def __init__(self, bus: Nats, read: dict[str, int]):
        self.bus, self.read, self.mine = bus, read, set()
        self.task = asyncio.create_task(bus.work("detect-inference", "inference.>", PARTITIONS, self.job))

    async def job(self, claim: Claim) -> None:
        feed = self.bus.feed(durable=claim.durable, subject="inference.>", claim=claim)
        await feed.open()
        self.mine.add(claim.partition)
        try:
            async for batch in feed:
                for one in batch:
                    for item in one.events:
                        self.read[item.id] = self.read.get(item.id, 0) + 1
                await feed.ack(feed.position)
        finally:
            self.mine.discard(claim.partition)
            await feed.close()

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_all_of_a_model_lies_in_one_partition(bus, nats_url):
    """Inference and label of a tenant's model are stored under one number; models are spread over the numbers."""
    parts: dict[str, set[str]] = {}
    for n in range(24):
        for kind in ("inference", "label"):
            await bus.publish_bytes(f"{kind}.acme.m{n}", event(str(n)))
    for stream in ("INFERENCE", "LABELS"):
        for seq in range(1, 25):
            stored = await bus.connection.stream.get_msg(stream, seq)
            parts.setdefault(spoken(stored.subject).partition(".")[2], set()).add(stored.subject.split(".")[1])
    assert len(parts) == 24
    assert all(len(numbers) == 1 for numbers in parts.values())
    assert len({number for numbers in parts.values() for number in numbers}) > 2


async def test_readers_see_the_subjects_that_producers_used(bus):
    """What was published on a subject is read by that subject, and a wrong one is set aside under its own name."""
    await bus.publish_bytes("inference.acme.fraud", event("a"))
    await bus.publish_bytes("inference.acme", event("b"))
    assert [e.subject async for e in bus.read("inference.acme.fraud")] == ["inference.acme.fraud"]
    assert sorted([e.subject async for e in bus.read("inference.>")]) == ["inference.acme", "inference.acme.fraud"]
    feed = bus.feed(durable="d-0", subject="inference.>", claim=Claim(0, "d-0", ""))
    reading = asyncio.create_task(anext(aiter(feed)))
    await reading
    [letter] = [msgspec.json.decode(e.data, type=DeadLetter) async for e in bus.read("dead.>")]
    assert letter.subject == "inference.acme"
    assert "should be inference.<tenant>.<model>" in letter.reason


def test_a_partition_asks_for_its_own():
    """Partition 0 also reads what the server could not divide; streams without partitions are asked as they are."""
    assert filters("label.>", 3) == ["partition.3.label.>"]
    assert filters("label.>", 0) == ["partition.0.label.>", "label.>"]
    assert filters("alert.>", 3) == ["alert.>"]


async def test_one_worker_takes_all_and_a_second_one_half(bus, nats_url):
    """A second process gets its fair share from the first; when it goes, the first has all again; nothing is lost."""
    read: dict[str, int] = {}
    first = Worker(bus, read)
    await eventually(lambda: len(first.mine) == PARTITIONS, within=LONG)
    for n in range(40):
        await bus.publish_bytes(f"inference.acme.m{n}", event(f"a{n}"))
    async with Nats(nats_url) as other:
        second = Worker(other, read)
        await eventually(lambda: (len(first.mine), len(second.mine)) == (4, 4), within=LONG)
        assert not first.mine & second.mine
        for n in range(40):
            await bus.publish_bytes(f"inference.acme.m{n}", event(f"b{n}"))
        await eventually(lambda: len(read) == 80, within=LONG)
        await second.end()
    await eventually(lambda: len(first.mine) == PARTITIONS, within=LONG)
    for n in range(40):
        await bus.publish_bytes(f"inference.acme.m{n}", event(f"c{n}"))
    await eventually(lambda: len(read) == 120, within=LONG)
    assert set(read.values()) == {1}
    await first.end()


async def test_a_dead_workers_partitions_go_to_the_living(bus, nats_url):
    """When a connection is gone as by kill -9, the other process takes over and reads on behind the last ack."""
    read: dict[str, int] = {}
    dying = Nats(nats_url)
    await dying.__aenter__()
    second = Worker(dying, read)
    await eventually(lambda: len(second.mine) == PARTITIONS, within=LONG)
    first = Worker(bus, read)
    await eventually(lambda: len(first.mine) == 4, within=LONG)
    dying.connection.closing = True
    await dying.connection.client.close()
    for n in range(40):
        await bus.publish_bytes(f"inference.acme.m{n}", event(f"a{n}"))
    await eventually(lambda: len(first.mine) == PARTITIONS, within=LONG)
    await eventually(lambda: len(read) == 40, within=LONG)
    assert set(read.values()) == {1}
    second.task.cancel()
    await asyncio.gather(second.task, return_exceptions=True)
    await first.end()


async def test_of_two_claims_one_holds(bus, nats_url):
    """Two processes that saw the same partition free: the second to place its consumer is told that it is taken."""
    claim = Claim(5, "detect-inference-5", "")
    await bus.feed(durable=claim.durable, subject="inference.>", claim=claim).open()
    async with Nats(nats_url) as other:
        with pytest.raises(Taken):
            await other.feed(durable=claim.durable, subject="inference.>", claim=claim).open()
    found = await consumers(bus.connection, "INFERENCE")
    assert reader_of(found[claim.durable]) == bus.connection.identity
