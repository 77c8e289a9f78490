"""Reading a stream in order: with a position that the reader's own snapshot decides, or once from end to end.

A `Feed` loses and doubles nothing across kill -9: the reader saves its state together with the position that it has
reached, tells the server afterwards, and starts again just behind its saved position.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from msgspec import Struct

from core.errors import Unavailable
from integrations.jetstream import (
    CONSUMER_NOT_FOUND,
    ApiError,
    Connection,
    Message,
    Position,
    Pull,
    api,
    make_consumer,
    position,
)
from integrations.streams import stream_of
from integrations.wire import Bad, Decode, Delivered, delivered

log = logging.getLogger("middlewatch.nats")

SetAside = Callable[[str, Bad, int], Awaitable[None]]
"""(subject, what could not be read, stream sequence): keeps it on `dead.*`. Raises Unavailable."""

_PATIENCE = 1.0


class Feed:
    """`async for batch in feed:` gives lists of Delivered in stream order; `await feed.ack(seq)` after a snapshot.

    One reader a `durable`. `start` is the first stream sequence wanted, normally the snapshot's + 1; without it the
    feed goes on behind what was acknowledged, or from the stream's beginning.
    """

    def __init__(
        self, connection: Connection, set_aside: SetAside, *, durable: str, subject: str,
        start: int | None = None, batch: int = 1_000, decode: Decode | None = None,
    ):  # fmt: skip
        self.durable, self.subject, self.stream = durable, subject, stream_of(subject)
        self._connection, self._set_aside = connection, set_aside
        self._start, self._batch, self._decode = start, batch, decode
        self._pull: Pull | None = None
        self._marks: deque[tuple[int, str]] = deque()
        self._safe = 0  # the reader's last ack
        self._delivery = 0
        self._stale = self.closed = False
        self.position = 0
        """Stream sequence of the last message handed out (or of the one before the start)."""
        self.waiting = 0
        """Messages that the server still held when the last one was handed out."""
        self.skipped = 0
        """Messages that the stream's limits dropped before they were read."""

    async def open(self) -> None:
        """Place the consumer. Raises Unavailable when the server does not answer or has no such stream."""
        if self._start is None:
            self._start = await self._acknowledged() + 1
        self.position = self._safe = await self._place(self._start)

    async def close(self) -> None:
        """Stop reading. What was not acknowledged comes again at the next start."""
        self.closed = True
        if self._pull is not None:
            await self._pull.close()

    def again(self) -> None:
        """The connection was interrupted: what was on its way may be lost, so place the consumer anew."""
        self._stale = True
        if self._pull is not None:
            self._pull.again()

    def __aiter__(self) -> AsyncIterator[list[Delivered]]:
        return self._batches()

    async def ack(self, seq: int) -> None:
        """Tell the server that everything up to `seq` is safely in a snapshot."""
        self._safe = max(self._safe, seq)
        reply = ""
        while self._marks and self._marks[0][0] <= self._safe:
            _, reply = self._marks.popleft()
        if reply:
            await self._connection.send(reply)

    async def _batches(self) -> AsyncIterator[list[Delivered]]:
        if self._pull is None:
            await self.open()
        while not self.closed:
            assert self._pull is not None
            messages = await self._pull.take(_PATIENCE)
            batch = []
            for message in messages:
                where = position(message.reply)
                self._delivery += 1
                if where.delivery != self._delivery:
                    self._stale = True  # one was lost on the way: what follows will come again, in order
                    break
                self._marks.append((where.seq, message.reply))
                if where.seq > self.position:
                    batch.append(await self._read(message, where))
            if batch:
                yield batch
            if (self._stale or self._pull.lost_consumer) and not self.closed:
                await self._place_again()

    async def _read(self, message: Message, where: Position) -> Delivered:
        said = (message.headers or {}).get("Content-Type", "")
        result, bad = delivered(
            message.subject, message.data, said, seq=where.seq, at=where.at, decode=self._decode
        )  # fmt: skip
        for one in bad:
            await self._certainly_set_aside(message.subject, one, where.seq)
        self.position, self.waiting = where.seq, where.waiting
        return result

    async def _certainly_set_aside(self, subject: str, bad: Bad, seq: int) -> None:
        while not self.closed:
            try:
                return await self._set_aside(subject, bad, seq)
            except Unavailable as error:
                log.warning("cannot dead-letter a bad event yet: %s", error)

    async def _acknowledged(self) -> int:
        try:
            known = await api(self._connection, f"CONSUMER.INFO.{self.stream}.{self.durable}")
        except ApiError as error:
            if error.code != CONSUMER_NOT_FOUND:
                raise Unavailable(str(error)) from None
            return 0
        return int(known["ack_floor"]["stream_seq"])

    async def _place(self, start: int) -> int:
        """Make the consumer begin at `start`: a durable cannot be moved, so it is replaced. Where it stands now."""
        state = (await self._asked(f"STREAM.INFO.{self.stream}"))["state"]
        first, last = max(1, int(state["first_seq"])), int(state["last_seq"])
        if start > last + 1:
            log.warning("%s is younger than the saved position %d: reading it from its beginning", self.stream, start)
            start = first
        missed = first - max(start, self.position + 1)
        if start > 1 and missed > 0:
            self.skipped += missed
            log.error("%s: %d messages were dropped by its limits before they were read", self.stream, missed)
        start = max(start, first)
        try:
            await api(self._connection, f"CONSUMER.DELETE.{self.stream}.{self.durable}")
        except ApiError as error:
            if error.code != CONSUMER_NOT_FOUND:
                raise Unavailable(str(error)) from None
        await make_consumer(
            self._connection, self.stream, name=self.durable, durable_name=self.durable, filter_subject=self.subject,
            ack_policy="all", deliver_policy="by_start_sequence", opt_start_seq=start, replay_policy="instant",
            max_ack_pending=-1, max_deliver=-1, ack_wait=3_600.0,
        )  # fmt: skip
        self._marks.clear()
        self._delivery, self._stale = 0, False
        if self._pull is not None:
            await self._pull.close()
        self._pull = Pull(self._connection, self.stream, self.durable, self._batch)
        await self._pull.open()
        return start - 1

    async def _place_again(self) -> None:
        """Put the consumer back behind the last ack (a later start would claim as safe what is not): what was handed
        out since comes again and is passed over."""
        while not self.closed:
            try:
                await self._place(self._safe + 1)
                return
            except (Unavailable, ApiError) as error:
                log.warning("%s cannot be read yet: %s", self.stream, error)
                await asyncio.sleep(_PATIENCE)

    async def _asked(self, what: str) -> dict[str, Any]:
        try:
            return await api(self._connection, what)
        except ApiError as error:
            raise Unavailable(str(error)) from None


