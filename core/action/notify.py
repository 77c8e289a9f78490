"""Tell the owner and change nothing: for what is real but needs no repair (a season, a planned campaign)."""

from __future__ import annotations

from core.action import Facts, Tools
from core.action.base import base
from core.approval import Plan, SuccessTest
from core.findings import Hypothesis
from core.incidents import Incident
from core.policy import Policy
from core.verification import lead


def plan(incident: Incident, hypothesis: Hypothesis, facts: Facts, policy: Policy, now: float) -> Plan | None:
    """Always possible: accepting it closes the incident with the reason given."""
    return Plan(
        **base(incident, hypothesis, "notify", policy, now),
        summary=f"Accept this as expected for {incident.model}; nothing is changed",
        undo="Open a ticket instead",
        success=SuccessTest(signal=lead(incident).signal, method="executed"),
        blast=facts.blast,
    )


async def precheck(plan: Plan, incident: Incident, tools: Tools) -> None:
    """Nothing is touched."""


async def run(plan: Plan, incident: Incident, tools: Tools, key: str) -> str:
    """The card and the audit log already say it."""
    return "Noted for the owner"


def undo(plan: Plan, incident: Incident, policy: Policy, now: float) -> Plan | None:
    """None: nothing was done."""
    return None
