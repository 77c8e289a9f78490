"""The feed: ordered reading whose position a snapshot decides, across kills of reader and server."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec
import pytest
from nats import connect

from core.errors import Unavailable
from core.events import DeadLetter
from integrations.nats import Nats
from tests.servers import eventually, started

pytestmark = pytest.mark.servers

SUBJECT = "inference.acme.fraud"


def _event(number: int) -> bytes:
    return json.dumps({"id": str(number), "at": number + 1}).encode()


async def _publish(bus: Nats, numbers: range) -> None:
    for number in numbers:
        await bus.publish_bytes(SUBJECT, _event(number), id=f"i{number}")


async def _take(feed, count: int) -> list[int]:
    """The next `count` event ids."""
    got: list[int] = []
    async for batch in feed:
        got += [int(e.id) for one in batch for e in one.events]
        if len(got) >= count:
            return got
    return got


@pytest.fixture
async def bus(nats_url):
    async with Nats(nats_url) as bus:
        yield bus


async def test_events_come_in_order_with_their_position(bus):
    """Batches hold the stream's messages in order, each with its sequence number."""
    await _publish(bus, range(50))
    feed = bus.feed(durable="detect", subject="inference.>")
    seqs = []
    async for batch in feed:
        seqs += [one.seq for one in batch]
        if len(seqs) == 50:
            break
    assert seqs == list(range(1, 51))
    assert feed.position == 50
    assert feed.waiting == 0


async def test_restart_begins_behind_the_snapshot(bus):
    """A second reader that starts at its snapshot + 1 sees exactly what the snapshot does not hold."""
    await _publish(bus, range(30))
    first = bus.feed(durable="detect", subject="inference.>")
    assert await _take(first, 30) == list(range(30))
    await first.ack(10)
    await first.close()
    second = bus.feed(durable="detect", subject="inference.>", start=11)
    assert await _take(second, 20) == list(range(10, 30))


async def test_without_a_position_it_goes_on_behind_the_last_ack(bus):
    """Exactly what was acknowledged is not read again, in the middle of a batch too."""
    await _publish(bus, range(30))
    first = bus.feed(durable="detect", subject="inference.>")
    await _take(first, 30)
    await first.ack(17)
    await first.close()

    async def floor():
        info = await bus.connection.stream.consumer_info("INFERENCE", "detect")
        return info.ack_floor.stream_seq == 17

    await eventually(floor)
    second = bus.feed(durable="detect", subject="inference.>")
    assert await _take(second, 13) == list(range(17, 30))


async def test_lag_is_visible_at_the_server(bus):
    """What was handed out but is in no snapshot yet shows as in hand; after the ack it does not."""
    await _publish(bus, range(5))
    feed = bus.feed(durable="detect", subject="inference.>")
    await _take(feed, 5)

    async def in_hand():
        return (await bus.depth())["INFERENCE"]["consumers"]["detect"]["in_hand"]

    assert await in_hand() == 5
    await feed.ack(feed.position)

    async def none():
        return await in_hand() == 0

    await eventually(none)


async def test_bad_events_are_set_aside_and_counted_once(bus):
    """A bad event lies on dead.* once, also when the feed reads its message twice."""
    await bus.publish_bytes(SUBJECT, b'[{"id":"0","at":1},{"id":1},{"id":"2","at":NaN}]')
    await bus.publish_bytes(SUBJECT, _event(7))
    for _ in range(2):
        feed = bus.feed(durable="detect", subject="inference.>", start=1)
        assert await _take(feed, 2) == [0, 7]
        await feed.close()
    letters = [msgspec.json.decode(e.data, type=DeadLetter) async for e in bus.read("dead.>")]
    assert [letter.subject for letter in letters] == [SUBJECT, SUBJECT]


async def test_deleted_consumer_is_put_back(bus):
    """When somebody deletes the consumer, the feed puts it back and goes on where it was."""
    await _publish(bus, range(5))
    feed = bus.feed(durable="detect", subject="inference.>")
    assert await _take(feed, 5) == list(range(5))
    await bus.connection.stream.delete_consumer("INFERENCE", "detect")
    await _publish(bus, range(5, 9))
    assert await _take(feed, 4) == list(range(5, 9))


async def test_messages_lost_on_the_way_come_again(bus, monkeypatch):
    """A gap in what was delivered is noticed by its numbers: nothing is passed over."""
    from integrations.jetstream import Pull

    await _publish(bus, range(20))
    take, dropped = Pull.take, []

    async def leaky(self, patience):
        messages = await take(self, patience)
        if len(messages) > 3 and not dropped:
            dropped.append(messages.pop(2))
        return messages

    monkeypatch.setattr(Pull, "take", leaky)
    assert await _take(bus.feed(durable="detect", subject="inference.>"), 20) == list(range(20))
    assert dropped


async def test_messages_dropped_by_limits_are_counted(bus, nats_url):
    """When the stream forgot messages behind the saved position, the feed says how many."""
    await _publish(bus, range(20))
    client = await connect(nats_url)
    await client.jetstream().purge_stream("INFERENCE", seq=15)
    await client.close()
    feed = bus.feed(durable="detect", subject="inference.>", start=5)
    assert await _take(feed, 6) == list(range(14, 20))
    assert feed.skipped == 10


async def test_a_position_beyond_a_new_stream_starts_at_its_beginning(bus):
    """When the stream was made anew, a saved position from the old one does not hide its events."""
    await _publish(bus, range(3))
    feed = bus.feed(durable="detect", subject="inference.>", start=900)
    assert await _take(feed, 3) == [0, 1, 2]