class Entry(Struct, frozen=True, kw_only=True):
    """One stored message as it is."""

    subject: str
    data: bytes
    seq: int
    at: float
    """When the server stored it, epoch seconds."""


async def read_stream(connection: Connection, subject: str, start: int = 1) -> AsyncIterator[Entry]:
    """Every message on `subject` that is stored now, from sequence `start`, in order. Raises Unavailable."""
    stream, name = stream_of(subject), f"read-{secrets.token_hex(8)}"
    try:
        consumer = await make_consumer(
            connection, stream, name=name, filter_subject=subject, ack_policy="none", mem_storage=True,
            deliver_policy="by_start_sequence", opt_start_seq=max(1, start), inactive_threshold=30.0,
        )  # fmt: skip
    except ApiError as error:
        raise Unavailable(str(error)) from None
    left, read = int(consumer["num_pending"]), 0
    pull = Pull(connection, stream, name, 256)
    await pull.open()
    try:
        while left > 0:
            messages = await pull.take(10.0)
            if not messages:
                raise Unavailable(f"{stream} stopped answering with {left} messages unread: try again")
            for message in messages[:left]:
                where = position(message.reply)
                read += 1
                if where.delivery != read:
                    raise Unavailable(f"the connection was interrupted while {stream} was read: try again")
                yield Entry(subject=message.subject, data=message.data, seq=where.seq, at=where.at)
            left -= len(messages)
    finally:
        await pull.close()
        await api(connection, f"CONSUMER.DELETE.{stream}.{name}")
