"""A route: which events go to which handler, and what becomes of a message when the handler returns or raises.

| the handler                                  | the message                                                        |
|----------------------------------------------|--------------------------------------------------------------------|
| returns                                      | is done                                                            |
| raises Retry(after=s)                        | comes again in s seconds, as often as it takes                     |
| raises Unavailable, AuditError, Conflict     | comes again after a growing delay: an outage is no message's fault |
| raises Poison(reason)                        | goes to `dead.<subject>`                                           |
| raises anything else                         | is logged, comes again after a growing delay, then is dead too     |
| dies with its process                        | comes again                                                        |

So a handler must bear to see a message twice, and what it saves must be saved before it publishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from msgspec import Struct

from core.errors import AuditError, Conflict, MiddlewatchError, Poison, Retry, Unavailable
from integrations.feed import SetAside
from integrations.jetstream import position
from integrations.wire import OURS, Bad, Delivered, delivered, family

log = logging.getLogger("middlewatch.nats")

ATTEMPTS = 8
"""How often a handler may fail on one message before the message is set aside."""
LONGEST_DELAY = 30.0


class Route(Struct, frozen=True, kw_only=True):
    """`durable` remembers, at the server, how far these events were handled; two routes must not share one.

    The handler gets each event of ours (`AlertFired`, `IncidentChanged` ...) by itself, and a producer's events
    message by message as `Delivered` (tenant and model are in the subject). With `batch` > 1 it gets a list of up to
    so many of these; if it fails on a list, they come again one by one, so that one bad message harms no other.
    """

    durable: str
    subject: str
    handler: Callable[[Any], Awaitable[None]]
    batch: int = 1
    linger: float = 0.2
    """Seconds to wait for a batch to fill."""
    workers: int = 1
    """How many messages may be in hand at once."""
    ack_wait: float = 10.0
    """Seconds after which a silent handler is taken for dead. One that runs is reported to the server meanwhile."""


class Handling:
    """What happens to the messages of one route."""

    def __init__(self, route: Route, set_aside: SetAside):
        self.route, self._set_aside = route, set_aside
        self._failures: dict[int, int] = {}

    async def one(self, message: Any) -> None:
        """Handle one message and answer for it. Raises nothing but cancellation."""
        await self._answered([message], self._single, message)

    async def many(self, messages: list[Any]) -> None:
        """Handle a batch; message by message when the handler fails on the whole."""
        await self._answered(messages, self._several, messages)

    async def _answered(self, messages: list[Any], handle: Callable[[Any], Awaitable[None]], argument: Any) -> None:
        async with self._reporting(messages):
            try:
                await handle(argument)
            except MiddlewatchError as error:  # only the answer failed: the server will deliver again
                log.warning("%s: could not answer for a message yet: %s", self.route.durable, error)

    async def _several(self, messages: list[Any]) -> None:
        read = [await self._read(message) for message in messages]
        items = [item for one in read if one is not None for item in self._items(one)]
        try:
            if items:
                await self.route.handler(items)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; each message answers for itself below
            log.info("%s: a batch of %d failed (%s): one by one now", self.route.durable, len(messages), error)
            for message in messages:
                await self._single(message)
            return
        for message, one in zip(messages, read, strict=True):
            await (message.ack() if one is not None else message.nak(delay=1.0))

    async def _single(self, message: Any) -> None:
        one = await self._read(message)
        if one is None:
            return await message.nak(delay=1.0)
        try:
            for item in self._items(one):
                await self.route.handler([item] if self.route.batch > 1 else item)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; the table above says what follows
            return await self._failed(message, error)
        self._failures.pop(one.seq, None)
        return await message.ack()

    def _items(self, one: Delivered) -> list[Any]:
        """What the handler is given of one message."""
        if family(one.subject) in OURS:
            return list(one.events)
        return [one] if one.events else []

    async def _read(self, message: Any) -> Delivered | None:
        """The message's events, its bad ones set aside; None when they could not be set aside now."""
        where = position(message.reply)
        said = (message.headers or {}).get("Content-Type", "")
        one, bad = delivered(message.subject, message.data, said, seq=where.seq, at=where.at)
        try:
            for event in bad:
                await self._set_aside(message.subject, event, where.seq)
        except Unavailable as error:
            log.warning("%s: a bad event could not be dead-lettered yet: %s", self.route.durable, error)
            return None
        return one

    async def _failed(self, message: Any, error: Exception) -> None:
        where, name = position(message.reply), self.route.durable
        seq = where.seq
        if isinstance(error, Retry):
            log.info("%s: %s #%d again in %g s: %s", name, message.subject, seq, error.after, error.reason)
            return await message.nak(delay=max(0.01, error.after))
        if isinstance(error, Poison):
            return await self._dead(message, error.reason)
        delay = min(LONGEST_DELAY, 0.25 * 2 ** min(where.times, 10))
        if isinstance(error, Unavailable | AuditError | Conflict):
            log.warning("%s: %s #%d again in %g s: %s", name, message.subject, seq, delay, error)
            return await message.nak(delay=delay)
        times = self._failures[seq] = self._failures.get(seq, 0) + 1
        log.error("%s: failed on %s #%d, time %d", name, message.subject, seq, times, exc_info=error)
        if times >= ATTEMPTS:
            return await self._dead(
                message, f"the handler {name} failed {times} times: {type(error).__name__}: {error}"
            )
        return await message.nak(delay=delay)

    async def _dead(self, message: Any, reason: str) -> None:
        seq = position(message.reply).seq
        log.error("%s: dead-lettered %s #%d: %s", self.route.durable, message.subject, seq, reason)
        await self._set_aside(message.subject, Bad(reason, message.data, 0), seq)
        self._failures.pop(seq, None)
        await message.ack()

    @contextlib.asynccontextmanager
    async def _reporting(self, messages: list[Any]) -> AsyncIterator[None]:
        """Tell the server, while the handler runs, that it runs."""
        task = asyncio.create_task(self._report(messages))
        try:
            yield
        finally:
            task.cancel()

    async def _report(self, messages: list[Any]) -> None:
        while True:
            await asyncio.sleep(self.route.ack_wait / 3)
            for message in messages:
                if not message.is_acked:
                    await message.in_progress()
