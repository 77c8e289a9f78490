"""Socket Mode as Slack speaks it: hello, envelopes, acks, redelivery, disconnects.

An event that is not acked in `ack_seconds` (3, as in Slack) is sent again up to three times with
`retry_attempt` 1..3; Slack spreads these over minutes, here each follows the previous one's time-out.
Events outlive a restart of the workspace and wait for a connection; interactions and commands are
sent once, because a person is waiting, and fail when nobody acks them.
Spec: docs.slack.dev/apis/events-api/using-socket-mode
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections import deque

from aiohttp import WSMsgType, web

from .errors import PersonError
from .faults import Faults
from .team import APP_ID, TEAM_ID, Team

log = logging.getLogger(__name__)
REDELIVERIES = 3
MOST_SOCKETS = 10
REFRESH_SECONDS = 5 * 3600


class Hub:
    """All open sockets and everything not yet acked."""

    def __init__(self, team: Team, faults: Faults, ack_seconds: float = 3.0) -> None:
        self.team, self.faults, self.ack_seconds = team, faults, ack_seconds
        self.deliveries: deque[dict] = deque(maxlen=1000)
        self._sockets: list[tuple[web.WebSocketResponse, web.Request]] = []
        self._acks: dict[str, asyncio.Future] = {}
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task] = set()
        self._turn = 0

    @property
    def connected(self) -> int:
        """How many sockets the app holds open."""
        return len(self._sockets)

    # the app's side

    async def on_connect(self, request: web.Request) -> web.WebSocketResponse:
        """One socket from hello to its end."""
        socket = web.WebSocketResponse(heartbeat=15)
        await socket.prepare(request)
        if len(self._sockets) >= MOST_SOCKETS:
            await socket.send_json(self._farewell("too_many_websockets"))
            await socket.close()
            return socket
        await socket.send_json(self._hello(len(self._sockets) + 1))
        self._sockets.append((socket, request))
        self._arrived.set()
        self.team.feed.tell("sockets", count=self.connected)
        refresh = asyncio.get_running_loop().call_later(REFRESH_SECONDS, lambda: self._spawn(self.refresh()))
        try:
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    self._on_text(frame.data)
        finally:
            refresh.cancel()
            self._sockets = [(s, r) for s, r in self._sockets if s is not socket]
            if not self._sockets:
                self._arrived.clear()
            self.team.feed.tell("sockets", count=self.connected)
        return socket

    def _on_text(self, data: str) -> None:
        try:
            answer = json.loads(data)
        except ValueError:
            log.warning("socket: ignored a frame that is not JSON (%d characters)", len(data))
            return
        waiting = self._acks.get(answer.get("envelope_id", "")) if isinstance(answer, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.get("payload") or {})

    def _hello(self, count: int) -> dict:
        debug = {"host": "applink-local", "build_number": 1, "approximate_connection_time": REFRESH_SECONDS}
        return {
            "type": "hello", "num_connections": count, "debug_info": debug, "connection_info": {"app_id": APP_ID}
        }  # fmt: skip

    @staticmethod
    def _farewell(reason: str) -> dict:
        return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-local"}}

    async def refresh(self) -> None:
        """Ask every socket to reconnect, as Slack does every few hours."""
        for socket, _ in list(self._sockets):
            await socket.send_json(self._farewell("refresh_requested"))

    def cut(self) -> None:
        """Drop every connection without a word, as a network does."""
        for _, request in list(self._sockets):
            if request.transport is not None:
                request.transport.abort()

    # the workspace's side

    def tell(self, kind: str, event: dict) -> None:
        """Send an event when the manifest subscribes to `kind`; it is remembered until it is acked."""
        if not self.team.manifest.hears(kind):
            return
        event_id = self.team.new_id("Ev0")
        body = {
            "token": "local", "team_id": TEAM_ID, "context_team_id": TEAM_ID, "context_enterprise_id": None,
            "api_app_id": APP_ID, "event": event, "type": "event_callback", "event_id": event_id,
            "event_time": int(self.team.now()), "is_ext_shared_channel": False,
            "authorizations": [{"enterprise_id": None, "team_id": TEAM_ID, "user_id": "U0WATCHBOT", "is_bot": True,
                                "is_enterprise_install": False}],
            "event_context": f"4-{event_id}",
        }  # fmt: skip
        self.team.store.put("event", event_id, body)
        self._spawn(self._deliver_event(body))

    def resume(self) -> None:
        """After a restart: deliver what was not acked before."""
        for body in list(self.team.store.rows("event").values()):
            self._spawn(self._deliver_event(body))

    async def _deliver_event(self, body: dict) -> None:
        for attempt in range(REDELIVERIES + 1):
            await self._arrived.wait()
            reason = "timeout" if attempt else ""
            if attempt == 0 and self.faults.take("events", "drop"):
                await asyncio.sleep(self.ack_seconds)
                continue
            more = {"accepts_response_payload": False, "retry_attempt": attempt, "retry_reason": reason}
            if await self._send("events_api", body, body["event"]["type"], **more) is not None:
                break
        else:
            self.team.feed.tell("undelivered", event=body["event"]["type"])
            log.warning("event %s (%s) was never acked", body["event_id"], body["event"]["type"])
        self.team.store.drop("event", body["event_id"])

    async def ask(self, kind: str, payload: dict, what: str) -> dict:
        """Send an interaction or command and return the ack's payload ({} when it had none).

        Raises PersonError when the app is not connected or does not ack in time.
        """
        if not self._sockets:
            try:
                await asyncio.wait_for(self._arrived.wait(), self.ack_seconds)
            except TimeoutError:
                name = self.team.manifest.app_name
                raise PersonError(f"{name} is not connected, so nobody received this. Try again.", 503) from None
        answer = await self._send(kind, payload, what, accepts_response_payload=True)
        if answer is None:
            raise PersonError(f"{self.team.manifest.app_name} did not answer in time. Try again.", 504)
        return answer

    async def _send(self, kind: str, payload: dict, what: str, **more: object) -> dict | None:
        envelope_id = str(uuid.uuid4())
        waiting = self._acks[envelope_id] = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        entry = {"at": self.team.now(), "type": kind, "what": what, "retry": more.get("retry_attempt", 0)}
        try:
            envelope = {"envelope_id": envelope_id, "payload": payload, "type": kind, **more}
            await self._write(envelope)
            if self.faults.take(kind, "duplicate"):
                await self._write({**envelope, "envelope_id": str(uuid.uuid4())})
            return await asyncio.wait_for(waiting, self.ack_seconds)
        except TimeoutError:
            return None
        finally:
            del self._acks[envelope_id]
            entry["ack_ms"] = None if waiting.cancelled() else round((time.perf_counter() - started) * 1000, 2)
            self.deliveries.append(entry)

    async def _write(self, envelope: dict) -> None:
        if not self._sockets:
            return
        self._turn = (self._turn + 1) % len(self._sockets)
        socket, _ = self._sockets[self._turn]
        try:
            await socket.send_json(envelope)
        except (ConnectionError, RuntimeError) as error:
            log.info("socket went away while sending: %s", error)

    def _spawn(self, work) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop delivering and close every socket."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket, _ in list(self._sockets):
            await socket.close()
