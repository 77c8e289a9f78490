"""The bus on a real nats-server: publish, routes, dead letters, the append-only log, outages."""

from __future__ import annotations

import asyncio
import json
import logging

import msgspec
import pytest

from core.errors import Conflict, Poison, Retry, Unavailable
from core.events import DeadLetter, WindowClosed
from integrations.nats import Nats, Route
from integrations.wire import Delivered, encode
from tests.integrations.events import alert, window
from tests.servers import eventually

pytestmark = pytest.mark.servers


@pytest.fixture
async def bus(nats_url):
    async with Nats(nats_url) as bus:
        yield bus


async def _dead(bus: Nats) -> list[DeadLetter]:

    return [msgspec.json.decode(e.data, type=DeadLetter) async for e in bus.read("dead.>")]


async def _stored(bus: Nats, subject: str) -> list[bytes]:
    return [entry.data async for entry in bus.read(subject)]


async def _done(bus: Nats, stream: str, durable: str) -> bool:
    row = (await bus.depth())[stream]["consumers"][durable]
    return row["waiting"] == 0 and row["in_hand"] == 0


async def test_published_event_is_stored_in_canonical_form_once(bus):
    """The event is in its stream, byte for byte canonical, and a repeat of it is dropped."""
    for _ in range(3):
        await bus.publish(alert())
    assert await _stored(bus, "alert.>") == [encode(alert())]


async def test_handler_gets_events_of_ours_one_by_one(bus):
    """Each AlertFired comes as itself, in order, and is done when the handler returns."""
    got = []

    async def on_alert(event):
        got.append(event.id)

    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
    for number in range(20):
        await bus.publish(alert(number))
    await eventually(lambda: len(got) == 20)
    assert got == [f"al_{n}" for n in range(20)]
    await eventually(lambda: _done(bus, "ALERTS", "d"))


async def test_handler_gets_a_producers_message_with_its_tenant(bus):
    """A change arrives as Delivered: tenant from the subject, all events of the message."""
    got: list[Delivered] = []

    async def on_changes(delivered):
        got.append(delivered)

    await bus.serve([Route(durable="d", subject="change.>", handler=on_changes)])
    change = {"id": "c1", "at": "2013-03-01T00:00:00Z", "kind": "deployment", "target": "fraud", "more": 1}
    await bus.publish_bytes("change.acme", json.dumps([change, change | {"id": "c2"}]).encode())
    await eventually(lambda: got)
    assert got[0].tenant == "acme"
    assert [e.id for e in got[0].events] == ["c1", "c2"]


async def test_one_bad_event_is_dead_lettered_and_the_rest_go_on(bus):
    """Of three events in a message the bad one lies on dead.* with its reason; the handler sees two."""
    got = []

    async def on_changes(delivered):
        got.extend(e.id for e in delivered.events)

    await bus.serve([Route(durable="d", subject="change.>", handler=on_changes)])
    good = {"id": "c1", "at": 1, "kind": "deployment", "target": "fraud"}
    await bus.publish_bytes("change.acme", json.dumps([good, {"id": "bad", "at": 1, "kind": "party"}, good]).encode())
    await eventually(lambda: got)
    [letter] = await _dead(bus)
    assert got == ["c1", "c1"]
    assert letter.subject == "change.acme"
    assert "party" in letter.payload
    assert "kind" in letter.reason
    await eventually(lambda: _done(bus, "CHANGES", "d"))


async def test_retry_comes_again_as_often_as_it_takes(bus):
    """Retry is patience, not failure: the message comes again and is never dead-lettered."""
    times = []

    async def on_alert(event):
        times.append(event.id)
        if len(times) < 12:
            raise Retry("not yet", after=0.02)

    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
    await bus.publish(alert())
    await eventually(lambda: len(times) == 12)
    await eventually(lambda: _done(bus, "ALERTS", "d"))
    assert await _dead(bus) == []


