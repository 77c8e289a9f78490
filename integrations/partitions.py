"""Which process works on which partition, told by the server and nobody else.

A partition belongs to the process that made its consumer (a durable, `<durable>-<n>`); the process writes its mark into
it. A process lives as long as the server holds a request of it: every process keeps one waiting on a small consumer of
its own, and the server forgets it the moment the connection is gone (kill -9 included). So one look at the stream's
consumers tells who is there, what is whose, and what is nobody's. Each process takes what is free up to its fair share,
and gives back what is beyond it when another one comes.

Why not a pinned client of a priority group: the server pins at the first message, so a partition without traffic would
have no owner; and it unpins by the clock, so a process that was slow for a moment would lose its partitions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from core.errors import Unavailable
from core.tasks import ended
from integrations.jetstream import (
    CONSUMER_EXISTS,
    CONSUMER_NOT_FOUND,
    ApiError,
    Connection,
    Message,
    Subscription,
    api,
    make_consumer,
)
from integrations.streams import stream_of

log = logging.getLogger("middlewatch.nats")

BEAT = 0.5
"""Seconds between two looks."""
_WAITS = 20.0
"""Seconds that a presence's request waits at the server; it is asked again in time."""
_NS = 1_000_000_000


class Taken(Unavailable):
    """Another process reads this durable now: what this one holds in memory is no longer the truth."""


class Claim(NamedTuple):
    """A partition that is this process's to work on."""

    partition: int
    durable: str
    """Of the consumer that says so, which the job must place and read."""
    made: str
    """When the consumer that nobody reads was made, as the server says; empty when there is none. Only this very one
    may be replaced."""


Job = Callable[[Claim], Awaitable[None]]
"""Works on a partition until it is cancelled, and then stores where it stands; or ends with Taken."""


async def share_out(connection: Connection, durable: str, subject: str, partitions: int, job: Job) -> None:
    """Run `job` for this process's fair share of the partitions, for ever. Other errors of a job are raised."""
    share = _Share(connection, durable, stream_of(subject), partitions, job)
    try:
        await share.keep()
    finally:
        await share.end()


