"""Triage: alerts become incidents, incidents get a hypothesis and a plan. The `investigate` target's handlers.

Opening and investigating are two handlers on two subjects, so that a slow investigation never delays a first card.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from core.approval import Plan
from core.errors import TransitionError
from core.events import AlertFired, AlertResolved, content_id
from core.findings import Hypothesis
from core.incident_log import IncidentLog
from core.incidents import Incident, IncidentChanged, Outcome, advance, mark, opened
from core.ports import Investigator, Planner, Rebaseline

log = logging.getLogger("middlewatch.investigate")

AGAIN = "investigate again"
"""The timeline entry with which a person (or material new evidence) asks for a fresh investigation."""
STOPPED = "stopped the investigation"
"""The timeline entry with which a person ends a running one; its result no longer counts."""
UNSURE = "not sure"
"""The timeline entry of an investigation that abstained."""
JOINED = "joined by alert"
REBASELINED = "approved a new baseline"
"""So begins the entry of an incident whose drift a person took as the new normal."""
CALM = "calm again:"


class Triage:
    """Opens, groups, diagnoses; never acts."""

    def __init__(
        self,
        log_of: IncidentLog,
        investigator: Investigator,
        planner: Planner,
        now: Callable[[], float] = time.time,
        caught_up: Callable[[], Awaitable[None]] | None = None,
    ):
        """`caught_up` returns when the views hold all that was published before the call: no cause is sought before."""
        self.incidents, self.investigator, self.planner, self.now = log_of, investigator, planner, now
        self.caught_up = caught_up
        self._running: dict[str, tuple[int, asyncio.Task[None]]] = {}
        """Per incident: the revision its investigation began with, and the investigation."""

    async def on_alert(self, alert: AlertFired) -> None:
        """Open an incident for the alert's group, or add the alert to the one that is open."""
        existing = await self.incidents.view.of_group(alert.group)
        if existing is None:
            incident_id = content_id("inc", alert.group, alert.id)
            await self.incidents.open(opened(alert, incident_id, self.now()))
        elif all(a.id != alert.id for a in existing.alerts):
            await self.incidents.change(existing.id, lambda i: self._joined(i, alert))

    def _joined(self, incident: Incident, alert: AlertFired) -> Incident | None:
        if any(a.id == alert.id for a in incident.alerts):
            return None
        material = incident.state == "diagnosed" and (
            alert.severity < incident.severity or (incident.hypothesis is not None and incident.hypothesis.abstained)
        )
        return mark(
            incident, now=self.now(), actor="investigate",
            what=AGAIN if material else f"{JOINED} {alert.id}",
            reason=f"new evidence: alert {alert.id}" if material else "",
            alerts=[*incident.alerts, alert], severity=min(incident.severity, alert.severity),
            models=sorted({*incident.models, *(alert.models or [alert.model])}),
        )  # fmt: skip

    async def on_resolved(self, alert: AlertResolved) -> None:
        """The trouble went away by itself before anybody acted."""
        incident = await self.incidents.view.of_group(alert.group)
        if incident is None or incident.state not in ("opened", "diagnosed"):
            return
        await self._try(incident.id, lambda i: self._calmer(i, alert))

    def _calmer(self, incident: Incident, alert: AlertResolved) -> Incident | None:
        calm = {e.what.removeprefix(CALM).strip() for e in incident.timeline if e.what.startswith(CALM)}
        if alert.fingerprint in calm:
            return None
        if {a.fingerprint for a in incident.alerts} - calm - {alert.fingerprint}:
            what = f"{CALM} {alert.fingerprint}"  # another trouble of this incident still lasts
            return mark(incident, now=self.now(), actor="investigate", what=what)
        text = f"Recovered by itself: {alert.rows} rows of calm, no action taken"
        if any(e.what.startswith(REBASELINED) for e in incident.timeline):
            text = "Usual from now on: a new baseline was approved, no action taken"
        return advance(
            incident, "resolved", writer="investigate", now=self.now(), actor="investigate", what=text,
            outcome=Outcome(verdict="recovered_by_itself", text=text, rows=alert.rows),
        )  # fmt: skip

    async def on_incident(self, event: IncidentChanged) -> None:
        """Investigate what was opened, and what somebody asked to have investigated again."""
        incident = await self.incidents.view.get(event.incident.id)
        if incident is None:
            return
        running = self._running.get(incident.id)
        if running and event.incident.timeline[-1].what in (AGAIN, STOPPED) and event.incident.revision > running[0]:
            running[1].cancel()  # it was begun before these words
        fresh = event.incident.revision == 1 and incident.state == "opened" and not settled_by_word(incident)
        asked = incident.state in ("opened", "diagnosed") and _still_asked(event.incident, incident)
        if fresh or asked:
            await self._investigate(incident)

    async def _investigate(self, incident: Incident) -> None:
        """Diagnose, unless a word in the incident's thread ends that early."""
        work = asyncio.create_task(self._diagnose(incident))
        self._running[incident.id] = (incident.revision, work)
        try:
            await asyncio.wait({work})
        finally:
            work.cancel()
            if self._running.get(incident.id, (0, None))[1] is work:
                del self._running[incident.id]
        if work.cancelled():
            log.info("incident %s: the investigation was ended by a person's word", incident.id)
        else:
            work.result()

    async def _diagnose(self, incident: Incident) -> None:
        if self.caught_up is not None:
            await self.caught_up()
        now = self.now()
        hypothesis = await self.investigator.investigate(incident, now)
        plan = await self.planner.plan(incident, hypothesis, now)
        if plan is not None:
            plan = msgspec.structs.replace(plan, requested_by=requester(incident))
        await self._try(incident.id, lambda i: self._diagnosed(i, incident.revision, hypothesis, plan))

    def _diagnosed(self, incident: Incident, begun: int, hypothesis: Hypothesis, plan: Plan | None) -> Incident | None:
        """The incident with this result, unless a word since revision `begun` says that it no longer counts."""
        if any(e.what in (AGAIN, STOPPED) for e in incident.timeline[begun:]):
            return None
        what = UNSURE if hypothesis.abstained else hypothesis.headline
        fields = {"hypothesis": hypothesis, "plan": plan, "approvals": []}
        if incident.state == "opened":
            return advance(
                incident, "diagnosed", writer="investigate", now=self.now(), actor="investigate", what=what, **fields
            )
        if incident.state == "diagnosed":
            return mark(incident, now=self.now(), actor="investigate", what=what, **fields)
        return None  # a person was faster

    async def _try(self, incident_id: str, decide: Callable[[Incident], Incident | None]) -> None:
        try:
            await self.incidents.change(incident_id, decide)
        except TransitionError as late:
            log.info("incident %s moved on meanwhile: %s", incident_id, late)


