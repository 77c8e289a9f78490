"""`Nats`: everything that is asked of the event bus. Connect, make the streams, publish, serve routes, read."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from core.errors import Unavailable
from core.events import subject_of
from integrations.feed import Entry, Feed, read_stream
from integrations.nats.client import NO_STORAGE, Connection, broker_on
from integrations.partitions import Claim, Job, share_out
from integrations.routes import Handling, Route
from integrations.streams import STREAMS, Stream, faults, spoken, stream_of
from integrations.wire import JSON, Bad, Decode, dead_letter, encode

if TYPE_CHECKING:
    from faststream.nats import NatsBroker

log = logging.getLogger("middlewatch.nats")

AT_ONCE = 200
"""Messages that `publish_all` sends before it waits."""
_SMALLEST_PAYLOAD = 4_000_000
_SMALLEST_STREAM = 16 * 1024 * 1024


class Nats:
    """`core.ports.Bus` and the rest: `async with Nats(url) as bus:`.

    `patience` (seconds) bounds the first connection and every publish; in between the connection comes back for ever.
    """

    def __init__(self, url: str, *, name: str = "middlewatch", patience: float = 20.0):
        self.connection = Connection(url, name, patience, self._restore)
        self.shown = self.connection.shown
        """The address without its credentials."""
        self._broker: NatsBroker | None = None
        self._feeds: list[Feed] = []
        self._routes: list[Route] = []

    async def __aenter__(self) -> Self:
        await self.connection.open()
        try:
            self._broker = broker_on(self.connection)
            await self._broker.connect()
            await self.make_streams()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop fetching, let handlers finish what is in hand, acknowledge, disconnect."""
        from nats.errors import Error

        self.connection.closing = True
        for feed in self._feeds:
            await feed.close()
        try:
            if self._broker is not None:
                await self._broker.stop()
        except (Error, TimeoutError, Unavailable) as error:
            log.info("NATS went away during the shutdown: %s", error)
        await self.connection.close()

    async def ended(self) -> None:
        """Waits; raises Unavailable when the server has ended the connection for good."""
        await self.connection.ended.wait()
        raise Unavailable(f"NATS at {self.shown} ended the connection for good; see the log above, then start again")

    async def _restore(self) -> None:
        """After an interruption: a server that came back empty gets its streams and consumers again."""
        for feed in self._feeds:
            feed.again()
        await self.make_streams()
        for route in self._routes:
            await self._make_consumer(route)

    # streams

    async def make_streams(self) -> None:
        """Create what is missing, leave what is there. Raises Unavailable naming the stream that will not do."""
        for stream in STREAMS:
            await self._make_stream(stream)
        limit = self.connection.client.max_payload
        if limit < _SMALLEST_PAYLOAD:
            log.warning("NATS at %s takes messages of at most %d bytes: set max_payload: 8MB there", self.shown, limit)

    async def _make_stream(self, stream: Stream) -> None:
        from nats.js.api import StorageType, StreamConfig, SubjectTransform
        from nats.js.errors import APIError, NotFoundError

        wanted = StreamConfig(
            name=stream.name, subjects=[stream.subject], storage=StorageType.FILE, max_bytes=stream.max_bytes,
            max_age=stream.days * 86_400, duplicate_window=stream.duplicates, deny_delete=stream.append_only,
            deny_purge=stream.append_only, allow_direct=True,
            subject_transform=SubjectTransform(**stream.transform) if stream.transform else None,
        )  # fmt: skip
        server = self.connection
        try:
            try:
                found = (await server.retried(lambda: server.stream.stream_info(stream.name))).config
            except NotFoundError:
                await self._add_stream(wanted)
                return
            if wrong := faults(stream, found.as_dict()):
                raise Unavailable(
                    f"the stream {stream.name} on {self.shown} was set up otherwise: {'; '.join(wrong)}. "
                    f"Correct it (`nats stream edit {stream.name}`), or give Middlewatch an account of its own"
                )
            if stream.transform and not found.subject_transform:  # of an earlier release: divided from now on
                found.subject_transform = wanted.subject_transform
                await server.retried(lambda: server.stream.update_stream(found))
        except APIError as error:
            raise Unavailable(f"the stream {stream.name} cannot be made on {self.shown}: {error.description}") from None

    async def _add_stream(self, wanted: Any) -> None:
        """Create it; smaller than we would like where the server's disk is small."""
        from nats.js.errors import APIError

        while True:
            try:
                await self.connection.retried(lambda: self.connection.stream.add_stream(wanted))
            except APIError as error:
                if error.err_code != NO_STORAGE or wanted.max_bytes < 2 * _SMALLEST_STREAM:
                    raise
                wanted.max_bytes //= 2
                log.warning("%s has little room: %s keeps at most %d bytes", self.shown, wanted.name, wanted.max_bytes)
            else:
                return

    async def depth(self) -> dict[str, dict[str, Any]]:
        """{stream: {"messages", "bytes", "first", "last", "consumers": {durable: row}}}, a row being
        {"waiting", "in_hand", "redelivered"}: how many messages."""
        server = self.connection
        found: dict[str, dict[str, Any]] = {}
        for info in await server.retried(server.stream.streams_info):
            consumers = await server.retried(lambda name=info.config.name: server.stream.consumers_info(name))
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

    async def publish_all(self, events: Sequence[Any]) -> None:
        """The same for many at once, in any order: they share one wait. Raises as `publish` does."""
        limit = self.connection.client.max_payload
        for first in range(0, len(events), AT_ONCE):
            messages = [(subject_of(event), encode(event), event.id) for event in events[first : first + AT_ONCE]]
            for subject, payload, _ in messages:
                self._fits(subject, payload, limit)
            await self.connection.publish_all(
                [(s, p, {"Content-Type": JSON, "Nats-Msg-Id": name}) for s, p, name in messages]
            )

    def _fits(self, subject: str, payload: bytes, limit: int) -> None:
        if len(payload) > limit:
            raise Unavailable(
                f"a message for {subject} has {len(payload)} bytes and NATS at {self.shown} takes {limit}: "
                "set max_payload: 8MB in its configuration"
            )

    async def publish_bytes(self, subject: str, payload: bytes, *, id: str = "", content_type: str = JSON) -> int:
        """Store one message as a producer would; its stream sequence. With an `id`, a repeat is dropped."""
        headers = {"Content-Type": content_type} | ({"Nats-Msg-Id": id} if id else {})
        server = self.connection
        self._fits(subject, payload, server.client.max_payload)
        ack = await server.retried(
            lambda: server.stream.publish(subject, payload, timeout=1.5, headers=dict(headers))
        )  # fmt: skip
        return int(ack.seq)

    async def set_aside(self, subject: str, bad: Bad, seq: int) -> None:
        """Keep what could not be read or handled on `dead.<subject>`, with its reason."""
        await self.publish(dead_letter(spoken(subject), bad, seq=seq, now=time.time()))

    # reading

    async def serve(self, routes: Sequence[Route]) -> None:
        """Start handling; returns at once. `close` ends it. See `integrations.routes` for what handlers may do."""
        from faststream import AckPolicy
        from faststream.nats import JStream, PullSub

        assert self._broker is not None
        for route in routes:
            await self._make_consumer(route)
            self._routes.append(route)
            handling, many = Handling(route, self.set_aside), route.batch > 1
            pull = PullSub(batch_size=route.batch, timeout=route.linger if many else 5.0, batch=many)
            for _ in range(route.workers):
                subscriber = self._broker.subscriber(
                    route.subject, durable=route.durable, stream=JStream(stream_of(route.subject), declare=False),
                    pull_sub=pull, ack_policy=AckPolicy.MANUAL, decoder=_as_it_came, no_reply=True,
                )  # fmt: skip
                subscriber(_guarded(handling.many if many else handling.one))
        await self._broker.start()

    async def _make_consumer(self, route: Route) -> None:
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
        from nats.js.errors import APIError

        wanted = ConsumerConfig(
            name=route.durable, durable_name=route.durable, filter_subject=route.subject, ack_wait=route.ack_wait,
            ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL, max_deliver=-1, max_ack_pending=1_000,
        )  # fmt: skip
        name = stream_of(route.subject)
        try:
            await self.connection.retried(lambda: self.connection.stream.add_consumer(name, wanted))
        except APIError as error:
            raise Unavailable(
                f"the consumer {route.durable} of {name} was set up otherwise: {error.description}. "
                f"Remove it (`nats consumer rm {name} {route.durable}`); it will be made again"
            ) from None

    async def caught_up(self, routes: Sequence[Route], seconds: float) -> list[str]:
        """Wait until each route has handled all that its stream holds now; those that have not within `seconds`.

        What was in hand when a process died comes again only after its `ack_wait`: who reads a view before that would
        take the lack of it for a fact.
        """
        server, deadline = self.connection.stream, time.monotonic() + seconds
        left: dict[str, tuple[str, int]] = {}
        for route in routes:
            name = stream_of(route.subject)
            info = await self.connection.retried(lambda name=name: server.stream_info(name))
            left[route.durable] = (name, info.state.last_seq)
        while left:
            for durable, (name, last) in list(left.items()):
                ask = functools.partial(server.consumer_info, name, durable)
                found = await self.connection.retried(ask)
                if found.ack_floor.stream_seq >= last or not (found.num_pending or found.num_ack_pending):
                    del left[durable]
            if left and time.monotonic() > deadline:
                break
            if left:
                await asyncio.sleep(0.05)
        return sorted(left)

    def feed(
        self, *, durable: str, subject: str, start: int | None = None, batch: int = 1_000,
        decode: Decode | None = None, claim: Claim | None = None,
    ) -> Feed:  # fmt: skip
        """Ordered reading whose position the reader's own snapshot decides; see `integrations.feed.Feed`."""
        self._feeds = [feed for feed in self._feeds if not feed.closed]
        feed = Feed(
            self.connection, self.set_aside, durable=durable, subject=subject, start=start, batch=batch, decode=decode,
            claim=claim,
        )  # fmt: skip
        self._feeds.append(feed)
        return feed

    async def work(self, durable: str, subject: str, partitions: int, job: Job) -> None:
        """Run `job(claim)` for this process's share of the partitions; see `integrations.partitions`."""
        await share_out(self.connection, durable, subject, partitions, job)

    def read(self, subject: str, start: int = 1) -> AsyncIterator[Entry]:
        """Every message on `subject` that is stored now, from sequence `start`, in order."""
        return read_stream(self.connection, subject, start)

    async def live(self, subject: str) -> AsyncIterator[tuple[str, bytes]]:
        """(subject, payload) of what is published from now on; what comes during an interruption is not seen."""
        client = self.connection.client
        subscription = await client.subscribe(subject)
        try:
            async for message in subscription.messages:
                yield message.subject, message.data
        finally:
            if not client.is_closed:
                await subscription.unsubscribe()


def _guarded(handle: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    from nats.errors import Error

    async def on_message(message: Any) -> None:
        try:
            await handle(message)
        except Error as error:
            log.warning("NATS did not take an answer: %r; the message comes again", error)

    return on_message


async def _as_it_came(message: Any) -> Any:
    """FastStream's decoder: decoding is ours, so that one bad event cannot fail the rest of its batch."""
    return message.raw_message
