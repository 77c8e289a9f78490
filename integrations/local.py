"""The real servers on loopback, when no `NATS_URL` / `REDIS_URL` is given; their data stays under a var folder.

Any number of our processes may ask for the same folder at once. One of them holds `servers.lock` and with it the
servers; the others find the addresses in `servers.json`. When the holder dies, its servers die with it and another
process takes over on the same ports and data, so that every client simply reconnects. On a clean stop the holder waits
until the others have left.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import time
from pathlib import Path
from typing import IO, Any

from core.errors import Unavailable
from integrations.local_server import HOST, LocalServer, NatsServer, RedisServer

log = logging.getLogger("middlewatch.local")

_TICK = 0.25
"""Seconds between two looks at the lock or at the children."""


class LocalServers:
    """`async with LocalServers(var) as servers:` gives `servers.nats_url` and `servers.redis_url`, both answering.

    Raises Unavailable, with what to do, when a server program is missing or nothing answers within `patience` seconds.
    """

    def __init__(
        self, var: Path, *, nats: bool = True, redis: bool = True, patience: float = 20.0, farewell: float = 4.0
    ):
        self.var = var.resolve()
        self.patience, self.farewell = patience, farewell
        self._servers: list[LocalServer] = []
        if nats:
            self._servers.append(NatsServer(self.var / "nats"))
        if redis:
            self._servers.append(RedisServer(self.var / "redis"))
        self._urls: dict[str, str] = {}
        self._lock: IO[str] | None = None
        self._using: IO[str] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def nats_url(self) -> str:
        return self._urls["nats"]

    @property
    def redis_url(self) -> str:
        return self._urls["redis"]

    @property
    def holder(self) -> bool:
        """Whether the servers are children of this process."""
        return self._lock is not None

    async def __aenter__(self) -> LocalServers:
        self.var.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.patience
        try:
            while not (await self._take() or await self._find()):
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"another process holds {self._path('lock')} but its servers do not answer: end that process "
                        f"(its id is in {self._path('json')}), or set MIDDLEWATCH_VAR to another folder"
                    )
                await asyncio.sleep(_TICK / 5)
        except BaseException:
            self._stop()
            raise
        self._using = _locked(self._path("users"), fcntl.LOCK_SH)
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._using is not None:
            self._using.close()
        if self.holder:
            await self._others_left()
        self._stop()

    def _path(self, ending: str) -> Path:
        return self.var / f"servers.{ending}"

    async def _take(self) -> bool:
        """Become the holder and start the servers, if nobody holds them."""
        held = _locked(self._path("lock"), fcntl.LOCK_EX)
        if held is None:
            return False
        self._lock = held
        before = self._read()
        self._path("json").unlink(missing_ok=True)  # what it says is no longer so
        for server in self._servers:
            await self._start(server, int(before.get(server.name, {}).get("port", 0)))
        self._write()
        return True

    async def _start(self, server: LocalServer, port: int) -> None:
        for attempt in (1, 2, 3):
            server.spawn(port)
            try:
                deadline = time.monotonic() + self.patience
                while not server.ready():
                    if time.monotonic() > deadline:
                        raise Unavailable(f"{server.name} did not answer within {self.patience:g} s; see {server.log}")
                    await asyncio.sleep(0.01)
                return
            except Unavailable:
                server.stop()
                port = 0  # somebody may have taken the port in between
                if attempt == 3:
                    raise

    async def _find(self) -> bool:
        """Use the servers of the process that holds the lock."""
        known = self._read()
        for server in self._servers:
            port = int(known.get(server.name, {}).get("port", 0))
            if not port or not await _listens(port):
                return False
        self._urls = {s.name: str(known[s.name]["url"]) for s in self._servers}
        return True

    async def _keep(self) -> None:
        """Holder: start again what died. Others: take over when the holder has gone."""
        while True:
            await asyncio.sleep(_TICK)
            try:
                if not self.holder:
                    if await self._take():
                        log.warning("the process that held the local servers is gone: took over, on the same data")
                    continue
                for server in self._servers:
                    if not server.alive:
                        log.warning("the local %s server stopped: starting it again on %s", server.name, server.folder)
                        await self._start(server, server.port)
                        self._write()
            except Unavailable as error:
                log.error("local servers: %s; trying again", error)

    async def _others_left(self) -> None:
        deadline = time.monotonic() + self.farewell
        while time.monotonic() < deadline:
            if (alone := _locked(self._path("users"), fcntl.LOCK_EX)) is not None:
                alone.close()
                return
            await asyncio.sleep(_TICK / 5)

    def _stop(self) -> None:
        if self._lock is None:
            return
        for server in reversed(self._servers):
            server.stop()
        self._lock.close()
        self._lock = None

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._path("json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self) -> None:
        known: dict[str, Any] = {"holder": os.getpid()}
        for server in self._servers:
            known[server.name] = {"url": server.url, "port": server.port}
        self._urls = {s.name: s.url for s in self._servers}
        fresh = self._path("json.new")
        fresh.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self._path("json"))


async def serve_forever(var: Path) -> None:
    """Hold the servers (or stand by while another process does) until SIGTERM or SIGINT."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    async with LocalServers(var) as servers:
        log.info("local servers: %s and %s, data in %s", servers.nats_url, servers.redis_url, servers.var)
        await done.wait()


def _locked(path: Path, how: int) -> IO[str] | None:
    """The file, open and locked (shared or exclusive), or None when another process is in the way."""
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(HOST, port), 1.0)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
