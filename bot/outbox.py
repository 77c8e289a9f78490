"""One message per incident, edited in place, whatever happens to the network, to Slack or to this process.

Each channel has a lane. A first card and a change of state go at once; other edits wait a few seconds for company; an
edit that would show the same is skipped. Rate limits are kept on our side and obeyed on Slack's. Before posting, a
mark is stored; if the answer is lost, our own message metadata is looked for before anything is posted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bot.blocks import Block, numbered, section
from bot.cards import Card
from bot.channels import Channels
from bot.thread import broadcast, note
from bot.wire import Ambiguous, Away, Blocked, Gone, Ratelimited, SlackFailure, TooMuch, calling
from core.errors import Retry
from core.incidents import Incident
from core.ports import Cards, Incidents

log = logging.getLogger("middlewatch.outbox")

EVENT_TYPE = "middlewatch_incident"
PATIENCE = 20.0
"""Seconds a caller waits for its card before the bus is asked to deliver again (the job itself stays)."""

Render = Callable[[Incident, dict[str, Any]], Awaitable[Card]]
"""The card of an incident; may note in the given row which nonces it issued."""


class Allowance:
    """Calls we allow ourselves: `burst` at once, refilled `per_second`, always a little under Slack's own limit."""

    def __init__(self, burst: float, per_second: float):
        self.burst, self.per_second, self.level, self.at = burst, per_second, burst, 0.0

    def wait(self, now: float) -> float:
        """Seconds until a call may be made (0 = now); nothing is taken."""
        self.level = min(self.burst, self.level + (now - self.at) * self.per_second)
        self.at = now
        return 0.0 if self.level >= 1 else (1 - self.level) / self.per_second

    def take(self) -> None:
        self.level -= 1

    def empty(self, seconds: float) -> None:
        """Slack asked us to wait: nothing for `seconds`."""
        self.level = 1 - seconds * self.per_second


@dataclass
class Job:
    """One incident whose message should show its latest revision."""

    incident: Incident
    due: float
    waiters: list[asyncio.Future[None]] = field(default_factory=list)
    failures: int = 0
    new: bool = False


