"""The Slack side, whole: `Converse` is what the composition root starts, stops, and hands incidents to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bot.actions import Actions
from bot.cards import Card, card, purposes
from bot.channels import Channels
from bot.desk import Desk, Embed
from bot.draw import picture, shown
from bot.home import Home
from bot.http import served
from bot.message import Message
from bot.outbox import Outbox
from bot.people import People
from bot.reminders import Reminders
from bot.submissions import Submissions
from bot.talk import Talk
from bot.wire import Access, Blocked, SlackFailure, client, explained
from core.approval import Person, nonce_row
from core.errors import MiddlewatchError, Retry
from core.incident_log import IncidentLog
from core.incidents import Incident, IncidentChanged
from core.policy import Policy
from core.ports import (
    Cards,
    Changes,
    Charts,
    Flags,
    Incidents,
    LanguageModel,
    Nonces,
    Planner,
    Rebaselines,
    Runbooks,
    Silences,
    Telemetry,
)

log = logging.getLogger("middlewatch.converse")

NONCE_TTL = 30 * 86_400.0
"""A card's buttons work this long; what they may do is checked at every click."""
PING = 5.0
"""Seconds between pings: a cut socket is noticed at the next one."""
SUBSCRIBED = (
    "app_mention",
    "app_home_opened",
    "message",
    "assistant_thread_started",
    "assistant_thread_context_changed",
    "app_context_changed",
)
"""Every event of the manifest: one that is subscribed to and not listened for would be delivered four times."""


