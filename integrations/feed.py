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

from core.detect import PARTITIONS
from core.errors import Unavailable
from integrations.jetstream import (
    CONSUMER_EXISTS,
    CONSUMER_NOT_FOUND,
    ApiError,
    Connection,
    Message,
    Position,
    Pull,
    api,
    asked_for,
    make_consumer,
    position,
)
from integrations.partitions import Claim, Taken, reader_of
from integrations.streams import filters, spoken, stream_of
from integrations.wire import Bad, Decode, Delivered, delivered

log = logging.getLogger("middlewatch.nats")

SetAside = Callable[[str, Bad, int], Awaitable[None]]
"""(subject, what could not be read, stream sequence): keeps it on `dead.*`. Raises Unavailable."""

_PATIENCE = 1.0


class Feed:
    """`async for batch in feed:` gives lists of Delivered in stream order; `await feed.ack(seq)` after a snapshot.

    One reader a `durable` at a time: a second one stands by in `open` until the first reads no more (a killed process
    counts at once), so starting two is how to have a spare. A reader whose place was taken gets Taken.

    `start` is the first stream sequence wanted, normally the snapshot's + 1; without it the
    feed goes on behind what was acknowledged, or from the stream's beginning. With a `claim` it reads that partition
    alone, and does not wait for the reader before: whoever holds the claim is the reader.
    """

    def __init__(
        self, connection: Connection, set_aside: SetAside, *, durable: str, subject: str,
        start: int | None = None, batch: int = 1_000, decode: Decode | None = None, claim: Claim | None = None,
    ):  # fmt: skip
        self.durable, self.subject, self.stream = durable, subject, stream_of(subject)
        self._claim = claim
        self._filters = filters(subject, None if claim is None else claim.partition)
        self._connection, self._set_aside = connection, set_aside
        self._start, self._batch, self._decode = start, batch, decode
        self._pull: Pull | None = None
        self._marks: deque[tuple[int, str]] = deque()
        self._safe = 0  # the reader's last ack
        self._delivery = 0
        self._idle = ""  # when the consumer that nobody reads was made: this very one may be replaced
        self._stale = self.closed = False
        self.position = 0
        """Stream sequence of the last message handed out (or of the one before the start)."""
        self.waiting = 0
        """Messages that the server still held when the last one was handed out."""
        self.skipped = 0
        """Messages that the stream's limits dropped before they were read."""

    async def open(self) -> None:
        """Place the consumer, once nobody else reads. Raises Unavailable when the server does not answer."""
        while not self.closed:
            if self._claim is None:
                await self.until_free()
            elif self._claim.durable == self.durable:
                self._idle = self._claim.made
            else:  # it goes with the claim, whoever read it before
                self._idle = (await self._consumer() or {}).get("created", "")
            start = self._start if self._start is not None else await self._acknowledged() + 1
            try:
                self.position = self._safe = await self._place(start)
                return
            except Taken:
                if self._claim is not None:
                    raise
                log.info("somebody else was quicker to read %s", self.durable)

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

    async def _consumer(self) -> dict[str, Any] | None:
        try:
            return await api(self._connection, f"CONSUMER.INFO.{self.stream}.{self.durable}")
        except ApiError as error:
            if error.code != CONSUMER_NOT_FOUND:
                raise Unavailable(str(error)) from None
            return None

    async def _acknowledged(self) -> int:
        known = await self._consumer()
        return int(known["ack_floor"]["stream_seq"]) if known else 0

    async def until_free(self) -> None:
        """Stand by while another process reads this durable. A reader that restores a snapshot does so afterwards.

        A reader always has a request waiting at the server: without one there is no reader (any more).
        """
        quiet = told = False
        while not self.closed:
            known = await self._consumer()
            self._idle = ""
            if known is None or self._ours(known):
                return
            if known.get("num_waiting"):
                quiet = False
                if not told:
                    log.warning("another process reads %s: standing by", self.durable)
                told = True
            elif quiet:
                self._idle = known["created"]
                return
            else:
                quiet = True
            await asyncio.sleep(_PATIENCE / 4 if quiet else _PATIENCE)

    def _ours(self, known: dict[str, Any]) -> bool:
        return reader_of(known) == self._connection.identity

    async def _place(self, start: int) -> int:
        """Make the consumer begin at `start`: a durable cannot be moved, so it is replaced. Where it stands now."""
        state = (await self._asked(f"STREAM.INFO.{self.stream}"))["state"]
        first, last = max(1, int(state["first_seq"])), int(state["last_seq"])
        if start > last + 1:
            log.warning("%s is younger than the saved position %d: reading it from its beginning", self.stream, start)
            start = first
        missed = first - max(start, self.position + 1)
        if start > 1 and missed > 0 and self._claim is not None:
            log.warning("%s: up to %d messages, of all partitions, were dropped by its limits", self.stream, missed)
        elif start > 1 and missed > 0:
            self.skipped += missed
            log.error("%s: %d messages were dropped by its limits before they were read", self.stream, missed)
        start = max(start, first)
        await self._replace(start)
        self._marks.clear()
        self._delivery, self._stale = 0, False
        if self._pull is not None:
            await self._pull.close()
        share = 4 * PARTITIONS if self._claim else 1
        self._pull = Pull(self._connection, self.stream, self.durable, self._batch, share=share)
        await self._pull.open()
        return start - 1

    async def _replace(self, start: int) -> None:
        """Remove the consumer that is ours or idle, and make it anew. Raises Taken when another process was quicker."""
        known = await self._consumer()
        if known is not None:
            if not self._ours(known) and known["created"] != self._idle:
                raise Taken(f"another process reads {self.durable} now")
            try:
                await api(self._connection, f"CONSUMER.DELETE.{self.stream}.{self.durable}")
            except ApiError as error:
                if error.code != CONSUMER_NOT_FOUND:
                    raise Unavailable(str(error)) from None
        try:
            await make_consumer(
                self._connection, self.stream, name=self.durable, durable_name=self.durable,
                **asked_for(self._filters), ack_policy="all", deliver_policy="by_start_sequence",
                opt_start_seq=start, replay_policy="instant", max_ack_pending=-1, max_deliver=-1, ack_wait=3_600.0,
                metadata={"reader": self._connection.identity},
            )  # fmt: skip
        except ApiError as error:
            if error.code != CONSUMER_EXISTS:
                raise Unavailable(str(error)) from None
            known = await self._consumer()  # ours, when the answer to a first request was lost
            if known is None or not self._ours(known):
                raise Taken(f"another process reads {self.durable} now") from None

    async def _place_again(self) -> None:
        """Put the consumer back behind the last ack (a later start would claim as safe what is not): what was handed
        out since comes again and is passed over."""
        while not self.closed:
            try:
                self._idle = ""
                await self._place(self._safe + 1)
                return
            except Taken:
                raise
            except Unavailable as error:
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
            connection, stream, name=name, **asked_for(filters(subject)), ack_policy="none", mem_storage=True,
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
                yield Entry(subject=spoken(message.subject), data=message.data, seq=where.seq, at=where.at)
            left -= len(messages)
    finally:
        await pull.close()
        await api(connection, f"CONSUMER.DELETE.{stream}.{name}")
