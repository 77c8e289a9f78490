"""A person's verdict on a hypothesis: kept on the incident, as an evaluation case, and in the detectors' ledger."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bot.blocks import clean
from bot.desk import Desk
from core.approval import Person, require
from core.incidents import Feedback, Incident, mark

CASE_DAYS = 400


async def save(
    desk: Desk, incident_id: str, person: Person, verdict: Literal["right", "partly", "wrong"], true_cause: str
) -> Incident:
    """Record it. One verdict a person: a later one replaces the earlier. Raises Refused."""
    require(person, "viewer", desk.policy, "giving feedback")
    now, by = desk.now(), f"{person.team}/{person.id}"
    entry = Feedback(by=by, at=now, verdict=verdict, true_cause=clean(true_cause, 500))

    def change(incident: Incident) -> Incident | None:
        mine = next((f for f in incident.feedback if f.by == by), None)
        if mine and (mine.verdict, mine.true_cause) == (entry.verdict, entry.true_cause):
            return None
        kept = [f for f in incident.feedback if f.by != by]
        what = f"feedback: the cause was {verdict}"
        return mark(incident, now=now, actor=by, what=what, reason=entry.true_cause, feedback=[*kept, entry])

    after = await desk.log.change(incident_id, change)
    await desk.flags.set_flag(f"case:{incident_id}", msgspec.json.encode(case(after)), ttl=CASE_DAYS * 86_400.0)
    if await desk.cards.once(f"ledger:{incident_id}:{by}", CASE_DAYS * 86_400.0):
        for detector in sorted({d.detector for a in after.alerts for d in a.detections}):
            await desk.flags.count(f"ledger:{detector}:{verdict}")
    if desk.on_feedback is not None:
        await desk.on_feedback(after)
    return after


def case(incident: Incident) -> dict[str, Any]:
    """A replayable evaluation case: what was seen, what was said, what was true."""
    h = incident.hypothesis
    return {
        "incident": msgspec.to_builtins(msgspec.structs.replace(incident, timeline=[], feedback=[])),
        "named": h.cause.type if h and h.cause else "unknown",
        "verdicts": [msgspec.to_builtins(f) for f in incident.feedback],
    }