class Converse:
    """Bolt on Socket Mode (or HTTP), the outbox, the conversation, reminders: one object to start and stop.

    `start` returns when Slack is connected, or, while Slack is away, after a few seconds with a warning: it keeps
    trying, and `on_incident` raises Retry until then, so that the bus keeps what is to be shown. Raises
    MiddlewatchError naming the remedy when Slack refuses the tokens.
    """

    def __init__(
        self, *, access: Access, policy: Policy, log: IncidentLog, incidents: Incidents, telemetry: Telemetry,
        changes: Changes, cards: Cards, nonces: Nonces, silences: Silences, flags: Flags,
        rebaselines: Rebaselines,
        lineage: Callable[[str], Any],
        runbooks: Runbooks | None = None, planner: Planner | None = None, charts: Charts | None = None,
        llm: LanguageModel | None = None, embed: Embed | None = None,
        forecast: Callable[[str, str], Any] | None = None,
        open_ticket: Callable[[Incident, Person], Awaitable[str]] | None = None,
        page: Callable[[Incident, str], Awaitable[None]] | None = None,
        on_feedback: Callable[[Incident], Awaitable[None]] | None = None,
        backlog: Callable[[], Awaitable[tuple[int, int]]] | None = None,
        now: Callable[[], float] = time.time, coalesce: float = 4.0,
        channel: Callable[[Incident], str] | None = None,
    ):  # fmt: skip
        self.access, self.coalesce = access, coalesce
        self.channel = channel or (lambda i: policy.channel(i.severity, policy.rules(i.tenant, i.model).owner))
        self.desk = Desk(
            policy=policy, log=log, incidents=incidents, telemetry=telemetry, changes=changes, cards=cards,
            nonces=nonces, silences=silences, flags=flags, rebaselines=rebaselines, lineage=lineage,
            runbooks=runbooks, planner=planner, charts=charts, llm=llm, embed=embed, forecast=forecast,
            open_ticket=open_ticket, page=page, on_feedback=on_feedback, backlog=backlog, now=now,
        )  # fmt: skip
        self.app: Any = None
        self.connected = asyncio.Event()
        self._session: Any = None
        self._socket: Any = None
        self._http: Any = None
        self._loops: list[asyncio.Task[None]] = []

    # starting and stopping

    async def start(self, within: float = 10.0) -> None:
        """Connect; see the class for what happens while Slack is away."""
        import aiohttp

        self._session = aiohttp.ClientSession()
        self.desk.slack = client(self.access, self._session, patient=True)
        poster = client(self.access, self._session, patient=False)
        self.desk.people = People(self.desk.slack, self.desk.policy)
        message = Message(
            poster, Channels(self.desk.slack), self.desk.cards, self.desk.incidents, self.render, self.desk.now
        )
        self.desk.outbox = Outbox(message, self.channel, coalesce=self.coalesce)
        self.app = self._bolt()
        if self.access.over_http:
            self._http = await served(self.http(), self.access.listen)
        connecting = asyncio.create_task(self._connect(), name="connect to Slack")
        done, _ = await asyncio.wait({connecting}, timeout=within)
        if done:
            connecting.result()
        else:
            log.warning("Slack at %s is away; trying on, nothing is lost meanwhile", self.access.base)
            self._loops.append(connecting)
        self._loops.append(asyncio.create_task(self._tick(), name="reminders"))

    async def stop(self) -> None:
        """Stop listening, then stop showing; what was not shown is shown at the next start."""
        for loop in self._loops:
            loop.cancel()
        if self._socket is not None:
            await self._socket.close_async()
        if self._http is not None:
            await self._http.cleanup()
        for task in list(self.desk.tasks):
            task.cancel()
        await asyncio.gather(*self._loops, *self.desk.tasks, return_exceptions=True)
        await self.desk.outbox.stop()
        await self._session.close()
        self.connected.clear()

    @property
    def url(self) -> str:
        """Where HTTP mode is served now; empty with Socket Mode."""
        return "http://{}:{}/slack/events".format(*self._http.addresses[0][:2]) if self._http else ""

    def http(self) -> Any:
        """The aiohttp application for HTTP mode, in place of the socket; needs the signing secret."""
        from bot.http import http_app

        return http_app(self.app, self.access.signing_secret, self.desk.cards, self.desk.now)

    async def _connect(self) -> None:
        pause = 0.5
        while True:
            try:
                await self._enter()
                return
            except Blocked as refusal:
                raise MiddlewatchError(f"{refusal}. bot/SLACK.md says how to set the app up.") from refusal
            except SlackFailure as failure:
                log.warning("%s; again in %.1f s", failure, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 15.0)

    async def _enter(self) -> None:
        try:
            me = await self.desk.slack.auth_test()
            if self.access.app_token and self._socket is None:
                await self._listen()
        except Exception as error:
            raise explained(error, "auth.test") from error
        self.desk.team, self.desk.bot_user = me["team_id"], me["user_id"]
        self.desk.people.team = me["team_id"]
        self.connected.set()
        self.desk.later(self._catch_up(), "showing what happened meanwhile")

    async def _listen(self) -> None:
        from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

        socket = AsyncSocketModeHandler(self.app, self.access.app_token, ping_interval=PING)
        if self.access.loopback:
            socket.client.proxy = None
        await socket.connect_async()
        self._socket = socket

    def _bolt(self) -> Any:
        """The Bolt app with every listener. Requests over HTTP are verified in bot/http.py, before Bolt sees them."""
        from slack_bolt.async_app import AsyncApp

        app = AsyncApp(client=self.desk.slack, request_verification_enabled=False, name="middlewatch")
        app.use(self._once)
        Actions(self.desk).register(app)
        Submissions(self.desk).register(app)
        Talk(self.desk, self._session).register(app)
        Home(self.desk).register(app)
        for event in SUBSCRIBED[3:]:
            app.event(event)(_nothing_to_do)
        return app

    async def _once(self, body: dict[str, Any], next: Callable[[], Awaitable[Any]]) -> Any:
        """Slack delivers events again (up to three times) and Bolt does not notice: the first one counts."""
        from slack_bolt.response import BoltResponse

        event_id = body.get("event_id") or body.get("trigger_id")
        if event_id and not await self.desk.cards.once(f"event:{event_id}", 3_600):
            return BoltResponse(status=200, body="")
        return await next()

    # showing

    async def on_incident(self, event: IncidentChanged) -> None:
        """Show an incident. Idempotent; raises Retry while Slack does not take it."""
        if not self.connected.is_set():
            raise Retry("Slack is not connected yet", after=2.0)
        incident = await self._latest(event.incident)
        row = await self.desk.cards.card(incident.id) or {}
        await self.desk.outbox.show(incident, urgent=moved(incident, row))
        self.desk.later(self._draw(incident), f"drawing {incident.id}")

    async def _latest(self, incident: Incident) -> Incident:
        kept = await self.desk.incidents.get(incident.id)
        return kept if kept is not None and kept.revision > incident.revision else incident

    async def _draw(self, incident: Incident) -> None:
        if await picture(self.desk, incident):
            with contextlib.suppress(Retry):  # the edit stays queued
                await self.desk.outbox.show(await self._latest(incident), urgent=False)

    async def render(self, incident: Incident, row: dict[str, Any]) -> Card:
        """The card with nonces: those of the row while they stand for the same thing, new ones otherwise."""
        policy, now = await self.desk.rules(), self.desk.now()
        values: dict[str, str] = {}
        kept: dict[str, Any] = dict(row.get("nonces") or {})
        for purpose in purposes(incident, policy, now):
            meant = nonce_row(incident, purpose)
            known = kept.get(purpose)
            if known is None or known["digest"] != meant["digest"] or known["until"] < now + NONCE_TTL / 2:
                nonce = await self.desk.nonces.issue(meant, ttl=NONCE_TTL)
                known = kept[purpose] = {"nonce": nonce, "digest": meant["digest"], "until": now + NONCE_TTL}
            values[purpose] = known["nonce"]
        row["nonces"] = {purpose: kept[purpose] for purpose in values}
        return card(incident, policy, now, values, await shown(self.desk, incident))

    async def _catch_up(self) -> None:
        """After a start: whatever changed while nobody was there to show it."""
        for incident in await self.desk.incidents.all(limit=200):
            row = await self.desk.cards.card(incident.id)
            behind = row is None or "ts" not in row or row.get("noted", 1) < len(incident.timeline)
            if behind and (row is not None or not incident.over):
                await self.desk.outbox.show(incident, urgent=False)

    async def _tick(self) -> None:
        reminders = Reminders(self.desk)
        while True:
            await asyncio.sleep(30 + secrets.randbelow(5))
            if self.connected.is_set():
                try:
                    await reminders.tick()
                except Exception:
                    log.exception("reminders")


def moved(incident: Incident, row: dict[str, Any]) -> bool:
    """Whether a reader waits for this edit: a first card, another state, another severity, an approval."""
    return (
        "ts" not in row
        or row.get("state") != incident.state
        or row.get("severity") != incident.severity
        or any(e.what.startswith(("approved", "rejected", "acknowledged")) for e in incident.timeline[-1:])
    )


async def _nothing_to_do() -> None:
    """Acked and forgotten."""