class _Share:
    def __init__(self, connection: Connection, durable: str, stream: str, partitions: int, job: Job):
        self.connection, self.durable, self.stream, self.partitions = connection, durable, stream, partitions
        self.job = job
        self.jobs: dict[int, asyncio.Task[None]] = {}
        self.presence = _Presence(connection, stream, durable)
        self._free: set[int] = set()

    async def keep(self) -> None:
        while True:
            try:
                await self._look()
            except Unavailable as away:
                log.debug("partitions stay as they are: %s", away)
            await asyncio.sleep(BEAT)

    async def end(self) -> None:
        await asyncio.gather(*(self._give_back(n) for n in list(self.jobs)), return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await self.presence.leave()

    async def _look(self) -> None:
        self._ended()
        found = await consumers(self.connection, self.stream)
        await self.presence.show(found)
        living = sorted(self.presence.living(found))
        fair = -(-self.partitions // len(living))
        free = {n for n in range(self.partitions) if n not in self.jobs and self._is_free(n, found, living)}
        for n in sorted(self.jobs)[fair:]:
            log.info("partition %d of %s goes to another process", n, self.durable)
            await self._give_back(n)
        first = living.index(self.presence.name) * fair  # two that start at once begin at different ends
        for n in sorted(free & self._free, key=lambda n: (n - first) % self.partitions)[
            : max(fair - len(self.jobs), 0)
        ]:
            claim = Claim(n, self._name(n), found.get(self._name(n), {}).get("created", ""))
            self.jobs[n] = asyncio.create_task(self.job(claim), name=claim.durable)
        self._free = free

    def _is_free(self, n: int, found: dict[str, Any], living: list[str]) -> bool:
        mark = reader_of(found.get(self._name(n)))
        return mark == self.connection.identity or f"{self.durable}-by-{mark}" not in living

    def _name(self, n: int) -> str:
        return f"{self.durable}-{n}"

    def _ended(self) -> None:
        """Forget the partitions that others have taken. Raises what else ended a job."""
        for n, job in list(self.jobs.items()):
            if job.done():
                del self.jobs[n]
                try:
                    job.result()
                except Taken as taken:
                    log.warning("partition %d of %s: %s", n, self.durable, taken)

    async def _give_back(self, n: int) -> None:
        """End the job, which stores where it stands; then take our mark off the partition."""
        job = self.jobs.pop(n)
        await ended([job])
        name = self._name(n)
        try:
            found = await api(self.connection, f"CONSUMER.INFO.{self.stream}.{name}")
            if reader_of(found) == self.connection.identity:
                config = found["config"] | {"metadata": {"reader": ""}}
                body = {"stream_name": self.stream, "config": config, "action": "update"}
                await api(self.connection, f"CONSUMER.CREATE.{self.stream}.{name}", body)
        except (ApiError, Unavailable) as error:
            log.info("%s keeps our mark until this process ends: %s", name, error)


class _Presence:
    """Shows the others that this process lives: a consumer that is given nothing, with a request always waiting."""

    def __init__(self, connection: Connection, stream: str, durable: str):
        self.connection, self.stream, self.prefix = connection, stream, f"{durable}-by-"
        self.name = self.prefix + connection.identity
        self._asked = 0.0
        self._inbox = connection.inbox()
        self._ear: Subscription | None = None

    def living(self, found: dict[str, Any]) -> set[str]:
        """The presences of all processes that live, ours among them."""
        return {self.name} | {n for n, one in found.items() if n.startswith(self.prefix) and one["num_waiting"]}

    async def show(self, found: dict[str, Any]) -> None:
        """Make ours seen, where it is not or soon will be no more. Raises Unavailable."""
        now = asyncio.get_running_loop().time()
        if found.get(self.name, {}).get("num_waiting") and now - self._asked < _WAITS / 2:
            return
        if self._ear is None:  # the server counts a request only while somebody listens for its answer
            self._ear = await self.connection.listen(self._inbox, _heard)
        if self.name not in found:
            try:
                await make_consumer(
                    self.connection, self.stream, name=self.name, filter_subject=f"nothing.{self.name}",
                    ack_policy="none", mem_storage=True, inactive_threshold=3 * _WAITS, deliver_policy="new",
                )  # fmt: skip
            except ApiError as error:
                if error.code != CONSUMER_EXISTS:
                    raise Unavailable(str(error)) from None
        body = json.dumps({"batch": 1, "expires": int(_WAITS * _NS)}).encode()
        await self.connection.send(f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self.name}", body, self._inbox)
        self._asked = now

    async def leave(self) -> None:
        if self._ear is not None:
            await self._ear.unsubscribe()
        try:
            await api(self.connection, f"CONSUMER.DELETE.{self.stream}.{self.name}")
        except ApiError as error:
            if error.code != CONSUMER_NOT_FOUND:
                raise Unavailable(str(error)) from None


async def _heard(message: Message) -> None:
    log.debug("a presence was answered %s", message.headers)


def reader_of(consumer: dict[str, Any] | None) -> str:
    """The mark of the process that made it; empty when there is none."""
    return str(((consumer or {}).get("config", {}).get("metadata") or {}).get("reader", ""))


async def consumers(connection: Connection, stream: str) -> dict[str, Any]:
    """Every consumer of a stream by name, as the server describes it. Raises Unavailable."""
    found: dict[str, Any] = {}
    while True:
        try:
            page = await api(connection, f"CONSUMER.LIST.{stream}", {"offset": len(found)})
        except ApiError as error:
            raise Unavailable(str(error)) from None
        found |= {one["name"]: one for one in page["consumers"] or []}
        if not page["consumers"] or len(found) >= page["total"]:
            return found
