"""What was not sure is looked at again: later more has been measured, and more windows have closed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from core.errors import MiddlewatchError
from core.incident_log import IncidentLog
from core.incidents import Incident, mark
from core.triage import AGAIN, UNSURE, stopped_by

log = logging.getLogger("middlewatch.investigate")

LOOKS = (600.0, 3_600.0, 10_800.0)
"""Seconds after its opening at which an incident is looked at again while its card says "Not sure"."""
EVERY = 30.0
REASON = "more has been measured since"


def next_look(incident: Incident) -> float | None:
    """When (epoch seconds) the incident is looked at again; None when nobody will. A person's stop ends the looks."""
    unsure = incident.state == "diagnosed" and incident.hypothesis is not None and incident.hypothesis.abstained
    if not unsure or stopped_by(incident):
        return None
    last = max((e.at for e in incident.timeline if e.what in (AGAIN, UNSURE)), default=incident.opened_at)
    return next((at for after in LOOKS if (at := incident.opened_at + after) > last), None)


def due(incident: Incident, now: float) -> bool:
    """Whether a look is due that nobody has had since: one, however many were missed. Pure."""
    at = next_look(incident)
    return at is not None and at <= now


async def look_again(incidents: IncidentLog, now: Callable[[], float] = time.time) -> list[str]:
    """Ask for an investigation of every incident that is due one; their ids. Several may do this at once."""
    asked = []
    for incident in await incidents.view.all(over=False):
        if due(incident, now()):
            await incidents.change(incident.id, lambda i: _asked(i, now()))
            asked.append(incident.id)
    return asked


async def watch(incidents: IncidentLog, every: float = EVERY) -> None:
    """`look_again` until cancelled; what goes wrong is logged and tried again."""
    while True:
        await asyncio.sleep(every)
        try:
            await look_again(incidents)
        except MiddlewatchError as error:
            log.warning("looking again at what was not sure: %s", error)


def _asked(incident: Incident, now: float) -> Incident | None:
    return mark(incident, now=now, actor="investigate", what=AGAIN, reason=REASON) if due(incident, now) else None
