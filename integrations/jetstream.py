"""JetStream's own JSON interface (docs.nats.io, "JetStream wire API"), over a connection that it is given.

Used where a client library's `fetch` is too slow or too narrow: pulling a firehose, acknowledging everything up to a
point, creating a consumer at a point.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

from core.errors import MiddlewatchError

PULL_SECONDS, HEARTBEAT_SECONDS = 30.0, 3.0
MAX_PULL_BYTES = 32 * 1024 * 1024
_NS = 1_000_000_000
CONSUMER_NOT_FOUND, CONSUMER_EXISTS = 10014, 10148


class Message(Protocol):
    """One message as the client library delivers it."""

    subject: str
    reply: str
    data: bytes
    headers: dict[str, str] | None


class Subscription(Protocol):
    async def unsubscribe(self) -> None: ...


class Connection(Protocol):
    """What is needed of a connection. `request` raises Unavailable when nobody answers."""

    identity: str
    """Of this connection and no other."""

    def inbox(self) -> str: ...

    async def request(self, subject: str, payload: bytes, timeout: float = 2.0) -> bytes: ...

    async def send(self, subject: str, payload: bytes = b"", reply: str = "") -> None: ...

    async def listen(self, subject: str, heard: Callable[[Message], Awaitable[None]]) -> Subscription: ...


class ApiError(MiddlewatchError):
    """JetStream refused. `code` is its own error code (10014: no such consumer)."""

    def __init__(self, what: str, code: int, description: str):
        super().__init__(f"JetStream refused {what}: {description} (error {code})")
        self.code = code


async def api(connection: Connection, what: str, body: Any = None) -> dict[str, Any]:
    """Answer to the request `$JS.API.<what>`. Raises ApiError when it is refused, Unavailable when nobody answers."""
    payload = b"" if body is None else json.dumps(body).encode()
    answer: dict[str, Any] = json.loads(await connection.request(f"$JS.API.{what}", payload))
    if error := answer.get("error"):
        raise ApiError(what, int(error.get("err_code", 0)), str(error.get("description", "")))
    return answer


def asked_for(subjects: Sequence[str]) -> dict[str, Any]:
    """The part of a consumer's configuration that names what it is given."""
    return {"filter_subject": subjects[0]} if len(subjects) == 1 else {"filter_subjects": list(subjects)}


async def make_consumer(connection: Connection, stream: str, **config: Any) -> dict[str, Any]:
    """Create a consumer, durable when `durable_name` is given; ApiError when there is another. Times in seconds."""
    for name in ("ack_wait", "inactive_threshold"):
        if name in config:
            config[name] = int(config[name] * _NS)
    subject = f"CONSUMER.CREATE.{stream}.{config['name']}"
    return await api(connection, subject, {"stream_name": stream, "config": config, "action": "create"})


class Position(NamedTuple):
    """Where a delivered message stands."""

    seq: int
    """In the stream."""
    delivery: int
    """In what this consumer was sent: grows by one a message, so a gap means that one was lost on the way."""
    at: float
    """When the server stored it, epoch seconds."""
    waiting: int
    """Messages that the server still holds for this consumer."""
    times: int
    """How often the message was delivered, this one included."""


def position(reply: str) -> Position:
    """Where a message stands, from its reply subject.

    `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`, or the longer form with a
    domain and an account hash before the stream (ADR-15).
    """
    parts = reply.split(".")
    shift = 0 if len(parts) == 9 else 2
    times, seq, delivery, at, waiting = parts[4 + shift : 9 + shift]
    return Position(int(seq), int(delivery), int(at) / _NS, int(waiting), int(times))


class Pull:
    """Keeps a pull consumer's messages coming into a small buffer: asks ahead, and again after every interruption.

    At most about `batch` messages (and 2 x MAX_PULL_BYTES, a part of it where pulls `share` a connection: the server
    ends one that does not take 64 MB) wait here, so a slow reader slows the server down. With `ahead` the next batch is
    asked for while this one is read.
    """

    def __init__(
        self, connection: Connection, stream: str, consumer: str, batch: int = 1_000, *, ahead: bool = True,
        share: int = 1,
    ):  # fmt: skip
        self._connection, self._batch, self._ahead = connection, batch, ahead
        self._bytes = MAX_PULL_BYTES // share
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = connection.inbox()
        self._buffer: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._asked = 0
        self._heard = time.monotonic()
        self._subscription: Subscription | None = None
        self._closed = False
        self.lost_consumer = False
        """The server says that there is no such consumer (any more)."""

    async def open(self) -> None:
        self._subscription = await self._connection.listen(self._inbox, self._on_message)

    async def close(self) -> None:
        """Stop: a reader that waits in `take` gets nothing more. `left` is what nobody took."""
        self._closed = True
        self._arrived.set()
        if self._subscription is not None:
            await self._subscription.unsubscribe()
            self._subscription = None

    async def take(self, patience: float, most: int = 1_000_000) -> list[Message]:
        """What is here (at most `most`), waiting for at least one message; empty after `patience` seconds."""
        deadline = time.monotonic() + patience
        while not (self._buffer or self.lost_consumer or self._closed):
            await self._ask()
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(left, HEARTBEAT_SECONDS)):
                    await self._arrived.wait()
            except TimeoutError:
                if time.monotonic() - self._heard > 2.5 * HEARTBEAT_SECONDS:
                    self.again()
        taken = [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]
        if self._ahead:
            await self._ask()
        return taken

    @property
    def left(self) -> list[Message]:
        """What arrived and was not taken."""
        return list(self._buffer)

    def again(self) -> None:
        """Forget what was asked for (the server has, too): ask afresh."""
        self._asked = 0
        self._arrived.set()

    async def _ask(self) -> None:
        if self._closed or self._asked > (self._batch // 2 if self._ahead else 0) or len(self._buffer) >= self._batch:
            return
        body = {
            "batch": self._batch,
            "expires": int(PULL_SECONDS * _NS),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * _NS),
            "max_bytes": self._bytes,
        }
        self._asked += self._batch
        self._heard = time.monotonic()
        await self._connection.send(self._next, json.dumps(body).encode(), self._inbox)

    async def _on_message(self, message: Message) -> None:
        self._heard = time.monotonic()
        headers = message.headers
        status = headers.get("Status") if headers and not message.reply.startswith("$JS.ACK.") else None
        if status is None:
            self._asked -= 1
            self._buffer.append(message)
        elif status == "100":
            return  # a heartbeat
        else:
            self._on_status(status, headers or {})
        self._arrived.set()

    def _on_status(self, status: str, headers: dict[str, str]) -> None:
        # 408: the request has expired; 409: it was ended (byte limit, shutdown, deletion); 503: nobody serves it
        unsent = headers.get("Nats-Pending-Messages")
        self._asked = max(0, self._asked - int(unsent)) if unsent else 0
        said = headers.get("Description", "").lower()
        self.lost_consumer = self.lost_consumer or status == "503" or "consumer deleted" in said
        if "exceeds maxbytes" in said and unsent and int(unsent) >= self._batch:  # one alone is larger than our part
            self._bytes = min(2 * self._bytes, MAX_PULL_BYTES)
