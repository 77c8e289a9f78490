"""Triage: alerts become incidents, incidents get a hypothesis and a plan. The `investigate` target's handlers.

Opening and investigating are two handlers on two subjects, so that a slow investigation never delays a first card.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from core.approval import Plan
from core.errors import TransitionError
from core.events import AlertFired, AlertResolved, content_id
from core.findings import Hypothesis
from core.incident_log import IncidentLog
from core.incidents import Incident, IncidentChanged, Outcome, advance, mark, opened
from core.ports import Investigator, Planner

log = logging.getLogger("middlewatch.investigate")

AGAIN = "investigate again"
"""The timeline entry with which a person (or material new evidence) asks for a fresh investigation."""
JOINED = "joined by alert"
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
        return advance(
            incident, "resolved", writer="investigate", now=self.now(), actor="investigate", what=text,
            outcome=Outcome(verdict="recovered_by_itself", text=text, rows=alert.rows),
        )  # fmt: skip

    async def on_incident(self, event: IncidentChanged) -> None:
        """Investigate what was opened, and what somebody asked to have investigated again."""
        incident = await self.incidents.view.get(event.incident.id)
        if incident is None:
            return
        fresh = event.incident.revision == 1 and incident.state == "opened"
        if fresh or (incident.state == "diagnosed" and _still_asked(event.incident, incident)):
            await self._diagnose(incident)

    async def _diagnose(self, incident: Incident) -> None:
        if self.caught_up is not None:
            await self.caught_up()
        now = self.now()
        hypothesis = await self.investigator.investigate(incident, now)
        plan = await self.planner.plan(incident, hypothesis, now)
        await self._try(incident.id, lambda i: self._diagnosed(i, hypothesis, plan))

    def _diagnosed(self, incident: Incident, hypothesis: Hypothesis, plan: Plan | None) -> Incident | None:
        what = "not sure" if hypothesis.abstained else hypothesis.headline
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


def _still_asked(then: Incident, now: Incident) -> bool:
    """Whether `then` asked for a fresh investigation and nobody has answered since (one entry per revision)."""
    if then.timeline[-1].what != AGAIN:
        return False
    later = now.timeline[then.revision :]
    return all(e.actor != "investigate" or e.what == AGAIN or e.what.startswith((JOINED, CALM)) for e in later)


def asked_again(incident: Incident, *, by: str, now: float, steering: str = "") -> Incident:
    """The mark with which a person asks for a fresh investigation, optionally steering it."""
    words = [*incident.steering, steering] if steering else incident.steering
    return mark(incident, now=now, actor=by, what=AGAIN, reason=steering, steering=words)
