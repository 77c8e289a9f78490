"""Real servers for tests: one nats-server and one valkey a session, clean for every test that asks.

Import the fixtures into a conftest: `from tests.servers import _nats_server, _redis_server, nats_url, redis_url`.
Where a test kills servers, use `started(NatsServer(tmp_path))` or `LocalServers(tmp_path)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis

from integrations.local_server import LocalServer, NatsServer, RedisServer


def started(server: LocalServer, within: float = 60.0) -> LocalServer:
    """`server`, spawned and answering."""
    server.spawn(server.port)
    deadline = time.monotonic() + within
    while not server.ready():
        assert time.monotonic() < deadline, f"{server.name} did not start; see {server.log}"
        time.sleep(0.01)
    return server


async def eventually(condition: Callable[[], object], within: float = 60.0, what: str = "") -> object:
    """The first true value of `condition()` (may be a coroutine function); AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"never came true: {what or condition}"
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else who asks so is in `folder` meanwhile: two workers must not make the same thing at once."""
    with (folder / ".alone").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def _nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    server = started(NatsServer(Path(tmp_path_factory.mktemp("nats"))))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    server = started(RedisServer(Path(tmp_path_factory.mktemp("redis"))))
    yield server
    server.stop()


@pytest.fixture
async def nats_url(_nats_server: LocalServer) -> str:
    """The session's nats-server, with no streams in it."""
    from nats import connect

    if not _nats_server.alive:
        started(_nats_server)
    client = await connect(_nats_server.url)
    stream = client.jetstream()
    for info in await stream.streams_info():
        await stream.delete_stream(info.config.name)
    await client.close()
    return _nats_server.url


@pytest.fixture
def redis_url(_redis_server: LocalServer) -> str:
    """The session's valkey, with nothing in it."""
    if not _redis_server.alive:
        started(_redis_server)
    with redis.Redis.from_url(_redis_server.url) as client:
        client.flushall()
    return _redis_server.url


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[LocalServer]:
    """A nats-server of the test's own, to be killed and started again (`started(nats_server)`)."""
    server = started(NatsServer(tmp_path / "nats"))
    yield server
    server.stop()
