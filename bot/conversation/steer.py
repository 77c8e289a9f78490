"""Steering or stopping a running investigation from its thread: the words become constraints of the next run."""

from __future__ import annotations

import re

from bot.blocks import clean, escape
from bot.conversation.acknowledge import actor
from bot.desk import Desk
from core.approval import Person, require
from core.errors import Refused
from core.incidents import Incident, mark
from core.triage import STOPPED, stopped_by

MOST = 8
_STOP = re.compile(r"^\s*(?:please\s+)?(?:stop|cancel)\b[\s.!]*(?:the\s+)?(?:investigation|it)?[\s.!]*$", re.I)


async def steer(desk: Desk, incident: Incident, person: Person, text: str) -> str:
    """Record the words and investigate again under them, at once; `stop` ends what runs. Raises Refused."""
    require(person, "responder", desk.policy, "steering an investigation")
    if incident.over or incident.state not in ("opened", "diagnosed"):
        raise Refused(f"This incident is {incident.state}: there is no investigation to steer.")
    words = clean(text, 200)
    if _STOP.match(text):
        return await _stop(desk, incident, person)
    if words in incident.steering[-1:]:
        return f"Investigating already with: {escape(words, 200)}"
    if len(incident.steering) >= MOST:
        raise Refused(f"This investigation was steered {MOST} times already. Dismiss it or take it over.")
    await desk.again(incident.id, actor(person), words)
    return f"Investigating again with: {escape(words, 200)}"


async def _stop(desk: Desk, incident: Incident, person: Person) -> str:
    """End a running investigation; the card says who ended it."""
    now = desk.now()

    def change(current: Incident) -> Incident | None:
        if current.state != "opened":
            raise Refused(f"This incident is {current.state} already: no investigation is running.")
        if stopped_by(current):
            return None
        return mark(current, now=now, actor=actor(person), what=STOPPED)

    desk.show(await desk.log.change(incident.id, change))
    return "Stopped. Nothing new is looked at until somebody asks again: `look at ...`, or *Investigate again*."