async def test_retry_waits_at_least_as_long_as_asked(bus):
    """A delayed redelivery does not come before its time."""
    loop = asyncio.get_running_loop()
    times = []

    async def on_alert(event):
        times.append(loop.time())
        if len(times) == 1:
            raise Retry("later", after=0.5)

    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
    await bus.publish(alert())
    await eventually(lambda: len(times) == 2)
    assert times[1] - times[0] >= 0.45


async def test_poison_is_dead_lettered_and_the_next_goes_on(bus):
    """Poison sets the message aside with its reason; the one behind it is handled."""
    got = []

    async def on_alert(event):
        if event.id == "al_1":
            raise Poison("makes no sense")
        got.append(event.id)

    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
    await bus.publish(alert(1))
    await bus.publish(alert(2))
    await eventually(lambda: got == ["al_2"])
    [letter] = await _dead(bus)
    assert (letter.reason, letter.subject) == ("makes no sense", "alert.fired.acme")


async def test_a_handler_that_keeps_failing_ends_in_a_dead_letter(bus, monkeypatch, caplog):
    """A bug is logged with its trace each time, and after the last attempt the message is dead, not lost."""
    monkeypatch.setattr("integrations.routes.LONGEST_DELAY", 0.02)
    tries = []

    async def on_alert(event):
        tries.append(event.id)
        raise KeyError("oops")

    caplog.set_level(logging.ERROR, "middlewatch.nats")
    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
    await bus.publish(alert())
    await eventually(lambda: _dead(bus))
    [letter] = await _dead(bus)
    assert len(tries) == 8
    assert "KeyError" in letter.reason
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize("outage", [Unavailable("redis is away"), Conflict("lost the race")])
async def test_an_outage_never_kills_a_message(bus, monkeypatch, outage):
    """However long a store is away, the message waits for it and is then handled."""
    monkeypatch.setattr("integrations.routes.LONGEST_DELAY", 0.02)
    tries = []

    async def on_alert(event):
        tries.append(event.id)
        if len(tries) < 15:
            raise outage

    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
    await bus.publish(alert())
    await eventually(lambda: len(tries) == 15)
    await eventually(lambda: _done(bus, "ALERTS", "d"))
    assert await _dead(bus) == []


async def test_batches_are_handed_over_whole_and_a_bad_one_is_found(bus):
    """A route with a batch gets lists; when one message fails the whole, only that one is set aside."""
    sizes, got = [], set()

    async def on_alerts(events):
        sizes.append(len(events))
        if any(e.id == "al_7" for e in events):
            raise Poison("seven")
        got.update(e.id for e in events)

    for number in range(20):
        await bus.publish(alert(number))
    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alerts, batch=10)])
    await eventually(lambda: len(got) == 19)
    [letter] = await _dead(bus)
    assert max(sizes) > 1
    assert "al_7" in letter.payload
    await eventually(lambda: _done(bus, "ALERTS", "d"))


async def test_workers_take_several_messages_at_once(bus):
    """With three workers, three messages are in hand together."""
    inside, gate = [], asyncio.Event()

    async def on_alert(event):
        inside.append(event.id)
        await gate.wait()

    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert, workers=3)])
    for number in range(3):
        await bus.publish(alert(number))
    await eventually(lambda: len(inside) == 3)
    gate.set()
    await eventually(lambda: _done(bus, "ALERTS", "d"))
    assert len(inside) == 3


async def test_a_long_handler_is_not_taken_for_dead(bus):
    """While a handler runs the server is told so: the message is delivered once, though it takes several ack_waits."""
    loop = asyncio.get_running_loop()
    got = []

    async def on_alert(event):
        got.append(event.id)
        until = loop.time() + 2.0
        await eventually(lambda: loop.time() > until)

    await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert, ack_wait=0.5)])
    await bus.publish(alert())
    await eventually(lambda: got)
    await eventually(lambda: _done(bus, "ALERTS", "d"))
    assert got == ["al_1"]


