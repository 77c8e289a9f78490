"""Hand the trouble to its owner as a ticket, with the hypothesis and its evidence."""

from __future__ import annotations

from core.action import Facts, Tools
from core.action.base import base
from core.approval import Plan, SuccessTest
from core.events import iso
from core.findings import Hypothesis
from core.incidents import Incident
from core.policy import Policy
from core.verification import lead


def plan(incident: Incident, hypothesis: Hypothesis, facts: Facts, policy: Policy, now: float) -> Plan | None:
    """Always possible."""
    cause = (
        hypothesis.cause.type.replace("_", " ") if hypothesis.cause and not hypothesis.abstained else "cause unknown"
    )
    return Plan(
        **base(incident, hypothesis, "ticket", policy, now),
        parameters={"cause": cause},
        summary=f"Open a ticket for the owner of {incident.model}: {cause}",
        undo="Close the ticket",
        success=SuccessTest(signal=lead(incident).signal, method="executed"),
        blast=facts.blast,
    )


async def precheck(plan: Plan, incident: Incident, tools: Tools) -> None:
    """A ticket hurts nobody."""


async def run(plan: Plan, incident: Incident, tools: Tools, key: str) -> str:
    """Open it once per `key`; where it stands."""
    where = await tools.tickets.open_ticket(key, plan.summary, body(incident))
    return f"Ticket opened: {where}"


def body(incident: Incident) -> str:
    """The ticket's text: facts and claims with their citations, and where to read on."""
    said = incident.hypothesis
    lines = [
        f"{incident.severity} {incident.model} v{incident.version}: {incident.kind} since {iso(incident.onset)}",
        "",
    ]
    if said:
        lines += [said.headline, "", *(f"- {c.text} [{', '.join(c.citations)}]" for c in said.claims), ""]
        lines += [f"Could not check: {gap.what} ({gap.why})" for gap in said.gaps]
        lines += [f"{e.id}: {e.title} (sha256 {e.digest[:12]})" for e in said.evidence]
    return "\n".join([*lines, "", f"Incident {incident.id}: `python -m bot incident {incident.id}`"])


def undo(plan: Plan, incident: Incident, policy: Policy, now: float) -> Plan | None:
    """None: people close tickets."""
    return None
