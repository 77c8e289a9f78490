"""One connection to NATS: made within bounds, kept for ever, explained in words; and FastStream's broker on it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from core.errors import Unavailable
from integrations.jetstream import Message, Pull, Subscription

if TYPE_CHECKING:
    from faststream.nats import NatsBroker
    from nats.aio.client import Client
    from nats.js import JetStreamContext

log = logging.getLogger("middlewatch.nats")
_quiet = logging.getLogger("middlewatch.nats.faststream")
_quiet.setLevel(logging.ERROR)  # its chatter says less, and more often, than our own lines

GRACE = 10.0
"""Seconds that handlers get to finish what is in hand at a shutdown."""
READ = 256 * 1024
"""Bytes read at a time."""
NO_STORAGE = 10047
"""JetStream's code for a limit that the server's disk cannot hold."""


class Connection:
    """`integrations.jetstream.Connection`. `patience` (seconds) bounds the first connection and every request."""

    def __init__(self, url: str, name: str, patience: float, back: Callable[[], Awaitable[None]]):
        self.shown = re.sub(r"//[^@/,]*@", "//***@", url)
        """The address without its credentials."""
        self.identity = secrets.token_hex(8)
        self.client: Client
        self.stream: JetStreamContext
        self.closing = False
        self.ended = asyncio.Event()
        """Set when the server has ended the connection for good."""
        self._url, self._name, self._patience, self._back = url, name, patience, back
        self._up = asyncio.Event()
        self._reported = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._count = 0
        self._acks = ""
        self.pulls: WeakSet[Pull] = WeakSet()
        """What is pulled for routes: to be asked for again after an interruption."""

    async def open(self) -> None:
        """Raises Unavailable when no server answers in time, or when it refuses the credentials."""
        from nats.aio import client as library
        from nats.errors import Error

        library.DEFAULT_BUFFER_SIZE = READ  # 32 kB: a batch of a thousand events would be taken up in six pieces
        self.client = library.Client()
        connecting = self.client.connect(
            [part.strip() for part in self._url.split(",")], name=self._name, connect_timeout=2, ping_interval=15,
            reconnect_time_wait=0.2, max_reconnect_attempts=-1, pending_size=16 * 1024 * 1024,
            error_cb=self._on_error, disconnected_cb=self._on_disconnected, reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
        )  # type: ignore[arg-type]  # fmt: skip
        try:
            await asyncio.wait_for(connecting, self._patience)
        except TimeoutError:
            raise Unavailable(
                f"NATS at {self.shown} did not answer within {self._patience:g} s: start it, correct NATS_URL, "
                "or unset NATS_URL to have a local one started"
            ) from None
        except Error as error:
            raise Unavailable(f"NATS at {self.shown} refused: {error}; look at NATS_URL's user and password") from None
        finally:
            if not self.client.is_connected:
                await self.close()
        self.stream = self.client.jetstream(timeout=5.0)
        self._up.set()

    async def close(self) -> None:
        self.closing = True
        for task in list(self._tasks):
            task.cancel()
        if not self.client.is_closed:
            await self.client.close()

    async def _on_error(self, error: Exception) -> None:
        from nats.errors import AuthorizationError, Error

        log.debug("NATS: %r", error)
        if self.client.is_reconnecting:
            self.client._transport.close()  # nats-py 2.16 forgets the socket of an attempt that failed half-way
        if self._up.is_set() or self._reported:
            return
        if isinstance(error, AuthorizationError) or (
            isinstance(error, Error) and "authorization" in str(error).lower()
        ):
            raise error  # trying again would not help
        self._reported = True
        log.warning("waiting for NATS at %s: %s", self.shown, error or type(error).__name__)

    async def _on_disconnected(self) -> None:
        if self._up.is_set() and not self.closing:
            log.warning("NATS at %s went away; waiting for it, nothing is lost", self.shown)
        self._up.clear()
        self._reported = True

    async def _on_reconnected(self) -> None:
        log.warning("NATS at %s is back", self.shown)
        self._up.set()
        for pull in self.pulls:
            pull.again()
        task = asyncio.create_task(self._came_back())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _came_back(self) -> None:
        try:
            await self._back()
        except Unavailable as error:
            log.warning("after the reconnection: %s", error)

    async def _on_closed(self) -> None:
        if not self.closing:
            log.critical("NATS at %s ended the connection for good: %r", self.shown, self.client.last_error)
            self.ended.set()

    async def retried(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """The result of `attempt`, tried again while the server is away; Unavailable after `patience` seconds."""
        from nats.errors import Error, NoRespondersError
        from nats.js.errors import APIError, NoStreamResponseError, ServerError, ServiceUnavailableError

        deadline, delay = time.monotonic() + self._patience, 0.02
        passing = (NoRespondersError, NoStreamResponseError, ServerError, ServiceUnavailableError, TimeoutError)
        while True:
            try:
                return await attempt()
            except (APIError, Error, TimeoutError) as error:
                lasting = isinstance(error, APIError) and error.err_code == NO_STORAGE
                if lasting or (isinstance(error, APIError) and not isinstance(error, passing)):
                    raise
                if (left := deadline - time.monotonic()) <= 0 or self.ended.is_set() or self.closing:
                    raise Unavailable(f"NATS at {self.shown} does not take or give messages: {_said(error)}") from None
                delay = min(delay * 2, 1.0, max(left, 0.01))
            if self._up.is_set():
                await asyncio.sleep(delay)
            else:
                await self._until_up(left)

    async def _until_up(self, patience: float) -> None:
        try:
            await asyncio.wait_for(self._up.wait(), patience)
        except TimeoutError:
            log.debug("NATS is still away")

    def inbox(self) -> str:
        return str(self.client.new_inbox())

    async def request(self, subject: str, payload: bytes, timeout: float = 2.0) -> bytes:
        answer = await self.retried(lambda: self.client.request(subject, payload, timeout=timeout))
        return bytes(answer.data)

    async def send(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        from nats.errors import Error

        try:
            await self.client.publish(subject, payload, reply=reply)
        except Error as error:
            raise Unavailable(f"NATS at {self.shown} does not take messages: {_said(error)}") from None

    async def publish_all(self, messages: Sequence[tuple[str, bytes, dict[str, str]]]) -> None:
        """Have each (subject, payload, headers with a message id) stored. What was not answered is sent again, which
        its id makes harmless. Raises Unavailable."""
        left = list(messages)

        async def attempt() -> None:
            left[:] = await self._unanswered(left)
            if left:
                raise TimeoutError(f"{len(left)} of {len(messages)} messages were not acknowledged")

        await self.retried(attempt)

    async def _unanswered(self, messages: list[Any]) -> list[Any]:
        """Send them, all on one inbox (a request each would cost ten times as much); those without an answer."""
        if not self._acks:
            self._acks = self.inbox()
            await self.client.subscribe(f"{self._acks}.*", cb=self._answered)  # type: ignore[arg-type]
        loop, waiting = asyncio.get_running_loop(), {}
        try:
            for message in messages:
                self._count += 1
                token = str(self._count)
                waiting[token] = self._answers[token] = loop.create_future()
                subject, payload, headers = message
                await self.client.publish(subject, payload, reply=f"{self._acks}.{token}", headers=dict(headers))
            await asyncio.wait(waiting.values(), timeout=3.0)
            answers = [future.done() and future.result() for future in waiting.values()]
        finally:
            for token in waiting:
                self._answers.pop(token, None)
        return [message for message, answer in zip(messages, answers, strict=True) if not answer]

    async def _answered(self, message: Any) -> None:
        waiting = self._answers.get(message.subject.rpartition(".")[2])
        if waiting is None or waiting.done():
            return
        if message.data and b'"error"' not in message.data:
            waiting.set_result(True)
            return
        said = json.loads(message.data) if message.data else {}  # without data: nobody serves the stream
        if error := said.get("error"):
            log.warning("NATS at %s did not store a message: %s", self.shown, error.get("description"))
        waiting.set_result(bool(said) and "error" not in said)

    async def listen(self, subject: str, heard: Callable[[Message], Awaitable[None]]) -> Subscription:
        return _Ear(await self.client.subscribe(subject, cb=heard))  # type: ignore[arg-type]


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


class _Ear:
    def __init__(self, subscription: Any):
        self._subscription = subscription

    async def unsubscribe(self) -> None:
        from nats.errors import Error

        try:
            await self._subscription.unsubscribe()
        except Error as error:
            log.debug("nothing to unsubscribe from any more: %r", error)


class _Fetched:
    """What FastStream fetches from. nats-py's own `fetch` can end in an error that FastStream 0.7.8 does not expect,
    with messages in hand; ours waits at the server, and gives back at the end what nobody took."""

    def __init__(self, connection: Connection, stream: str, consumer: str):
        self._connection, self._stream, self._consumer = connection, stream, consumer
        self._pull: Pull | None = None

    async def fetch(self, batch: int = 1, timeout: float | None = None) -> list[Any]:
        from nats.errors import ConnectionClosedError
        from nats.errors import TimeoutError as NothingYet

        if self._connection.ended.is_set():
            await asyncio.sleep(1.0)  # else FastStream's loop would spin until the process has noticed
            raise ConnectionClosedError
        if self._pull is None:
            self._pull = Pull(self._connection, self._stream, self._consumer, max(batch, 1), ahead=False)
            await self._pull.open()
            self._connection.pulls.add(self._pull)
        try:
            messages: list[Any] = await self._pull.take(timeout or 1.0, batch)
        except Unavailable as error:
            log.debug("cannot fetch: %s", error)
            messages = []
        if self._pull.lost_consumer:
            self._pull.lost_consumer = False  # `Nats` puts it back
            await asyncio.sleep(0.2)
        if self._connection.closing:
            await self._give_back(messages)
            messages = []
        if not messages:
            raise NothingYet
        return messages

    async def unsubscribe(self) -> None:
        if self._pull is not None:
            await self._pull.close()
            await self._give_back(self._pull.left)

    async def _give_back(self, messages: list[Any]) -> None:
        try:
            for message in messages:
                await self._connection.send(message.reply, b"-NAK")
        except Unavailable as error:
            log.debug("cannot give messages back, they come again by themselves: %s", error)


def broker_on(connection: Connection) -> NatsBroker:
    """FastStream's broker on a connection that we made: its errors are ours to explain."""
    from faststream.nats import NatsBroker
    from nats.js import JetStreamContext

    class OurStream(JetStreamContext):
        async def pull_subscribe(self, subject: str, durable: str = "", stream: str = "", **_: Any) -> Any:
            return _Fetched(connection, stream, durable)

    class OnOurConnection(NatsBroker):
        async def _connect(self) -> Client:
            self.config.connect(connection.client)
            self.config.connection_state.connect(connection.client, OurStream(connection.client))
            return connection.client

    return OnOurConnection(logger=_quiet, apply_types=False, graceful_timeout=GRACE)