async def test_close_lets_the_handler_finish(nats_url):
    """A shutdown waits for what is in hand, and it is acknowledged: nobody sees it again."""
    finished, begun = [], asyncio.Event()
    async with Nats(nats_url) as bus:

        async def on_alert(event):
            begun.set()
            await eventually(lambda: bus.connection.closing)
            finished.append(event.id)

        await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
        await bus.publish(alert())
        await begun.wait()
    assert finished == ["al_1"]
    async with Nats(nats_url) as bus:
        assert await _done(bus, "ALERTS", "d")


async def test_close_gives_back_what_nobody_handled(nats_url):
    """What was fetched behind a slow handler is there for the next process at once."""
    got, gate = [], asyncio.Event()
    first = Nats(nats_url)
    await first.__aenter__()

    async def slow(events):
        got.extend(e.id for e in events)
        await gate.wait()

    await first.serve([Route(durable="d", subject="alert.fired.>", handler=slow, batch=2, ack_wait=60)])
    for number in range(6):
        await first.publish(alert(number))
    await eventually(lambda: len(got) == 2)
    closing = asyncio.create_task(first.close())
    await eventually(lambda: first.connection.closing)
    gate.set()
    await closing
    rest = []
    async with Nats(nats_url) as second:

        async def quick(event):
            rest.append(event.id)

        await second.serve([Route(durable="d", subject="alert.fired.>", handler=quick, ack_wait=60)])
        await eventually(lambda: len(rest) == 4)
        assert sorted(got + rest) == [f"al_{n}" for n in range(6)]


async def test_live_shows_what_is_published_from_now_on(bus):
    """A watcher sees subject and payload of new messages."""
    seen = []

    async def watch():
        async for subject, payload in bus.live("alert.>"):
            seen.append((subject, json.loads(payload)["id"]))

    watching = asyncio.create_task(watch())
    number = 0

    async def published():
        nonlocal number
        number += 1
        await bus.publish(alert(number))
        return seen

    await eventually(published)
    watching.cancel()
    assert seen[0][0] == "alert.fired.acme"


async def test_read_gives_a_range_in_order(bus):
    """Reading from a sequence gives exactly what is stored from there on, then ends."""
    for number in range(600):
        await bus.publish(alert(number))
    entries = [entry async for entry in bus.read("alert.>", start=101)]
    assert [e.seq for e in entries] == list(range(101, 601))
    assert [e async for e in bus.read("dead.>")] == []


async def test_caught_up_waits_for_what_is_still_in_hand(bus):
    """A message delivered but not handled keeps its route on the list; once handled, the wait ends."""
    taken, go_on = asyncio.Event(), asyncio.Event()

    async def slow(event):
        taken.set()
        await go_on.wait()

    route = Route(durable="d", subject="alert.fired.>", handler=slow)
    await bus.serve([route])
    assert await bus.caught_up([route], 60) == []
    await bus.publish(alert())
    await taken.wait()
    assert await bus.caught_up([route], 0.1) == ["d"]
    waiting = asyncio.create_task(bus.caught_up([route], 60))
    go_on.set()
    assert await waiting == []


async def test_many_at_once_are_stored_once_each(bus):
    """`publish_all` returns when all are stored; the same again, and one that is there already, change nothing."""
    many = [window(number) for number in range(1, 301)]
    await bus.publish(many[7])
    await bus.publish_all(many)
    await bus.publish_all(many[:50])
    stored = [msgspec.json.decode(e.data, type=WindowClosed) async for e in bus.read("window.>")]
    assert sorted(w.id for w in stored) == sorted(w.id for w in many)


async def test_many_at_once_without_a_server_is_an_error(nats_server):
    """When nobody stores them, the error says where."""
    async with Nats(nats_server.url, patience=0.5) as bus:
        nats_server.kill()
        with pytest.raises(Unavailable, match="NATS at"):
            await bus.publish_all([window(1)])
