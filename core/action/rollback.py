"""Roll a model back to the last version that served it before the trouble began."""

from __future__ import annotations

from core.action import Facts, Tools, deployer, deployer_name
from core.action.base import base, recovery, reversed_plan
from core.approval import Plan
from core.errors import Refused
from core.findings import Hypothesis
from core.incidents import Incident
from core.policy import Policy
from core.verification import detection_of, judge


def plan(incident: Incident, hypothesis: Hypothesis, facts: Facts, policy: Policy, now: float) -> Plan | None:
    """Back to `facts.healthy`; None when no other version was seen serving before the onset."""
    if not facts.healthy or facts.healthy == facts.faulty:
        return None
    return Plan(
        **base(incident, hypothesis, "rollback", policy, now),
        parameters={
            "from": facts.faulty,
            "to": facts.healthy,
            "deployer": deployer_name(policy, incident.tenant, incident.model, "rollback"),
        },
        summary=f"Roll {incident.model} back from version {facts.faulty} to version {facts.healthy}",
        undo=f"Deploy version {facts.faulty} of {incident.model} again",
        success=recovery(incident, policy, facts.healthy),
        blast=facts.blast,
    )


async def precheck(plan: Plan, incident: Incident, tools: Tools) -> None:
    """Still drifting, still the version meant, target healthy, nothing in flight. Raises Refused or Unavailable."""
    state = await deployer(plan.parameters, tools).current(plan.tenant, plan.model)
    serving, target = state.get("version"), plan.parameters["to"]
    if serving != plan.parameters["from"]:
        raise Refused(
            f"{plan.model} now serves version {serving}, not {plan.parameters['from']}: the plan is out of date."
        )
    if state.get("in_flight"):
        raise Refused(f"A deployment of {plan.model} is in flight; wait for it and review again.")
    known = state.get("versions", {}).get(target)
    if known is None or not known.get("healthy", False):
        raise Refused(f"Version {target} of {plan.model} is {'unknown' if known is None else 'not healthy'} there.")
    if not plan.undo_of:
        await _still_faulty(plan, incident, tools)


async def _still_faulty(plan: Plan, incident: Incident, tools: Tools) -> None:
    found = detection_of(incident, plan.success.signal)
    windows = await tools.telemetry.windows(
        plan.tenant, plan.model, since=incident.onset, version=plan.parameters["from"]
    )
    if windows and judge(plan.success, found, [], windows[-3:]).verdict == "healthy":
        raise Refused(f"{found.signal} of {plan.model} looks healthy again; there is nothing to roll back.")


async def run(plan: Plan, incident: Incident, tools: Tools, key: str) -> str:
    """Ask the deployer, under `key`. Raises Unavailable (ask again with the same key) or Refused."""
    verb = "deploy" if plan.undo_of else "rollback"
    parameters = {"to": plan.parameters["to"], "from": plan.parameters["from"]}
    await deployer(plan.parameters, tools).act(verb, plan.tenant, plan.model, parameters, key)
    return f"{plan.model} serves version {plan.parameters['to']}"


def undo(plan: Plan, incident: Incident, policy: Policy, now: float) -> Plan | None:
    """Deploy the other version again."""
    there, back = plan.parameters["from"], plan.parameters["to"]
    return reversed_plan(
        plan, policy, now,
        parameters={**plan.parameters, "from": back, "to": there},
        summary=f"Undo: deploy version {there} of {plan.model} again (now serving {back})",
        undo=f"Roll back to version {back}",
        success=recovery(incident, policy, there),
    )  # fmt: skip
