"""Approval: a plan, its digest, who may say yes, and the pure decision. Nothing here touches the outside."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from core.errors import Refused

if TYPE_CHECKING:
    from core.incidents import Incident
    from core.policy import Policy


class SuccessTest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How we shall know, written down before anyone says yes; judged by `core.verification.judge`."""

    signal: str
    method: Literal["sprt", "executed"] = "sprt"
    """`sprt`: Wald's sequential test between healthy and faulty; `executed`: done means done (a ticket)."""
    alpha: float = 0.01
    """Chance of `confirmed` though still faulty, and of `not recovered` though healthy."""
    min_rows: int = 200
    max_rows: int = 20_000
    within_seconds: float = 86_400.0
    """Event time after which an undecided test counts as not recovered."""
    version: str = ""
    """The version whose rows count; empty = any."""

    def sentence(self) -> str:
        if self.method == "executed":
            return "Done when the action has run."
        return (
            f"Confirmed when at least {self.min_rows} fresh rows"
            + (f" of version {self.version}" if self.version else "")
            + f" show {self.signal} healthy again (sequential test, error rate {self.alpha:g}); "
            f"not recovered if they still look as in the incident, or after {self.max_rows} rows undecided."
        )


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exact content of what is proposed. An approval is for its digest and for nothing else."""

    action: str
    tenant: str
    model: str
    parameters: dict[str, str] = {}
    summary: str
    """One line: what will happen."""
    undo: str
    """One line: how it is taken back."""
    success: SuccessTest
    evidence_digest: str
    policy_version: str
    created: float
    """Wall clock."""
    required: int = 1
    """How many different people must approve."""
    requested_by: str = ""
    """Who asked for it (`TEAM/USER`); empty when the alert did."""
    four_eyes: bool = False
    """Whether the approval of who asked does not count."""
    tier: str = "medium"
    blast: str = ""
    undo_of: str = ""
    """Digest of the plan this one undoes."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: action, parameters, evidence, policy, success test, creation."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class Person(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who clicked, as the chat system itself vouches: `team` and `id`, never a display name."""

    id: str
    team: str = ""
    name: str = ""
    groups: list[str] = []
    bot: bool = False
    guest: bool = False
    """Guests and people of another workspace never approve."""


class Approval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person's yes or no to one digest."""

    by: Person
    at: float
    digest: str
    verdict: Literal["approved", "rejected"]
    reason: str


Role = Literal["viewer", "responder", "approver", "admin"]
_RANK: dict[str, int] = {"none": -1, "viewer": 0, "responder": 1, "approver": 2, "admin": 3}


def role_of(person: Person, policy: Policy) -> str:
    """The highest role policy binds to this person or one of their groups; bots and guests are `none`."""
    if person.bot or person.guest:
        return "none"
    names = {person.id, f"{person.team}/{person.id}", *(f"@{g}" for g in person.groups)}
    best = "viewer"
    for role, members in (
        ("responder", policy.roles.responder), ("approver", policy.roles.approver), ("admin", policy.roles.admin),
    ):  # fmt: skip
        if names & set(members):
            best = role
    return best


def require(person: Person, role: Role, policy: Policy, what: str) -> None:
    """Raise Refused unless `person` has at least `role`."""
    has = role_of(person, policy)
    if has == "none":
        raise Refused(f"Guests, bots and people of other workspaces cannot do this; {what} needs the role {role}.")
    if _RANK[has] < _RANK[role]:
        raise Refused(f"You are {has} here; {what} needs the role {role}. Roles are set in the policy, under [roles].")


def asked_for(plan: Plan, person: Person) -> bool:
    """Whether four eyes are asked and two of them are this person's already."""
    return plan.four_eyes and plan.requested_by == f"{person.team}/{person.id}"


def counting(incident: Incident, plan: Plan) -> list[Approval]:
    """Approvals that count for this plan: for its digest, one per person, not of who asked where that is excluded."""
    seen: dict[tuple[str, str], Approval] = {}
    for approval in incident.approvals:
        if approval.digest == plan.digest and approval.verdict == "approved" and not asked_for(plan, approval.by):
            seen.setdefault((approval.by.team, approval.by.id), approval)
    return list(seen.values())


def expiry(plan: Plan, policy: Policy) -> float:
    """Wall clock at which the plan can no longer be approved or run."""
    return plan.created + policy.approval.expires_minutes * 60


def check_plan(incident: Incident, digest: str, policy: Policy, now: float) -> Plan:
    """The incident's plan if it is the one meant and still valid. Raises Refused saying why not."""
    plan = incident.plan
    if plan is None:
        raise Refused("There is no proposal on this incident any more.")
    if plan.digest != digest:
        raise Refused("The proposal has changed since you opened it (new evidence or a newer plan). Review it again.")
    if plan.policy_version != policy.version_digest:
        raise Refused("The policy has changed since this was proposed. Investigate again to get a fresh proposal.")
    if now > expiry(plan, policy):
        minutes = policy.approval.expires_minutes
        raise Refused(f"This proposal expired after {minutes:g} minutes. Investigate again to get a fresh one.")
    return plan


def decide(
    incident: Incident, digest: str, person: Person, verdict: Literal["approved", "rejected"], reason: str,
    policy: Policy, now: float,
) -> tuple[Approval, bool]:  # fmt: skip
    """This person's approval and whether it completes the plan. Pure. Raises Refused with what to tell the person.

    Four-eyes: bots, guests, whoever requested the action, and the same person twice do not count.
    """
    if incident.state not in ("diagnosed", "failed"):
        raise Refused(f"This incident is {incident.state}; there is nothing to approve now.")
    require(person, "approver", policy, "approving")
    plan = check_plan(incident, digest, policy, now)
    if policy.frozen:
        raise Refused("Actions are frozen (kill switch in the policy). Nothing can be approved until they are thawed.")
    rule = policy.actions.get(plan.action)
    if rule is None or not rule.enabled:
        raise Refused(f"Policy does not allow the action {plan.action!r}.")
    if verdict == "approved" and asked_for(plan, person):
        raise Refused("You asked for this yourself, so somebody else must approve it (four_eyes in the policy).")
    if verdict == "approved" and not reason.strip():
        raise Refused("A reason is required.")
    approval = Approval(by=person, at=now, digest=digest, verdict=verdict, reason=reason.strip()[:500])
    already = counting(incident, plan)
    if any((a.by.team, a.by.id) == (person.team, person.id) for a in already):
        raise Refused("You have approved this already; somebody else must be the second pair of eyes.")
    return approval, verdict == "approved" and len(already) + 1 >= plan.required


def nonce_row(incident: Incident, purpose: str, **extra: Any) -> dict[str, Any]:
    """What a button's opaque nonce stands for, server side: nothing in it comes from a model or a client."""
    return {
        "incident": incident.id,
        "digest": incident.plan.digest if incident.plan else "",
        "purpose": purpose,
        **extra,
    }
