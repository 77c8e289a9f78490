"""An incident in plain words for systems that show it: one title, one text, the same for the same revision."""

from __future__ import annotations

from core.events import iso
from core.incidents import Incident
from integrations.plain import cleaned

LABEL = "middlewatch"


def title(incident: Incident) -> str:
    """One line."""
    hypothesis = incident.hypothesis
    said = hypothesis.headline if hypothesis and not hypothesis.abstained else incident.kind.replace("_", " ")
    return cleaned(f"{incident.severity} {incident.tenant}/{incident.model}: {said}")[:200]


def body(incident: Incident) -> str:
    """Several lines: state, what is claimed with its evidence, what is proposed, what happened."""
    lines = [
        f"Incident {incident.id}, {incident.state}, since {iso(incident.onset)}.",
        f"Model {incident.tenant}/{incident.model}, version {incident.version}.",
    ]
    if incident.hypothesis:
        lines += ["", f"Hypothesis ({incident.hypothesis.confidence:.0%} confidence):"]
        lines += [f"- {cleaned(claim.text)} [{', '.join(claim.citations)}]" for claim in incident.hypothesis.claims]
    if incident.plan:
        lines += ["", f"Proposed: {cleaned(incident.plan.summary)}"]
    if incident.outcome:
        lines += ["", f"Outcome: {cleaned(incident.outcome.text)}"]
    lines += ["", "Timeline:"]
    lines += [f"- {iso(entry.at)} {cleaned(entry.what)} ({cleaned(entry.actor)})" for entry in incident.timeline]
    return "\n".join(lines)
