"""The shape shared by actions that are one verb of the deployer and name no version."""

from __future__ import annotations

from dataclasses import dataclass

from core.action import Facts, Tools, deployer, deployer_name
from core.action.base import base, recovery
from core.approval import Plan, SuccessTest
from core.errors import Refused
from core.findings import Hypothesis
from core.incidents import Incident
from core.policy import Policy


@dataclass(frozen=True)
class DeployedVerb:
    """One action made of `verb`. `tested`: the signal itself must recover, or else done means done."""

    action: str
    verb: str
    summary: str
    undone: str
    tested: bool

    def plan(self, incident: Incident, hypothesis: Hypothesis, facts: Facts, policy: Policy, now: float) -> Plan | None:
        """None when policy gives this action no deployer with an address."""
        name = deployer_name(policy, incident.tenant, incident.model, self.action)
        address = policy.deployers.get(name)
        if address is None or not address.url:
            return None
        success = recovery(incident, policy)
        if not self.tested:
            success = SuccessTest(signal=success.signal, method="executed")
        return Plan(
            **base(incident, hypothesis, self.action, policy, now),
            parameters={"deployer": name},
            summary=self.summary.format(model=incident.model),
            undo=self.undone.format(model=incident.model),
            success=success,
            blast=facts.blast,
        )

    async def precheck(self, plan: Plan, incident: Incident, tools: Tools) -> None:
        """Nothing may be in flight. Raises Refused or Unavailable."""
        state = await deployer(plan.parameters, tools).current(plan.tenant, plan.model)
        if state.get("in_flight"):
            raise Refused(f"A deployment of {plan.model} is in flight; wait for it and review again.")

    async def run(self, plan: Plan, incident: Incident, tools: Tools, key: str) -> str:
        """Ask the deployer, under `key`. Raises Unavailable (ask again with the same key) or Refused."""
        await deployer(plan.parameters, tools).act(self.verb, plan.tenant, plan.model, {}, key)
        return f"{self.verb} of {plan.model} accepted"

    def undo(self, plan: Plan, incident: Incident, policy: Policy, now: float) -> Plan | None:
        """None: taken back by people, as the plan's undo line says."""
        return None
