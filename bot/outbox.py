"""One message per incident, edited in place, whatever happens to the network, to Slack or to this process.

Each channel has a lane. A first card and a change of state go at once; other edits wait a few seconds for company; an
edit that would show the same is skipped. Rate limits are kept on our side and obeyed on Slack's; somebody who waits
goes first, history for the thread last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.message import Message
from bot.wire import Blocked, Ratelimited, SlackFailure
from core.errors import Retry
from core.incidents import Incident

log = logging.getLogger("middlewatch.outbox")

PATIENCE = 20.0
"""Seconds a caller waits for its card before the bus is asked to deliver again (the job itself stays)."""

RESERVED = 15
"""Edits kept back for those somebody waits for; a picture or another alert can wait when edits are short."""


class Allowance:
    """Calls we allow ourselves: `burst` at once, refilled `per_second`, always a little under Slack's own limit."""

    def __init__(self, burst: float, per_second: float):
        self.burst, self.per_second, self.level, self.at = burst, per_second, burst, 0.0

    def wait(self, now: float, keep: float = 0.0) -> float:
        """Seconds until a call may be made that leaves `keep` for others (0 = now); nothing is taken."""
        self.level = min(self.burst, self.level + (now - self.at) * self.per_second)
        self.at = now
        return max(1 + keep - self.level, 0.0) / self.per_second

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
    news: dict[str, Incident] = field(default_factory=dict)
    """Incidents whose threads have something to hear, oldest first."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Outbox:
    """Says when each card is shown. `channel_of` says where an incident belongs; `message` writes it."""

    def __init__(self, message: Message, channel_of: Callable[[Incident], str], *, coalesce: float = 4.0):
        self.message, self.channel_of, self.coalesce = message, channel_of, coalesce
        self.edits = Allowance(45, 0.8)
        self.lanes: dict[str, Lane] = {}

    async def show(self, incident: Incident, *, urgent: bool) -> None:
        """Have the message show this revision or a later one. Urgent: now, returning when it does (Retry if not)."""
        row = await self.message.cards.card(incident.id) or {}
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
            if job is not None:
                (lane.posts if job.new else self.edits).take()
                await self._attempt(lane, job)
                continue
            if lane.news:
                left = lane.posts.wait(asyncio.get_running_loop().time(), keep=1)
                if left <= 0:
                    await self._tell_thread(lane)
                    continue
                pause = left if pause is None else min(pause, left)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lane.wake.wait(), pause)

    def _pick(self, lane: Lane) -> tuple[Job | None, float | None]:
        """The job to do now, or how long to wait for the next (None: until somebody asks)."""
        clock = asyncio.get_running_loop().time()
        pause: float | None = None
        for job in sorted(lane.jobs.values(), key=lambda j: (not j.waiters, j.due)):
            calls = lane.posts.wait(clock) if job.new else self.edits.wait(clock, 0.0 if job.waiters else RESERVED)
            left = max(job.due - clock, calls)
            if left <= 0:
                return job, None
            pause = left if pause is None else min(pause, left)
        return None, pause

    async def _attempt(self, lane: Lane, job: Job) -> None:
        seen, waiters = job.incident.revision, list(job.waiters)
        clock = asyncio.get_running_loop().time()
        try:
            shown = await self.message.show(lane.name, job.incident)
            self._done(waiters)
            if await self.message.has_news(shown):
                lane.news[shown.id] = shown
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

    async def _tell_thread(self, lane: Lane) -> None:
        incident = lane.news.pop(next(iter(lane.news)))
        lane.posts.take()
        try:
            await self.message.tell(incident)
        except Ratelimited as limit:
            lane.posts.empty(limit.after)
            lane.news[incident.id] = incident
        except SlackFailure as failure:
            log.warning("thread of %s: %s", incident.id, failure)
            lane.posts.empty(5.0)
            lane.news[incident.id] = incident

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