async def test_nothing_lost_or_doubled_across_kill_of_the_server(nats_server):
    """kill -9 of the server twice while publishing and reading: each event is handed out once, in order."""
    async with Nats(nats_server.url) as bus:
        feed = bus.feed(durable="detect", subject="inference.>", batch=20)
        publishing = asyncio.create_task(_publish(bus, range(400)))
        got: list[int] = []

        async def reading():
            async for batch in feed:
                got.extend(int(e.id) for one in batch for e in one.events)
                if len(got) % 7 == 0:
                    await feed.ack(feed.position)
                if len(got) >= 400:
                    return

        task = asyncio.create_task(reading())
        for mark in (50, 200):
            await eventually(lambda mark=mark: len(got) > mark, within=30)
            nats_server.kill()
            started(nats_server)
        await asyncio.wait_for(publishing, 60)
        await asyncio.wait_for(task, 60)
        assert got == list(range(400))


async def test_a_second_reader_stands_by_and_takes_over(bus, nats_url, caplog):
    """While one process reads, another waits, with one line in its log; when the first ends, the second goes on."""
    caplog.set_level("WARNING", "middlewatch.nats")
    await _publish(bus, range(10))
    first = bus.feed(durable="detect", subject="inference.>")
    reading = asyncio.create_task(_take(first, 99))
    await eventually(lambda: first.position == 10)
    await first.ack(6)
    async with Nats(nats_url) as other:
        second = other.feed(durable="detect", subject="inference.>")
        waiting = asyncio.create_task(_take(second, 4))
        await eventually(lambda: "standing by" in caplog.text)
        assert second.position == 0
        await first.close()
        await reading
        assert await asyncio.wait_for(waiting, 15) == [6, 7, 8, 9]
    assert caplog.text.count("standing by") == 1


async def test_a_reader_whose_place_was_taken_is_told(bus, nats_url, monkeypatch):
    """A reader that slept while another process took its place ends with Taken instead of fighting for it."""
    from integrations.feed import Feed, Taken

    await _publish(bus, range(3))
    sleeper = bus.feed(durable="detect", subject="inference.>")
    batches = aiter(sleeper)
    await anext(batches)

    async def at_once(self):
        return None

    monkeypatch.setattr(Feed, "until_free", at_once)
    async with Nats(nats_url) as other:
        thief = other.feed(durable="detect", subject="inference.>", start=1)
        thief._idle = (await thief._consumer())["created"]
        assert await _take(thief, 3) == [0, 1, 2]
        with pytest.raises(Taken):
            await asyncio.wait_for(anext(batches), 15)


async def test_a_living_reader_is_not_displaced(bus, nats_url):
    """Eight readers that start at once in as many connections: one reads, each event comes once."""
    await _publish(bus, range(20))
    others = [Nats(nats_url) for _ in range(8)]
    for other in others:
        await other.__aenter__()
    got: list[int] = []

    async def read(other):
        async for batch in other.feed(durable="detect", subject="inference.>"):
            got.extend(int(e.id) for one in batch for e in one.events)

    tasks = [asyncio.create_task(read(other)) for other in others]
    await eventually(lambda: len(got) >= 20)
    await _publish(bus, range(20, 40))
    await eventually(lambda: len(got) >= 40)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for other in others:
        await other.close()
    assert got == list(range(40))
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_closing_ends_the_reading(bus):
    """A closed feed's iteration ends; what it had not acknowledged stays for the next."""
    await _publish(bus, range(3))
    feed = bus.feed(durable="detect", subject="inference.>")
    reading = asyncio.create_task(_take(feed, 99))
    await eventually(lambda: feed.position == 3)
    await feed.close()
    assert await asyncio.wait_for(reading, 5) == [0, 1, 2]


async def test_opening_without_a_server_is_an_error(nats_server):
    """A feed on a dead server ends in an error that names the address."""
    async with Nats(nats_server.url, patience=0.3) as bus:
        nats_server.kill()
        with pytest.raises(Unavailable, match="NATS at"):
            await bus.feed(durable="detect", subject="inference.>").open()


_READER = """
import asyncio, json, os, sys
from integrations.nats import Nats

async def main(url, path):
    # the state is the sum of what was read; position and state are saved together, by one rename
    try:
        saved = json.load(open(path))
    except FileNotFoundError:
        saved = {"seq": 0, "count": 0, "sum": 0}
    async with Nats(url) as bus:
        feed = bus.feed(durable="detect", subject="inference.>", start=saved["seq"] + 1, batch=10)
        async for batch in feed:
            for one in batch:
                saved["seq"] = one.seq
                for event in one.events:
                    saved["count"] += 1
                    saved["sum"] += int(event.id)
            with open(path + ".new", "w") as file:
                json.dump(saved, file)
            os.replace(path + ".new", path)
            await feed.ack(saved["seq"])

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.processes
async def test_nothing_lost_or_doubled_across_kill_of_the_reader(bus, nats_url, tmp_path):
    """A reader killed with -9 again and again ends with a state that holds each event exactly once."""
    path = tmp_path / "state.json"

    def state() -> dict:
        return json.loads(path.read_text()) if path.exists() else {"seq": 0, "count": 0, "sum": 0}

    total = 0
    for life in range(4):
        publishing = asyncio.create_task(_publish(bus, range(total, total + 300)))
        total += 300
        reader = await asyncio.create_subprocess_exec(sys.executable, "-c", _READER, nats_url, str(path))
        before = state()["count"]
        enough = total if life == 3 else before + 40
        await eventually(lambda enough=enough: state()["count"] >= enough, within=30)
        reader.kill()
        await reader.wait()
        await publishing
    assert state() == {"seq": total, "count": total, "sum": sum(range(total))}
