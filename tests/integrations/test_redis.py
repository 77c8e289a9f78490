"""The views on a real server: compare-and-set under races, single-use nonces, outages, restarts."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest
from redis import Redis

from core.errors import AuditError, Conflict, MiddlewatchError, Unavailable
from core.events import ChangeRecorded, SignalWindow
from core.findings import Histogram, Summary
from core.incident_log import IncidentLog
from core.incidents import advance, changed, mark, verify_chain
from core.ports import Baseline, Silence
from core.settings import Secret
from integrations import view_of_telemetry
from integrations.local_server import RedisServer, free_port
from integrations.nats import Nats
from integrations.redis import RedisViews
from integrations.wire import encode
from tests.integrations.events import incident, window
from tests.servers import eventually, started

pytestmark = pytest.mark.servers


@pytest.fixture
async def views(redis_url):
    async with RedisViews(redis_url) as views:
        yield views


@pytest.fixture
def own_server(tmp_path):
    server = started(RedisServer(tmp_path / "redis"))
    yield server
    server.stop()


# incidents


async def test_saved_incident_reads_back_equal(views):
    """What was saved is what is read: by id, by group, in the list."""
    first = incident()
    await views.incidents.save(first)
    assert await views.incidents.get(first.id) == first
    assert await views.incidents.of_group(first.group) == first
    assert await views.incidents.all() == [first]
    assert await views.incidents.get("in_unknown") is None
    assert await views.incidents.of_group("unknown") is None


async def test_only_the_next_revision_is_stored(views):
    """A revision on anything but its predecessor is a Conflict, and so is the same revision twice."""
    first = incident()
    second = mark(first, now=1.0, actor="a", what="x")
    with pytest.raises(Conflict):
        await views.incidents.save(second)
    await views.incidents.save(first)
    with pytest.raises(Conflict):
        await views.incidents.save(first)
    await views.incidents.save(second)
    assert (await views.incidents.get(first.id)).revision == 2


async def test_of_two_equal_saves_at_once_one_wins(views):
    """Two processes that write the very same revision do not both succeed: a save is also a lock."""
    first = incident()
    results = await asyncio.gather(*(views.incidents.save(first) for _ in range(10)), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert all(result is None or isinstance(result, Conflict) for result in results)


async def test_an_incident_that_is_over_leaves_its_group(views):
    """The next alert of the group finds no incident; the list still does."""
    first = incident()
    await views.incidents.save(first)
    over = advance(first, "dismissed", writer="converse", now=2.0, actor="U1", what="dismissed")
    await views.incidents.save(over)
    assert await views.incidents.of_group(first.group) is None
    assert await views.incidents.all(over=True) == [over]
    assert await views.incidents.all(over=False) == []


async def test_newest_first_and_no_more_than_asked(views):
    """The list is in order of opening, newest first, cut at its limit, open and over mixed."""
    for number in range(6):
        one = incident(number, now=1_000.0 + number)
        await views.incidents.save(one)
        if number % 2:
            await views.incidents.save(
                advance(one, "dismissed", writer="converse", now=2_000.0, actor="U1", what="dismissed")
            )
    assert [i.id for i in await views.incidents.all(limit=4)] == ["in_5", "in_4", "in_3", "in_2"]
    assert [i.id for i in await views.incidents.all(over=False)] == ["in_4", "in_2", "in_0"]


async def test_unpublished_until_published(views):
    """A saved revision waits among the unpublished until it is said to be in the log."""
    first = incident()
    await views.incidents.save(first)
    assert await views.incidents.unpublished() == [first]
    await views.incidents.published(first)
    assert await views.incidents.unpublished() == []


async def test_restore_never_goes_back(views):
    """Restoring an old revision from the log leaves a newer view alone."""
    first = incident()
    second = mark(first, now=1.0, actor="a", what="x")
    assert await views.incidents.restore(second)
    assert not await views.incidents.restore(first)
    assert await views.incidents.get(first.id) == second
    assert await views.incidents.unpublished() == []


async def test_unreadable_row_says_how_to_repair(views, redis_url):
    """A spoilt row in the view is an error that names the rebuild."""
    await views.incidents.save(incident())
    with Redis.from_url(redis_url) as client:
        client.hset("mw:incident:in_1", "data", b"\xc1")
    with pytest.raises(MiddlewatchError, match="rebuild"):
        await views.incidents.get("in_1")


async def test_many_concurrent_changers_make_one_gapless_chain(views, nats_url):
    """Eight changers race over real servers: every change is in the log once, revisions gapless, the chain verifies."""
    async with Nats(nats_url) as bus:
        history = IncidentLog(views.incidents, bus)
        first = await history.open(incident())

        async def change(who: int) -> None:
            for turn in range(5):
                while True:
                    try:
                        await history.change(
                            first.id, lambda i, t=turn: mark(i, now=6_000.0 + t, actor=f"U{who}", what=f"turn {t}")
                        )
                        break
                    except Conflict:
                        continue

        await asyncio.gather(*(change(who) for who in range(8)))
        entries = [entry.data async for entry in bus.read("incident.>")]
        last = await views.incidents.get(first.id)
        assert verify_chain(entries) == 41
        assert last.revision == 41
        assert [msgspec.json.decode(e)["incident"]["revision"] for e in entries] == list(range(1, 42))
        assert await views.incidents.unpublished() == []


async def test_crash_between_save_and_publish_is_made_good(views, nats_url):
    """A revision that was saved but not published is published by the next who comes, before anything else."""
    async with Nats(nats_url) as bus:
        first = incident()
        await views.incidents.save(first)  # and here the process died
        history = IncidentLog(views.incidents, bus)
        assert await history.republish() == 1
        assert [entry.data async for entry in bus.read("incident.>")] == [encode(changed(first))]


async def test_when_the_log_cannot_be_written_the_change_fails(views, nats_server):
    """Without NATS a change ends in AuditError; with NATS back the waiting revision is written first."""
    async with Nats(nats_server.url, patience=0.3) as bus:
        history = IncidentLog(views.incidents, bus)
        first = await history.open(incident())
        nats_server.kill()
        with pytest.raises(AuditError):
            await history.change(first.id, lambda i: mark(i, now=1.0, actor="a", what="while down"))
        started(nats_server)
        await eventually(lambda: bus.connection.client.is_connected)
        await history.change(first.id, lambda i: mark(i, now=2.0, actor="a", what="after"))
        assert verify_chain([entry.data async for entry in bus.read("incident.>")]) == 3


# telemetry, changes, lineage


async def test_windows_come_back_oldest_first(views):
    """Windows are read by range and version, oldest first, both ends included; a repeat does not double."""
    for number in (3, 1, 2, 2):
        await views.telemetry.add_window(window(number))
    await views.telemetry.add_window(window(9, version="3"))
    ends = [w.end for w in await views.telemetry.windows("acme", "fraud")]
    assert ends == [1_001.0, 1_002.0, 1_003.0, 1_009.0]
    some = await views.telemetry.windows("acme", "fraud", since=1_002.0, until=1_003.0)
    assert some == [window(2), window(3)]
    assert await views.telemetry.windows("acme", "fraud", version="3") == [window(9, version="3")]
    assert [w.id for w in await views.telemetry.windows("acme", "fraud", limit=2)] == ["w_fraud_3", "w_fraud_9"]
    assert await views.telemetry.windows("acme", "other") == []
    assert await views.telemetry.models() == [("acme", "fraud")]


async def test_old_windows_are_forgotten(views, monkeypatch):
    """Per model only so many windows are kept, and none much older than the newest."""
    monkeypatch.setattr(views.telemetry._rows, "_kept", 5)
    for number in range(12):
        await views.telemetry.add_window(window(number))
    assert [w.end for w in await views.telemetry.windows("acme", "fraud")] == [1_007.0 + n for n in range(5)]
    await views.telemetry.add_window(window(99, end=1_000.0 + view_of_telemetry.WINDOW_AGE + 500))
    assert [w.id for w in await views.telemetry.windows("acme", "fraud")] == ["w_fraud_99"]


async def test_baseline_reads_back_typed(views):
    """A baseline's signals come back as SignalWindows."""
    signal = SignalWindow(summary=Summary(rows=3, mean=1.0), histogram=Histogram(counts=[1.0, 2.0, 0.0], cuts=[]))
    baseline = Baseline(
        id="b", tenant="acme", model="fraud", version="2", rows=3, source="file", signals={"score": signal}
    )  # fmt: skip
    await views.telemetry.put_baseline(baseline)
    assert await views.telemetry.baseline("acme", "fraud") == baseline
    assert await views.telemetry.baseline("acme", "none") is None