def settled_by_word(incident: Incident) -> bool:
    """Whether a person's word about the investigation (again, stop) came after the opening: that word then counts."""
    return any(e.what in (AGAIN, STOPPED) for e in incident.timeline)


def stopped_by(incident: Incident) -> str:
    """Who stopped the investigation, as TEAM/USER; empty when nobody did or it went on since."""
    last = next((e for e in reversed(incident.timeline) if e.what in (AGAIN, STOPPED)), None)
    return last.actor if last is not None and last.what == STOPPED else ""


def requester(incident: Incident) -> str:
    """The person (TEAM/USER) who last asked for an investigation; empty when only alerts and the clock did."""
    return next((e.actor for e in reversed(incident.timeline) if e.what == AGAIN and "/" in e.actor), "")


def _still_asked(then: Incident, now: Incident) -> bool:
    """Whether `then` asked for a fresh investigation and nobody has answered since (one entry per revision)."""
    if then.timeline[-1].what != AGAIN:
        return False
    later = now.timeline[then.revision :]
    if any(e.what == STOPPED for e in later):
        return False
    return all(e.actor != "investigate" or e.what == AGAIN or e.what.startswith((JOINED, CALM)) for e in later)


def asked_again(incident: Incident, *, by: str, now: float, steering: str = "") -> Incident:
    """The mark with which a person asks for a fresh investigation, optionally steering it."""
    words = [*incident.steering, steering] if steering else incident.steering
    return mark(incident, now=now, actor=by, what=AGAIN, reason=steering, steering=words)


async def rebaselined(log: IncidentLog, approved: Rebaseline) -> list[str]:
    """Write the approval into the open incidents of its model, else the latest: so the audit log has it. Their ids.

    Raises AuditError when that cannot be written: nothing may then be approved.
    """
    every = await log.view.all(limit=500)
    mine = [i for i in every if (i.tenant, i.model) == (approved.tenant, approved.model)]
    chosen = [i for i in mine if not i.over] or mine[:1]
    what = f"{REBASELINED} for {approved.model} version {approved.version}"
    for incident in chosen:
        await log.change(
            incident.id,
            lambda i: mark(i, now=approved.at, actor=approved.by, what=what, reason=approved.reason),
        )
    return [i.id for i in chosen]