@dataclass
class Lane:
    """One channel: what waits to be shown there."""

    name: str
    posts: Allowance = field(default_factory=lambda: Allowance(4, 0.95))
    jobs: dict[str, Job] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Outbox:
    """Posts and edits cards. `channel_of` says where an incident belongs; `render` draws it."""

    def __init__(
        self, slack: Any, channels: Channels, cards: Cards, incidents: Incidents, render: Render,
        channel_of: Callable[[Incident], str], *, now: Callable[[], float] = time.time, coalesce: float = 4.0,
    ):  # fmt: skip
        self.slack, self.channels, self.cards, self.incidents = slack, channels, cards, incidents
        self.render, self.channel_of, self.now, self.coalesce = render, channel_of, now, coalesce
        self.edits = Allowance(30, 0.75)
        self.name = secrets.token_hex(6)
        self.lanes: dict[str, Lane] = {}

    async def show(self, incident: Incident, *, urgent: bool) -> None:
        """Have the message show this revision or a later one. Urgent: now, returning when it does (Retry if not)."""
        row = await self.cards.card(incident.id) or {}
        lane = self._lane_of(incident, row)
        clock = asyncio.get_running_loop().time()
        job = lane.jobs.get(incident.id)
        if job is None:
            job = lane.jobs[incident.id] = Job(incident, clock + self.coalesce)
        elif job.incident.revision < incident.revision:
            job.incident = incident
        job.new = "ts" not in row
        if not urgent:
            lane.wake.set()
            return
        if not job.failures:
            job.due = min(job.due, clock)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        job.waiters.append(waiter)
        lane.wake.set()
        try:
            await asyncio.wait_for(waiter, PATIENCE)
        except TimeoutError:
            raise Retry(f"the card of {incident.id} still waits in its channel's queue", after=5.0) from None

    def waiting(self) -> int:
        """How many incidents wait to be shown."""
        return sum(len(lane.jobs) for lane in self.lanes.values())

    async def drain(self) -> None:
        """Show what waits without coalescing; used at the end of a run. Failures stay queued."""
        waiters = []
        for lane in self.lanes.values():
            for job in lane.jobs.values():
                job.due = 0.0
                job.waiters.append(asyncio.get_running_loop().create_future())
                waiters.append(job.waiters[-1])
            lane.wake.set()
        await asyncio.gather(*waiters, return_exceptions=True)

    async def stop(self) -> None:
        for lane in self.lanes.values():
            if lane.task:
                lane.task.cancel()
            for job in lane.jobs.values():
                self._tell(job, Retry("the Slack side is stopping", after=1.0))
        await asyncio.gather(*(lane.task for lane in self.lanes.values() if lane.task), return_exceptions=True)
        self.lanes.clear()

    # lanes

    def _lane_of(self, incident: Incident, row: dict[str, Any]) -> Lane:
        """One incident is ever in one lane: where it waits already, where its message is, or where policy sends it."""
        here = next((lane.name for lane in self.lanes.values() if incident.id in lane.jobs), None)
        name = here or row.get("lane") or self.channel_of(incident)
        lane = self.lanes.setdefault(name, Lane(name))
        if lane.task is None or lane.task.done():
            lane.task = asyncio.create_task(self._run(lane), name=f"outbox {name}")
        return lane

    async def _run(self, lane: Lane) -> None:
        while True:
            lane.wake.clear()
            job, pause = self._pick(lane)
            if job is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lane.wake.wait(), pause)
                continue
            (lane.posts if job.new else self.edits).take()
            await self._attempt(lane, job)

    def _pick(self, lane: Lane) -> tuple[Job | None, float | None]:
        """The job to do now, or how long to wait for the next (None: until somebody asks)."""
        clock = asyncio.get_running_loop().time()
        pause: float | None = None
        for job in sorted(lane.jobs.values(), key=lambda j: (not j.waiters, j.due)):
            left = max(job.due - clock, (lane.posts if job.new else self.edits).wait(clock))
            if left <= 0:
                return job, None
            pause = left if pause is None else min(pause, left)
        return None, pause

    async def _attempt(self, lane: Lane, job: Job) -> None:
        seen, waiters = job.incident.revision, list(job.waiters)
        clock = asyncio.get_running_loop().time()
        try:
            shown = await self._deliver(lane, job.incident)
            self._done(waiters)
            await self._thread(*shown)
        except Ratelimited as limit:
            (lane.posts if job.new else self.edits).empty(limit.after)
            job.due = clock + limit.after
            return
        except SlackFailure as failure:
            job.failures += 1
            pause = min(60.0, 0.5 * 2**job.failures) if not isinstance(failure, Blocked) else 60.0
            job.due = clock + pause
            log.warning("card of %s: %s; again in %.0f s", job.incident.id, failure, pause)
            self._tell(job, Retry(str(failure), after=min(pause, 10.0)))
            return
        except Exception as error:
            log.exception("card of %s could not be shown", job.incident.id)
            lane.jobs.pop(job.incident.id, None)
            self._tell(job, Retry(f"the card could not be shown: {type(error).__name__}", after=10.0))
            return
        job.failures, job.new = 0, False
        job.waiters = [w for w in job.waiters if w not in waiters]
        if job.incident.revision <= seen and not job.waiters:
            lane.jobs.pop(job.incident.id, None)
        else:
            job.due = asyncio.get_running_loop().time()

    @staticmethod
    def _done(waiters: list[asyncio.Future[None]]) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _tell(self, job: Job, error: Retry) -> None:
        waiters, job.waiters = job.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)

    # one message

    async def _deliver(self, lane: Lane, incident: Incident) -> tuple[Incident, dict[str, Any]]:
        latest = await self.incidents.get(incident.id)
        if latest is not None and latest.revision > incident.revision:
            incident = latest
        row = dict(await self.cards.card(incident.id) or {})
        if "ts" not in row:
            await self._post(lane, incident, row)
        else:
            await self._edit(incident, row)
        return incident, row

    async def _post(self, lane: Lane, incident: Incident, row: dict[str, Any]) -> None:
        channel = await self.channels.id(lane.name)
        if row.get("posting"):
            found = await self.found(channel, incident.id, row["posting"])
            if found:
                row |= {"channel": channel, "ts": found, "hash": ""}
                row.pop("posting", None)
                await self._remember(incident, row)
                await self._edit(incident, row)
                return
        elif not await self.cards.once(f"post:{incident.id}", 15) and row.get("poster") != self.name:
            raise Away("another process is posting this card")
        card = await self.render(incident, row)
        row |= {"channel": channel, "lane": lane.name, "posting": self.now(), "poster": self.name}
        await self.cards.put_card(incident.id, row)
        try:
            sent, level = await self._send("chat.postMessage", card, incident, channel=channel)
        except (Ambiguous, asyncio.CancelledError):
            raise
        except SlackFailure:
            row.pop("posting")
            await self.cards.put_card(incident.id, row)
            raise
        row.pop("posting")
        row |= {"ts": sent["ts"], "noted": 1, "level": level}
        await self._remember(incident, row, card)

    async def _edit(self, incident: Incident, row: dict[str, Any]) -> None:
        if incident.revision < row.get("revision", 0):
            return
        before = dict(row)
        card = await self.render(incident, row)
        if card.hash == row.get("hash"):
            if row != before or incident.revision != row.get("revision"):
                await self._remember(incident, row, card)
            return
        try:
            _, row["level"] = await self._send("chat.update", card, incident, channel=row["channel"], ts=row["ts"])
        except Gone:
            row.pop("ts")
            kept = {k: row[k] for k in ("channel", "lane", "poster", "picture") if k in row}
            await self.cards.put_card(incident.id, kept)
            raise Away(f"the card of {incident.id} was deleted; it will be posted again") from None
        await self._remember(incident, row, card)

    async def _remember(self, incident: Incident, row: dict[str, Any], card: Card | None = None) -> None:
        row |= {"revision": incident.revision, "state": incident.state}
        row.setdefault("severity", incident.severity)
        if card:
            row["hash"] = card.hash
        await self.cards.put_card(incident.id, row)
        await self.cards.put_card(f"thread:{row['channel']}:{row['ts']}", {"incident": incident.id})

    async def _send(self, method: str, card: Card, incident: Incident, **where: str) -> tuple[Any, int]:
        """The call with as much of the card as Slack takes; the answer and how far it had to be cut down."""
        metadata = {
            "event_type": EVENT_TYPE,
            "event_payload": {"incident": incident.id, "revision": incident.revision},
        }
        extra: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False} if "post" in method else {}
        call = self.slack.chat_postMessage if "post" in method else self.slack.chat_update
        refused: TooMuch | None = None
        for level, blocks in enumerate(smaller(card)):
            try:
                with calling(method):
                    answer = await call(
                        **where, text=card.text, blocks=numbered(blocks), metadata=metadata, parse="none",
                        link_names=False, **extra,
                    )  # fmt: skip
            except TooMuch as failure:
                refused = failure
                log.warning("%s", failure)
                continue
            return answer, level
        raise refused or Ambiguous("nothing was sent")

    async def found(self, channel: str, incident_id: str, since: float) -> str | None:
        """The timestamp of our own message about this incident, if it is in the channel."""
        cursor = ""
        for _ in range(5):
            with calling("conversations.history"):
                page = await self.slack.conversations_history(
                    channel=channel, oldest=f"{since - 120:.6f}", include_all_metadata=True, limit=200, cursor=cursor
                )
            for message in page.get("messages", ()):
                data = message.get("metadata") or {}
                ours = data.get("event_type") == EVENT_TYPE and message.get("bot_id")
                if ours and (data.get("event_payload") or {}).get("incident") == incident_id:
                    return message["ts"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                break
        return None

    async def _thread(self, incident: Incident, row: dict[str, Any]) -> None:
        """History goes to the thread, quietly, each entry once; a loud line only for what deserves it."""
        text, blocks = note(incident, int(row.get("noted", 1)))
        loud = broadcast(incident, row["severity"], row.get("told", ""))
        if not text and not loud:
            return
        before = dict(row)
        row |= {"noted": len(incident.timeline), "severity": incident.severity}
        if loud:
            row["told"] = incident.state if incident.over else incident.severity
        await self.cards.put_card(incident.id, row)  # before posting: a thread line may be lost, never doubled
        try:
            with calling("chat.postMessage in a thread"):
                await self.slack.chat_postMessage(
                    channel=row["channel"], thread_ts=row["ts"], text=loud or text, blocks=numbered(blocks) or None,
                    reply_broadcast=bool(loud), unfurl_links=False, unfurl_media=False, parse="none", link_names=False,
                )  # fmt: skip
        except SlackFailure as failure:
            if isinstance(failure, Ratelimited | Away):
                await self.cards.put_card(incident.id, before)  # surely not posted: say it later
                raise
            log.warning("thread of %s: %s", incident.id, failure)


def smaller(card: Card) -> list[list[Block]]:
    """The card's blocks and what to fall back to: without the picture, in brief, and as text alone."""
    plain = [b for b in card.blocks if b["type"] != "image"]
    brief = [section(card.text), *(b for b in card.blocks if b["type"] == "actions")]
    steps = [card.blocks, plain, brief, []]
    return [s for n, s in enumerate(steps) if n == 0 or s != steps[n - 1]]
