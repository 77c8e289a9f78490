"""The bus and its server: streams as they must be, servers that are absent, refuse, have little room, or are killed."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from nats import connect
from nats.js.errors import APIError

from core.errors import Unavailable
from core.incidents import changed, verify_chain
from integrations.local_server import NatsServer
from integrations.nats import Nats, Route
from integrations.streams import STREAMS
from tests.integrations.events import alert, incident
from tests.servers import eventually, started

pytestmark = pytest.mark.servers


@pytest.fixture
async def bus(nats_url):
    async with Nats(nats_url) as bus:
        yield bus


async def _stored(bus: Nats, subject: str) -> list[bytes]:
    return [entry.data async for entry in bus.read(subject)]


async def _at_least(bus: Nats, stream: str, messages: int) -> bool:
    return (await bus.depth())[stream]["messages"] >= messages


async def test_audit_stream_refuses_deletion_and_purge(bus, nats_url):
    """Neither an entry nor the stream's content can be removed, by anyone with the same rights."""
    await bus.publish(changed(incident()))
    client = await connect(nats_url)
    stream = client.jetstream()
    with pytest.raises(APIError, match="not permitted"):
        await stream.delete_msg("INCIDENTS", 1)
    with pytest.raises(APIError, match="not permitted"):
        await stream.purge_stream("INCIDENTS")
    await client.close()
    assert verify_chain(await _stored(bus, "incident.>")) == 1


async def test_audit_stream_that_could_forget_is_refused(nats_url):
    """An INCIDENTS stream made by somebody else without protection stops the start, with what to correct."""
    client = await connect(nats_url)
    await client.jetstream().add_stream(name="INCIDENTS", subjects=["incident.>"], max_age=60)
    await client.close()
    with pytest.raises(Unavailable, match=r"INCIDENTS.*deny_delete is off.*max_age"):
        async with Nats(nats_url):
            pass


async def test_making_the_streams_again_changes_nothing(nats_url):
    """Any number of processes may start on the same server."""
    async with Nats(nats_url) as first, Nats(nats_url) as second:
        await first.publish(alert())
        await second.make_streams()
        assert len(await _stored(second, "alert.>")) == 1


async def test_absent_server_is_an_error_that_says_what_to_do(caplog):
    """Nobody there: one warning while waiting, then an error that names the variable and hides the password."""
    from integrations.local_server import free_port

    url = f"nats://user:hunter2@127.0.0.1:{free_port()}"
    caplog.set_level(logging.WARNING, "middlewatch.nats")
    with pytest.raises(Unavailable, match="NATS_URL") as caught:
        async with Nats(url, patience=0.5):
            pass
    assert len([r for r in caplog.records if r.name == "middlewatch.nats"]) == 1
    assert "hunter2" not in str(caught.value) + caplog.text


async def test_wrong_password_is_refused_without_showing_it(tmp_path):
    """Credentials that the server refuses fail the start at once; the error names the address without them."""

    class Locked(NatsServer):
        def configuration(self) -> str:
            return super().configuration() + "authorization: { user: a, password: right }\n"

    server = started(Locked(tmp_path))
    try:
        url = server.url.replace("//", "//a:hunter2@")
        with pytest.raises(Unavailable, match="NATS_URL") as caught:
            async with Nats(url, patience=5.0):
                pass
        assert "hunter2" not in str(caught.value)
    finally:
        server.stop()


async def test_a_small_servers_limit_is_named(tmp_path):
    """A message beyond the server's max_payload says what to set there."""

    class Small(NatsServer):
        def configuration(self) -> str:
            return super().configuration().replace("max_payload: 8388608", "max_payload: 2000")

    server = started(Small(tmp_path))
    try:
        async with Nats(server.url) as bus:
            with pytest.raises(Unavailable, match="max_payload: 8MB"):
                await bus.publish(alert(labels={"x": "y" * 3_000}))
    finally:
        server.stop()


async def test_a_small_disk_gets_smaller_streams(tmp_path, caplog):
    """Where the server has little room the streams are made smaller, with a warning, and work."""

    class Cramped(NatsServer):
        def configuration(self) -> str:
            return super().configuration().replace("jetstream: {", "jetstream: { max_file_store: 500MB,")

    server = started(Cramped(tmp_path))
    try:
        async with Nats(server.url) as bus:
            await bus.publish(alert())
            assert len(await bus.depth()) == len(STREAMS)
    finally:
        server.stop()
    assert "little room: INFERENCE" in caplog.text


async def test_publish_survives_kill_and_restart_of_the_server(nats_server):
    """kill -9 of the server in the middle of publishing: every event is stored, and each of them once."""
    async with Nats(nats_server.url) as bus:

        async def publish_all():
            for number in range(300):
                await bus.publish(alert(number))

        publishing = asyncio.create_task(publish_all())
        await eventually(lambda: _at_least(bus, "ALERTS", 50))
        nats_server.kill()
        started(nats_server)
        await publishing
        ids = [json.loads(data)["id"] for data in await _stored(bus, "alert.>")]
        assert ids == [f"al_{n}" for n in range(300)]


async def test_handlers_go_on_after_kill_and_restart_of_the_server(nats_server, caplog):
    """After kill -9 and restart the route handles what is new, with one line for going and one for coming back."""
    got = set()
    caplog.set_level(logging.WARNING, "middlewatch.nats")
    async with Nats(nats_server.url) as bus:

        async def on_alert(event):
            got.add(event.id)

        await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
        await bus.publish(alert(1))
        await eventually(lambda: got == {"al_1"})
        nats_server.kill()
        started(nats_server)
        await bus.publish(alert(2))
        await eventually(lambda: got == {"al_1", "al_2"})
    said = [r.getMessage() for r in caplog.records]
    assert sum("went away" in line for line in said) == 1
    assert sum("is back" in line for line in said) == 1


async def test_publish_gives_up_with_a_remedy(nats_server):
    """When the server stays away, publish ends with an error in bounded time."""
    async with Nats(nats_server.url, patience=0.5) as bus:
        nats_server.kill()
        with pytest.raises(Unavailable, match="NATS at"):
            await bus.publish(alert())


async def test_server_that_lost_its_data_gets_its_streams_again(nats_server, tmp_path):
    """A server that comes back empty is set up again by the reconnection; routes handle what is published then."""
    import shutil

    got = []
    async with Nats(nats_server.url) as bus:

        async def on_alert(event):
            got.append(event.id)

        await bus.serve([Route(durable="d", subject="alert.fired.>", handler=on_alert)])
        nats_server.kill()
        shutil.rmtree(nats_server.folder / "jetstream")
        started(nats_server)
        await bus.publish(alert(5))
        await eventually(lambda: got == ["al_5"])
