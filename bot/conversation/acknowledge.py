"""Saying that one has it; and how a person stands in the audit log."""

from __future__ import annotations

from bot.blocks import code
from bot.desk import Desk
from core.approval import Person, require
from core.incidents import Incident, mark


def actor(person: Person) -> str:
    """Team and id, never a display name."""
    return f"{person.team}/{person.id}"


async def acknowledge(desk: Desk, incident_id: str, person: Person) -> str:
    """Mark that this person has it. Idempotent; raises Refused."""
    require(person, "responder", desk.policy, "acknowledging")
    now = desk.now()

    def change(incident: Incident) -> Incident | None:
        if incident.acknowledged_by == actor(person):
            return None
        return mark(incident, now=now, actor=actor(person), what="acknowledged", acknowledged_by=actor(person))

    after = await desk.log.change(incident_id, change)
    desk.show(after)
    return f"Acknowledged {code(incident_id)}."
