"""Everything the Slack side needs within reach, given once by the composition root. Ports, no logic."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from bot.people import People
from core.approval import Person
from core.errors import Retry
from core.incident_log import IncidentLog
from core.incidents import Incident
from core.policy import Policy
from core.ports import (
    Cards,
    Changes,
    Charts,
    Flags,
    Incidents,
    LanguageModel,
    LineageView,
    Nonces,
    Planner,
    Rebaselines,
    Runbooks,
    Silences,
    Telemetry,
)
from core.triage import asked_again

if TYPE_CHECKING:
    from bot.outbox import Outbox

log = logging.getLogger("middlewatch.converse")

Embed = Callable[[Sequence[str]], Any]
"""Texts to unit vectors (sequences of floats); may be a coroutine function."""


@dataclass(kw_only=True)
class Desk:
    """The surroundings of every listener and command."""

    policy: Policy
    log: IncidentLog
    incidents: Incidents
    telemetry: Telemetry
    changes: Changes
    cards: Cards
    nonces: Nonces
    silences: Silences
    flags: Flags
    rebaselines: Rebaselines
    lineage: Callable[[str], Any]
    """tenant -> LineageView (or an awaitable of one, or None)."""
    runbooks: Runbooks | None = None
    planner: Planner | None = None
    charts: Charts | None = None
    llm: LanguageModel | None = None
    embed: Embed | None = None
    forecast: Callable[[str, str], Any] | None = None
    """(tenant, model) -> {"signal", "threshold", "seconds_to_breach", "low", "high", "text"} or None; may be async."""
    open_ticket: Callable[[Incident, Person], Awaitable[str]] | None = None
    page: Callable[[Incident, str], Awaitable[None]] | None = None
    on_feedback: Callable[[Incident], Awaitable[None]] | None = None
    backlog: Callable[[], Awaitable[tuple[int, int]]] | None = None
    """(messages that wait to be handled, dead letters), of all of Middlewatch."""
    now: Callable[[], float] = time.time
    intents: list[Any] = field(default_factory=list)
    """Vectors of the commands' examples, made at the first plain question."""
    slack: Any = None
    people: People = None  # type: ignore[assignment]
    outbox: Outbox = None  # type: ignore[assignment]
    team: str = ""
    bot_user: str = ""
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def rules(self) -> Policy:
        """The policy with the chat kill switch laid over it."""
        frozen = await self.flags.get_flag("frozen")
        return msgspec.structs.replace(self.policy, frozen=True) if frozen else self.policy

    async def graph(self, tenant: str) -> LineageView | None:
        return await settled(self.lineage(tenant))

    async def again(self, incident_id: str, by: str, words: str = "") -> None:
        """Have the incident investigated again, as asked by `by` (TEAM/USER), steered by `words` if any."""
        await self.log.change(incident_id, lambda i: asked_again(i, by=by, now=self.now(), steering=words))

    def show(self, incident: Incident) -> None:
        """Have the card show this revision at once, without waiting for the bus to bring it round."""
        self.later(self.outbox.show(incident, urgent=True), f"showing {incident.id}")

    def later(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        """Run `work` beside the listener; a failure is logged, naming `what`."""

        async def run() -> None:
            try:
                await work
            except Retry as wait:
                log.warning("%s: %s", what, wait)
            except Exception:
                log.exception("%s failed", what)

        task = asyncio.create_task(run(), name=what)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def settled(value: Any) -> Any:
    """`value`, awaited when it is awaitable: ports may be plain functions or coroutine functions."""
    return await value if inspect.isawaitable(value) else value
