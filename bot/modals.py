"""Dialogs. A light one opens within the trigger's three seconds and is filled a moment later. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot import wording as say
from bot.blocks import (
    Block,
    actions,
    button,
    code,
    confirm,
    context,
    cut,
    escape,
    field,
    fields,
    name,
    number,
    numbered,
    plain,
    section,
    select,
    when,
    words,
)
from core.approval import Plan, counting, expiry
from core.findings import RunbookCitation
from core.incidents import Incident
from core.policy import Policy

View = dict[str, Any]
TITLE = 24


def modal(title: str, blocks: Sequence[Block], *, callback: str = "", submit: str = "", nonce: str = "") -> View:
    view: View = {"type": "modal", "title": plain(title, TITLE), "blocks": numbered(blocks)[:100]}
    view["close"] = plain("Cancel" if submit else "Close", TITLE)
    if submit:
        view |= {"submit": plain(submit, TITLE), "callback_id": callback, "private_metadata": nonce}
    return view


def loading(title: str) -> View:
    return modal(title, [section("Reading…")])


def told(title: str, text: str) -> View:
    """A dialog that only says something; `text` is mrkdwn and must be safe already."""
    return modal(title, [section(text)])


def review(incident: Incident, plan: Plan, policy: Policy, nonce: str, role: str, problem: str = "") -> View:
    """Everything a person must know before saying yes: plan, versions, diff, undo, success test, who else, expiry."""
    have = counting(incident, plan)
    blocks = [
        *([section(f"*{escape(problem, 300)}*")] if problem else []),
        section(f"*{escape(plan.summary, 300)}*\n{incident.severity}, {code(incident.tenant)}"),
        fields(_plan_fields(plan, policy, len(have))),
        section("*What changes*\n```\n" + "\n".join(_diff(plan)) + "\n```"),
        section(
            f"*Touches*\n{escape(plan.blast or 'nothing downstream is known', 300)}\n"
            f"*Undo*\n{escape(plan.undo, 300)}\n*Success test*\n{escape(plan.success.sentence(), 600)}"
        ),
        section(f"*Why*\n{_why(incident)}"),
        *([context(_others(plan, have))] if plan.required > 1 or have or plan.requested_by else []),
        field("reason", "Reason (goes into the audit log)", words("reason", placeholder="What convinced you?")),
        actions(
            button("Reject this proposal", "reject", nonce, style="danger", label="Reject this proposal for everyone",
                   confirm=confirm("Reject the proposal?", "It ends for everyone. The incident stays open.", "Reject",
                                   style="danger"))
        ),
        context(*_warning(role), f"Evidence `{plan.evidence_digest[:12]}`, policy `{plan.policy_version[:12]}`, "
                f"plan `{plan.digest[:12]}`"),
    ]  # fmt: skip
    verb = "undo" if plan.undo_of else say.action_word(plan.action)
    return modal(f"Review {verb}", blocks, callback="approve", submit="Approve", nonce=nonce)


def _plan_fields(plan: Plan, policy: Policy, have: int) -> list[str]:
    p = plan.parameters
    moves = f"{code(p['from'])} → {code(p['to'])}" if p.get("from") and p.get("to") else code(p.get("to") or "-")
    return [
        f"*Action*\n{say.action_word(plan.action)} (tier {escape(plan.tier, 20)})",
        f"*Version*\n{moves}",
        f"*Approvals*\n{have} of {plan.required}",
        f"*Expires*\n{when(expiry(plan, policy), '{time}')}",
    ]


def _diff(plan: Plan) -> list[str]:
    """The parameters as a diff; what serves now goes out, what will serve comes in."""
    p = plan.parameters
    lines = [f"- version: {p['from']}"] if p.get("from") else []
    lines += [f"+ version: {p['to']}"] if p.get("to") else []
    lines += [f"  {key}: {value}" for key, value in sorted(p.items()) if key not in ("from", "to")]
    return [escape(line, 120) for line in lines] or ["  (no parameters)"]


def _why(incident: Incident) -> str:
    h = incident.hypothesis
    if h is None:
        return "No hypothesis is on record."
    return f"{escape(h.headline, 300)} (confidence {h.confidence:.2f})"


def _others(plan: Plan, have: Sequence[Any]) -> str:
    who = ", ".join(f"<@{a.by.id}>" for a in have)
    left = plan.required - len(have)
    said = f"Approved by {who}. " if who else ""
    if plan.requested_by:
        asker = name(plan.requested_by.rpartition("/")[2], 40)
        said += f"Asked for by <@{asker}>{', who cannot approve it' if plan.four_eyes else ''}. "
    return f"{said}{left} different {'person' if left == 1 else 'people'} must approve; nobody can do it alone twice."


def _warning(role: str) -> list[str]:
    return [] if role in ("approver", "admin") else [f"You are {escape(role, 20)} here: only an approver can approve."]


def dismiss(incident: Incident, nonce: str) -> View:
    blocks = [
        section(f"Close {code(incident.id)} ({escape(say.title(incident), 200)}) as *not an incident*?"),
        field("reason", "Why is it not an incident?", words("reason", placeholder="Planned change, known season, ...")),
        context("Recorded in the audit log, and counted for the detectors that fired."),
    ]
    return modal("Not an incident", blocks, callback="dismiss", submit="Dismiss", nonce=nonce)


DURATIONS = (
    ("30 minutes", "1800"),
    ("2 hours", "7200"),
    ("8 hours", "28800"),
    ("1 day", "86400"),
    ("7 days", "604800"),
)


def snooze(incident: Incident, nonce: str, preview: str, seconds: str = "7200", scope: str = "") -> View:
    """`scope` is the index of the signal among the incident's own, or `*` for the whole model."""
    found = say.by_signal(incident)[:20]
    scopes = [(cut(f"{say.signal_plain(d.signal)} only", 70), str(n)) for n, d in enumerate(found)]
    scopes.append((cut(f"everything of {say.name(incident.model)}", 70), "*"))
    blocks = [
        field("seconds", "For how long?", select("seconds", DURATIONS, seconds), tell=True),
        field("scope", "What should be quiet?", select("scope", scopes, scope or "0"), tell=True),
        section(f"*What this would have hidden*\n{preview}"),
        field("reason", "Reason", words("reason", placeholder="Who knows about it, until when?")),
    ]  # fmt: skip
    return modal("Snooze", blocks, callback="snooze", submit="Snooze", nonce=nonce)


def wrong(incident: Incident, nonce: str, verdict: str) -> View:
    title = "The cause was wrong" if verdict == "wrong" else "The cause was partly right"
    named = say.headline(incident.hypothesis) if incident.hypothesis else "none"
    blocks = [
        section(f"Named cause: {escape(named, 300)}"),
        field("reason", "What was the true cause?", words("reason", placeholder="One sentence is enough")),
        context("It becomes an evaluation case and counts in the detectors' ledger."),
    ]
    return modal(title, blocks, callback="feedback", submit="Save", nonce=nonce)


def runbook(citation: RunbookCitation) -> View:
    """The cited section as text; links in it are not live, formatting marks are kept plain."""
    parts = [escape(line, 2_000) for line in citation.text.splitlines()]
    text = cut("\n".join(parts), 2_900) or "This section is empty."
    verified = f"verified {escape(citation.last_verified, 20)}" if citation.last_verified else "never verified"
    stale = " · *stale: read with care*" if citation.stale else ""
    where = code(f"{citation.file}#{citation.heading}@{citation.revision}", 150)
    return modal("Runbook", [context(f"{where} · {verified}{stale}"), section(text),
                             context(f"Relevance {number(citation.relevance)}")])  # fmt: skip