async def test_changes_are_read_by_event_time(views):
    """Changes come oldest first within the range; the same id again replaces."""
    for at, name in ((30, "c"), (10, "a"), (20, "b"), (10, "a")):
        await views.changes.add_change("acme", ChangeRecorded(id=name, at=at, kind="deployment", target="fraud"))
    assert [c.id for c in await views.changes.changes("acme", since=10, until=20)] == ["a", "b"]
    assert await views.changes.changes("other", since=0, until=99) == []


async def test_lineage_is_kept_as_given(views):
    """The lineage graph is bytes to the store."""
    assert await views.lineage.lineage("acme") is None
    await views.lineage.put_lineage("acme", b"\x00graph")
    assert await views.lineage.lineage("acme") == b"\x00graph"


# people


async def test_a_nonce_is_spent_once(views):
    """Of many who spend a nonce at the same time one gets the row; afterwards nobody does."""
    nonce = await views.nonces.issue({"incident": "in_1"}, ttl=60)
    assert len(nonce) >= 22
    assert await views.nonces.look(nonce) == {"incident": "in_1"}
    got = await asyncio.gather(*(views.nonces.spend(nonce) for _ in range(20)))
    assert [row for row in got if row is not None] == [{"incident": "in_1"}]
    assert await views.nonces.look(nonce) is None


