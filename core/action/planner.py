"""From a hypothesis to an exact plan: it gives an id, versions come from telemetry, the rest from policy."""

from __future__ import annotations

from core.action import Facts, action
from core.approval import Plan
from core.findings import Hypothesis
from core.incidents import Incident
from core.policy import Policy
from core.ports import Telemetry

MIN_ROWS = 50
"""A version that served fewer rows than this before the onset is not a place to go back to."""


class Plans:
    """Implements `core.ports.Planner`."""

    def __init__(self, telemetry: Telemetry, policy: Policy):
        self.telemetry, self.policy = telemetry, policy

    async def plan(self, incident: Incident, hypothesis: Hypothesis, now: float) -> Plan | None:
        """The first of the hypothesis' actions that policy allows and that makes sense; None when it abstains."""
        if hypothesis.abstained:
            return None
        facts = await self.facts(incident, hypothesis)
        for name in (hypothesis.action, *hypothesis.alternatives):
            rule = self.policy.actions.get(name)
            if rule is None or not rule.enabled:
                continue
            if plan := action(name).plan(incident, hypothesis, facts, self.policy, now):
                return plan
        return None

    async def facts(self, incident: Incident, hypothesis: Hypothesis) -> Facts:
        """Versions as measured: the one that alerted, and the last other one that served before the onset."""
        windows = await self.telemetry.windows(incident.tenant, incident.model, until=incident.opened)
        rows: dict[str, int] = {}
        last: dict[str, float] = {}
        for window in windows:
            if window.version != incident.version and window.start <= incident.onset and not window.segment:
                rows[window.version] = rows.get(window.version, 0) + window.rows
                last[window.version] = window.end
        usable = [v for v, n in rows.items() if n >= MIN_ROWS]
        reached = len(hypothesis.blast) + hypothesis.blast_more
        return Facts(
            faulty=incident.version,
            healthy=max(usable, key=last.__getitem__, default=""),
            blast=f"{reached} downstream" if reached else "nothing downstream is known",
        )
