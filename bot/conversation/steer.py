"""Steering or stopping a running investigation from its thread: the words become constraints of the next run."""

from __future__ import annotations

import re

from bot.blocks import clean, escape
from bot.conversation.acknowledge import actor
from bot.desk import Desk
from core.approval import Person, require
from core.errors import Refused
from core.incidents import Incident, mark

MOST = 8
_STOP = re.compile(r"^\s*(?:please\s+)?(?:stop|cancel)\b[\s.!]*(?:the\s+)?(?:investigation|it)?[\s.!]*$", re.I)


async def steer(desk: Desk, incident: Incident, person: Person, text: str) -> str:
    """Record the words and investigate again under them (`stop`: do not). Raises Refused."""
    require(person, "responder", desk.policy, "steering an investigation")
    if incident.over or incident.state not in ("opened", "diagnosed"):
        raise Refused(f"This incident is {incident.state}: there is no investigation to steer.")
    stop = bool(_STOP.match(text))
    words = "stop" if stop else clean(text, 200)
    now = desk.now()

    def change(current: Incident) -> Incident | None:
        if words in current.steering[-1:]:
            return None
        if len(current.steering) >= MOST:
            raise Refused(f"This investigation was steered {MOST} times already. Dismiss it or take it over.")
        what = "stopped the investigation" if stop else f"steered: {words}"
        return mark(current, now=now, actor=actor(person), what=what, steering=[*current.steering, words])

    await desk.log.change(incident.id, change)
    if stop:
        return (
            "Noted. A result already on its way may still arrive; nothing new is looked at until somebody asks again."
        )
    await desk.investigate_again(incident.id)
    return f"Investigating again with: {escape(words, 200)}"