async def test_a_nonce_expires_and_strange_ones_are_unknown(views):
    """After its time, or when never issued, a nonce is None, however odd."""
    nonce = await views.nonces.issue({"a": 1}, ttl=0.05)

    async def gone():
        return await views.nonces.look(nonce) is None

    await eventually(gone)
    assert await views.nonces.spend(nonce) is None
    for strange in ("", "x" * 5_000, "../../etc", "\x00\n*"):
        assert await views.nonces.look(strange) is None
        assert await views.nonces.spend(strange) is None


async def test_a_lost_answer_does_not_cost_the_click(views):
    """The same spend, run again because its answer was lost, gives the row again; another caller gets nothing."""
    from integrations.view_of_people import _SPEND

    nonce = await views.nonces.issue({"a": 1}, ttl=60)
    keys = [f"mw:nonce:{nonce}", f"mw:spent:{nonce}"]
    first = await views.store.run(_SPEND, keys, "token-of-one")
    assert await views.store.run(_SPEND, keys, "token-of-one") == first
    assert await views.store.run(_SPEND, keys, "token-of-two") is None


async def test_once_is_true_for_one_caller(views):
    """Of many callers with one key, one is the first, until the key has expired."""
    got = await asyncio.gather(*(views.cards.once("event-1", 0.3) for _ in range(10)))
    assert sum(got) == 1
    await eventually(lambda: views.cards.once("event-1", 60))


async def test_cards_are_remembered(views):
    """The notification log gives back what it was given."""
    assert await views.cards.card("in_1") is None
    await views.cards.put_card("in_1", {"channel": "C1", "ts": "1.2", "revision": 3})
    assert await views.cards.card("in_1") == {"channel": "C1", "ts": "1.2", "revision": 3}


async def test_silences_end(views):
    """A silence holds until its time or until somebody ends it."""
    for name, until in (("s1", 100.0), ("s2", 200.0), ("s3", 300.0)):
        await views.silences.put_silence(Silence(id=name, tenant="acme", until=until, by="U1", reason="r"))
    await views.silences.end_silence("s3")
    assert [s.id for s in await views.silences.silences(150.0)] == ["s2"]
    assert [s.id for s in await views.silences.silences(50.0)] == ["s2"]


