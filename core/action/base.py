"""What every plan has in common: the fields that come from the incident, the hypothesis and the policy."""

from __future__ import annotations

from typing import Any

from core.approval import Plan, SuccessTest
from core.findings import Hypothesis
from core.incidents import Incident
from core.policy import Policy
from core.verification import lead


def base(incident: Incident, hypothesis: Hypothesis | None, action: str, policy: Policy, now: float) -> dict[str, Any]:
    """Keyword arguments of `Plan` that no action decides by itself."""
    rule = policy.actions[action]
    return {
        "action": action, "tenant": incident.tenant, "model": incident.model, "tier": rule.tier,
        "required": rule.approvals, "four_eyes": rule.four_eyes or rule.approvals > 1,
        "policy_version": policy.version_digest, "created": now,
        "evidence_digest": hypothesis.evidence_digest if hypothesis else "",
    }  # fmt: skip


def recovery(incident: Incident, policy: Policy, version: str = "") -> SuccessTest:
    """The success test on the signal that alerted, over rows of `version`."""
    seconds = policy.approval.recovery_hours * 3600
    return SuccessTest(signal=lead(incident).signal, version=version, within_seconds=seconds)


def reversed_plan(plan: Plan, policy: Policy, now: float, **changes: Any) -> Plan:
    """The plan that takes `plan` back: same action, same approval rules, freshly dated."""
    fields = {f: getattr(plan, f) for f in plan.__struct_fields__}
    return Plan(
        **(fields | {"created": now, "undo_of": plan.digest, "policy_version": policy.version_digest} | changes)
    )
