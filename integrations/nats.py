"""The event bus: NATS JetStream, served through FastStream. The only home of `faststream` and `nats`.

`async with Nats(url) as bus:` connects, makes the streams, and then: `bus.publish(event)`, `bus.serve(routes)`,
`bus.feed(...)`, `bus.read(...)`, `bus.live(...)`, `bus.depth()`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from core.errors import Unavailable
from core.events import subject_of
from integrations.feed import Entry, Feed, read_stream
from integrations.jetstream import Message, Subscription
from integrations.routes import Handling, Route
from integrations.streams import STREAMS, Stream, faults, stream_of
from integrations.wire import JSON, Bad, Decode, dead_letter, encode

if TYPE_CHECKING:
    from faststream.nats import NatsBroker
    from nats.aio.client import Client
    from nats.js import JetStreamContext

log = logging.getLogger("middlewatch.nats")
_quiet = logging.getLogger("middlewatch.nats.faststream")
_quiet.setLevel(logging.ERROR)  # its chatter says less, and more often, than our own lines

__all__ = ["Entry", "Feed", "Nats", "Route"]

GRACE = 10.0
"""Seconds that handlers get to finish what is in hand at a shutdown."""


class Nats:
    """`core.ports.Bus` and everything else that is asked of the event bus.

    `patience` (seconds) bounds the first connection and every publish; in between the connection comes back for ever.
    """

    def __init__(self, url: str, *, name: str = "middlewatch", patience: float = 20.0):
        self.shown = re.sub(r"//[^@/,]*@", "//***@", url)
        """The address without its credentials."""
        self._url, self._name, self._patience = url, name, patience
        self._client: Client
        self._broker: NatsBroker | None = None
        self._feeds: list[Feed] = []
        self._routes: list[Route] = []
        self._up = asyncio.Event()
        self._ended = asyncio.Event()
        self._closing = self._reported = False
        self._tasks: set[asyncio.Task[None]] = set()

    # connection

    async def __aenter__(self) -> Self:
        await self.connect()
        try:
            await self.make_streams()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Raises Unavailable when no server answers in time, or when it refuses the credentials."""
        from nats.aio.client import Client
        from nats.errors import Error

        self._client = Client()
        connecting = self._client.connect(
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
            if not self._client.is_connected:
                await self.close()
        self._broker = _broker_on(self._client)
        await self._broker.connect()
        self._up.set()

    async def close(self) -> None:
        """Stop fetching, let handlers finish what is in hand, acknowledge, disconnect."""
        from nats.errors import Error

        self._closing = True
        for feed in self._feeds:
            await feed.close()
        for task in list(self._tasks):
            task.cancel()
        try:
            if self._broker is not None:
                await self._broker.stop()
        except (Error, TimeoutError) as error:
            log.info("NATS went away during the shutdown: %s", error)
        if not self._client.is_closed:
            await self._client.close()

    async def ended(self) -> None:
        """Returns (by raising Unavailable) when the server has ended the connection for good."""
        await self._ended.wait()
        raise Unavailable(f"NATS at {self.shown} ended the connection for good; see the log above, then start again")

    @property
    def _stream(self) -> JetStreamContext:
        assert self._broker is not None
        return self._broker.config.connection_state.stream

    async def _on_error(self, error: Exception) -> None:
        from nats.errors import AuthorizationError, Error

        log.debug("NATS: %r", error)
        if self._client.is_reconnecting:
            self._client._transport.close()  # nats-py 2.16 forgets the socket of an attempt that failed half-way
        if self._up.is_set() or self._reported:
            return
        if isinstance(error, AuthorizationError) or (
            isinstance(error, Error) and "authorization" in str(error).lower()
        ):
            raise error  # trying again would not help
        self._reported = True
        log.warning("waiting for NATS at %s: %s", self.shown, error or type(error).__name__)

    async def _on_disconnected(self) -> None:
        if self._up.is_set() and not self._closing:
            log.warning("NATS at %s went away; waiting for it, nothing is lost", self.shown)
        self._up.clear()
        self._reported = True

    async def _on_reconnected(self) -> None:
        log.warning("NATS at %s is back", self.shown)
        self._up.set()
        for feed in self._feeds:
            feed.again()
        task = asyncio.create_task(self._restore())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _on_closed(self) -> None:
        if self._closing:
            return
        log.critical("NATS at %s ended the connection for good: %r", self.shown, self._client.last_error)
        self._ended.set()
        for subscriber in self._broker.subscribers if self._broker else []:
            subscriber.running = False  # else its loop would spin on the closed connection

    async def _restore(self) -> None:
        """A server that came back empty gets its streams and consumers again."""
        try:
            await self.make_streams()
            for route in self._routes:
                await self._make_consumer(route)
        except Unavailable as error:
            log.warning("after the reconnection: %s", error)

    # streams

    async def make_streams(self) -> None:
        """Create what is missing, leave what is there. Raises Unavailable naming the stream that will not do."""
        for stream in STREAMS:
            await self._make_stream(stream)
        limit = self._client.max_payload
        if limit < 4_000_000:
            log.warning("NATS at %s takes messages of at most %d bytes: set max_payload: 8MB there", self.shown, limit)

    async def _make_stream(self, stream: Stream) -> None:
        from nats.js.api import StorageType, StreamConfig
        from nats.js.errors import APIError, NotFoundError

        wanted = StreamConfig(
            name=stream.name, subjects=[stream.subject], storage=StorageType.FILE, max_bytes=stream.max_bytes,
            max_age=stream.days * 86_400, duplicate_window=stream.duplicates, deny_delete=stream.append_only,
            deny_purge=stream.append_only, allow_direct=True,
        )  # fmt: skip
        try:
            try:
                found = (await self._retried(lambda: self._stream.stream_info(stream.name))).config
            except NotFoundError:
                await self._retried(lambda: self._stream.add_stream(wanted))
                return
            if wrong := faults(stream, found.as_dict()):
                raise Unavailable(
                    f"the stream {stream.name} on {self.shown} was set up otherwise: {'; '.join(wrong)}. "
                    f"Correct it (`nats stream edit {stream.name}`), or give Middlewatch an account of its own"
                )
        except APIError as error:
            raise Unavailable(f"the stream {stream.name} cannot be made on {self.shown}: {error.description}") from None

    async def depth(self) -> dict[str, dict[str, Any]]:
        """{stream: {"messages", "bytes", "first", "last", "consumers": {durable: row}}}, a row being
        {"waiting", "in_hand", "redelivered"}: how many messages."""
        found: dict[str, dict[str, Any]] = {}
        for info in await self._retried(self._stream.streams_info):
            consumers = await self._retried(lambda name=info.config.name: self._stream.consumers_info(name))
            found[str(info.config.name)] = {
                "messages": info.state.messages, "bytes": info.state.bytes,
                "first": info.state.first_seq, "last": info.state.last_seq,
                "consumers": {
                    c.name: {"waiting": c.num_pending, "in_hand": c.num_ack_pending, "redelivered": c.num_redelivered}
                    for c in consumers if c.config.durable_name
                },
            }  # fmt: skip
        return found

    # writing

    async def publish(self, event: Any) -> None:
        """`core.ports.Bus`: returns when the server has the event; its id makes a repeat harmless.

        Raises Unavailable when the server does not take it in time, ValueError when it could not be read back.
        """
        await self.publish_bytes(subject_of(event), encode(event), id=event.id)

    async def publish_bytes(self, subject: str, payload: bytes, *, id: str = "", content_type: str = JSON) -> int:
        """Store one message as a producer would; its stream sequence. With an `id`, a repeat is dropped."""
        headers = {"Content-Type": content_type} | ({"Nats-Msg-Id": id} if id else {})
        if len(payload) > self._client.max_payload > 0:
            raise Unavailable(
                f"a message for {subject} has {len(payload)} bytes and NATS at {self.shown} takes "
                f"{self._client.max_payload}: set max_payload: 8MB in its configuration"
            )
        ack = await self._retried(lambda: self._stream.publish(subject, payload, timeout=1.5, headers=dict(headers)))
        return int(ack.seq)

    async def set_aside(self, subject: str, bad: Bad, seq: int) -> None:
        """Keep what could not be read or handled on `dead.<subject>`, with its reason."""
        await self.publish(dead_letter(subject, bad, seq=seq, now=time.time()))

    async def _retried(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """The result of `attempt`, tried again while the server is away; Unavailable after `patience` seconds."""
        from nats.errors import Error, NoRespondersError
        from nats.js.errors import APIError, NoStreamResponseError, ServerError, ServiceUnavailableError

        deadline, delay = time.monotonic() + self._patience, 0.02
        passing = (NoRespondersError, NoStreamResponseError, ServerError, ServiceUnavailableError, TimeoutError)
        while True:
            try:
                return await attempt()
            except (APIError, Error, TimeoutError) as error:
                if isinstance(error, APIError) and not isinstance(error, passing):
                    raise
                if (left := deadline - time.monotonic()) <= 0 or self._ended.is_set() or self._closing:
                    raise Unavailable(f"NATS at {self.shown} does not take or give messages: {error!r}") from None
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

    # reading

    async def serve(self, routes: Sequence[Route]) -> None:
        """Start handling; returns at once. `close` ends it. See `integrations.routes` for what handlers may do."""
        from faststream import AckPolicy
        from faststream.nats import JStream, PullSub

        assert self._broker is not None
        for route in routes:
            await self._make_consumer(route)
            self._routes.append(route)
            handling = Handling(route, self.set_aside)
            many = route.batch > 1
            pull = PullSub(batch_size=route.batch, timeout=route.linger if many else 1.0, batch=many)
            for _ in range(route.workers):
                subscriber = self._broker.subscriber(
                    route.subject, durable=route.durable, stream=JStream(stream_of(route.subject), declare=False),
                    pull_sub=pull, ack_policy=AckPolicy.MANUAL, decoder=_as_it_came, no_reply=True,
                )  # fmt: skip
                subscriber(self._guarded(handling.many if many else handling.one))
        await self._broker.start()

    def _guarded(self, handle: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        from nats.errors import Error

        async def on_message(message: Any) -> None:
            try:
                await handle(message)
            except Error as error:
                log.warning("NATS did not take an answer: %r; the message comes again", error)

        return on_message

    async def _make_consumer(self, route: Route) -> None:
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
        from nats.js.errors import APIError

        wanted = ConsumerConfig(
            name=route.durable, durable_name=route.durable, filter_subject=route.subject, ack_wait=route.ack_wait,
            ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL, max_deliver=-1, max_ack_pending=1_000,
        )  # fmt: skip
        name = stream_of(route.subject)
        try:
            await self._retried(lambda: self._stream.add_consumer(name, wanted))
        except APIError as error:
            raise Unavailable(
                f"the consumer {route.durable} of {name} was set up otherwise: {error.description}. "
                f"Remove it (`nats consumer rm {name} {route.durable}`); it will be made again"
            ) from None

    def feed(
        self, *, durable: str, subject: str, start: int | None = None, batch: int = 1_000, decode: Decode | None = None
    ) -> Feed:
        """Ordered reading whose position the reader's own snapshot decides; see `integrations.feed.Feed`."""
        feed = Feed(
            self, self.set_aside, durable=durable, subject=subject, start=start, batch=batch, decode=decode
        )  # fmt: skip
        self._feeds.append(feed)
        return feed

    def read(self, subject: str, start: int = 1) -> AsyncIterator[Entry]:
        """Every message on `subject` that is stored now, from sequence `start`, in order."""
        return read_stream(self, subject, start)

    async def live(self, subject: str) -> AsyncIterator[tuple[str, bytes]]:
        """(subject, payload) of what is published from now on; what comes during an interruption is not seen."""
        subscription = await self._client.subscribe(subject)
        try:
            async for message in subscription.messages:
                yield message.subject, message.data
        finally:
            if not self._client.is_closed:
                await subscription.unsubscribe()

    # integrations.jetstream.Connection

    def inbox(self) -> str:
        return str(self._client.new_inbox())

    async def request(self, subject: str, payload: bytes, timeout: float = 2.0) -> bytes:
        answer = await self._retried(lambda: self._client.request(subject, payload, timeout=timeout))
        return bytes(answer.data)

    async def send(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        from nats.errors import Error

        try:
            await self._client.publish(subject, payload, reply=reply)
        except Error as error:
            raise Unavailable(f"NATS at {self.shown} does not take messages: {error!r}") from None

    async def listen(self, subject: str, heard: Callable[[Message], Awaitable[None]]) -> Subscription:
        return _Ear(await self._client.subscribe(subject, cb=heard))  # type: ignore[arg-type]


def _broker_on(client: Client) -> NatsBroker:
    """FastStream's broker on a connection that we made: its errors are ours to explain."""
    from faststream.nats import NatsBroker

    class OnOurConnection(NatsBroker):
        async def _connect(self) -> Client:
            self.config.connect(client)
            return client

    return OnOurConnection(logger=_quiet, apply_types=False, graceful_timeout=GRACE)


class _Ear:
    def __init__(self, subscription: Any):
        self._subscription = subscription

    async def unsubscribe(self) -> None:
        from nats.errors import Error

        try:
            await self._subscription.unsubscribe()
        except Error as error:
            log.debug("nothing to unsubscribe from any more: %r", error)


async def _as_it_came(message: Any) -> Any:
    """FastStream's decoder: decoding is ours, so that one bad event cannot fail the rest of its batch."""
    return message.raw_message