async def test_flags_and_counters(views):
    """Flags are set, unset and expire; counters add up under concurrency."""
    await views.flags.set_flag("frozen", b"1")
    assert await views.flags.get_flag("frozen") == b"1"
    await views.flags.set_flag("frozen", None)
    assert await views.flags.get_flag("frozen") is None
    await views.flags.set_flag("brief", b"1", ttl=0.05)

    async def gone():
        return await views.flags.get_flag("brief") is None

    await eventually(gone)
    await asyncio.gather(*(views.flags.count("events", 3) for _ in range(20)))
    assert await views.flags.count("events", 0) == 60
    assert await views.flags.counts() == {"events": 60}


# outages


async def test_nothing_answered_is_lost_across_kill_and_restart(own_server, caplog):
    """kill -9 in the middle of writing: every answered write is there afterwards, writers only waited."""
    caplog.set_level(logging.WARNING, "middlewatch.redis")
    async with RedisViews(own_server.url) as views:

        async def write():
            for number in range(200):
                await views.incidents.save(incident(number))

        writing = asyncio.create_task(write())

        async def some():
            return len(await views.incidents.all()) > 50

        await eventually(some)
        own_server.kill()
        started(own_server)
        await writing
        assert len(await views.incidents.all(limit=500)) == 200
        assert len(await views.incidents.unpublished()) == 200
    said = [r.getMessage() for r in caplog.records]
    assert sum("does not answer" in line for line in said) == 1
    assert sum("is back" in line for line in said) == 1


async def test_absent_server_is_an_error_that_says_what_to_do():
    """Nobody at the address: an error that names REDIS_URL and hides the password."""
    url = Secret(f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    with pytest.raises(Unavailable, match="REDIS_URL") as caught:
        async with RedisViews(url, patience=0.2):
            pass
    assert "hunter2" not in str(caught.value)


async def test_wrong_password_is_refused_at_once_without_showing_it(tmp_path):
    """Refused credentials are not tried again, and the error does not hold them."""

    class Locked(RedisServer):
        def configuration(self) -> str:
            return super().configuration() + "requirepass right\n"

        def answers(self) -> bool:
            try:
                with Redis(port=self.port, password="right") as client:
                    return bool(client.ping())
            except Exception as error:
                if "Connection" in type(error).__name__:
                    return False
                raise

    server = started(Locked(tmp_path))
    try:
        for user in (":hunter2@", ""):
            with pytest.raises(Unavailable, match="REDIS_URL") as caught:
                async with RedisViews(server.url.replace("//", f"//{user}")):
                    pass
            assert "hunter2" not in str(caught.value)
    finally:
        server.stop()


async def test_a_malformed_address_is_an_error():
    """A REDIS_URL that cannot be read is shown with an example, without its password."""
    with pytest.raises(Unavailable, match=r"redis://127\.0\.0\.1") as caught:
        async with RedisViews("http://:hunter2@nowhere"):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_snapshot_is_written_by_who_claimed_it_last(views):
    """Pieces are replaced one by one; after a later claim the earlier writer's are refused, all of them."""
    first = await views.snapshots.claim("detect:3")
    assert await views.snapshots.load("detect:3") == {}
    await views.snapshots.store("detect:3", first, {"": b"place 1", "acme/a": b"\x00\xff", "acme/b": b"b1"})
    await views.snapshots.store("detect:3", first, {"": b"place 2", "acme/b": b"b2"})
    second = await views.snapshots.claim("detect:3")
    with pytest.raises(Conflict, match="detect:3"):
        await views.snapshots.store("detect:3", first, {"": b"place 3", "acme/a": b"lost"})
    held = {"": b"place 2", "acme/a": b"\x00\xff", "acme/b": b"b2"}
    assert await views.snapshots.load("detect:3") == held
    await views.snapshots.store("detect:3", second, {"acme/a": b"a3"})
    assert (await views.snapshots.load("detect:3"))["acme/a"] == b"a3"
    assert await views.snapshots.load("detect:4") == {}
