"""The incident card: one message that says what, since when, how sure, what else it hits and what to do.

`card` is pure: the same incident at the same moment gives the same card. Buttons carry opaque nonces that the caller
issued; nothing in a button comes from telemetry or a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from msgspec import Struct

from bot import wording as say
from bot.blocks import (
    Block,
    actions,
    button,
    clean,
    clock,
    code,
    context,
    cut,
    escape,
    fields,
    header,
    link,
    name,
    number,
    numbered,
    overflow,
    percent,
    picture,
    section,
    span,
    when,
)
from core.approval import counting, expiry
from core.findings import Claim, Hypothesis
from core.incidents import Incident
from core.looks import next_look
from core.policy import Policy
from core.triage import stopped_by

NOTIFICATION = 300
"""Characters of the fallback text, which must carry the whole verdict."""

_EXCLUDED = ", whose approval does not count"

ENDED = ("resolved", "dismissed", "failed")

OVERFLOW = (
    ("snooze", "Snooze…"),
    ("runbook", "Read the runbook"),
    ("again", "Investigate again"),
    ("ticket", "Open a ticket"),
    ("page", "Page the on-call"),
)


class Picture(Struct, frozen=True, kw_only=True):
    """An uploaded picture: Slack's file id and the text that stands for it."""

    file: str
    alt: str


class Card(Struct, frozen=True, kw_only=True):
    """What is posted. `hash` covers what a reader sees, without nonces, block ids and the line of revisions."""

    text: str
    blocks: list[Block]
    hash: str


class Button(Struct, frozen=True, kw_only=True):
    """One visible button before it has a nonce; `purpose` is what the nonce's row will say."""

    purpose: str
    text: str
    label: str
    style: str = ""


def card(
    incident: Incident, policy: Policy, now: float, values: Mapping[str, str], shown: Picture | None = None
) -> Card:
    """The card of `incident` as of wall clock `now`. `values` maps each of `purposes(...)` to its nonce."""
    h = incident.hypothesis
    parts: list[Block | None] = [
        header(f"{incident.severity}  {_header(incident)}"),
        section(_what(incident)),
        fields(_fields(incident)),
        picture(shown.file, shown.alt) if shown else None,
        section(_cause(incident)),
        context(seen) if (seen := say.seen_before(h)) else None,
        context("Could not check: " + say.gaps(h)) if h and h.gaps else None,
        section(_next(incident, policy, now)),
        _buttons(incident, policy, now, values),
        _provenance(incident, policy),
    ]
    body = [p for p in parts if p]
    text = notification(incident, policy, now)
    return Card(text=text, blocks=numbered([*body, _footer(incident)]), hash=_hash(text, body, values))


def purposes(incident: Incident, policy: Policy, now: float) -> list[str]:
    """What the buttons of this card need nonces for."""
    return [b.purpose for b in visible(incident, policy, now)] + [p for p, _ in _more(incident)]


def reviewable(incident: Incident, policy: Policy, now: float) -> bool:
    """Whether a person may be asked to approve: there is a plan, it has not expired and nobody is unsure."""
    h, plan = incident.hypothesis, incident.plan
    if plan is None or incident.state not in ("diagnosed", "failed") or (h is not None and h.abstained):
        return False
    return now <= expiry(plan, policy)


def visible(incident: Incident, policy: Policy, now: float) -> list[Button]:
    """The buttons, at most four, at most one primary."""
    title = cut(say.title(incident), 40)
    found: list[Button] = []
    if reviewable(incident, policy, now) and incident.plan:
        verb = "undo" if incident.plan.undo_of else say.action_word(incident.plan.action)
        found.append(Button(purpose="review", text=f"Review {verb}", label=f"Review {verb}: {title}", style="primary"))
    if incident.over:
        if incident.hypothesis is not None and not incident.hypothesis.abstained:
            found += [
                Button(purpose="feedback:right", text="Cause was right", label="The named cause was right"),
                Button(purpose="feedback:partly", text="Partly", label="The named cause was partly right"),
                Button(purpose="feedback:wrong", text="Wrong", label="The named cause was wrong"),
            ]
        return [*found, Button(purpose="postmortem", text="Postmortem", label=f"Draft a postmortem: {title}")]
    if not incident.acknowledged_by:
        found.append(Button(purpose="acknowledge", text="Acknowledge", label=f"Acknowledge: {title}"))
    if incident.state in ("opened", "diagnosed", "failed"):
        found.append(Button(purpose="dismiss", text="Not an incident", label=f"Not an incident: {title}"))
    return found


def _more(incident: Incident) -> list[tuple[str, str]]:
    if incident.over:
        return []
    late = incident.state in ("approved", "executing", "verifying")
    return [(p, t) for p, t in OVERFLOW if not (late and p == "again")]


def _buttons(incident: Incident, policy: Policy, now: float, values: Mapping[str, str]) -> Block | None:
    elements = [
        button(b.text, b.purpose.replace(":", "_"), values.get(b.purpose, "-"), style=b.style, label=b.label)
        for b in visible(incident, policy, now)
    ]
    more = [(text, values.get(purpose, f"-{purpose}")) for purpose, text in _more(incident)]
    if more:
        elements.append(overflow("more", more))
    return actions(*elements) if elements else None


def _header(incident: Incident) -> str:
    prefix = {"resolved": "Resolved: ", "dismissed": "Dismissed: "}.get(incident.state, "")
    return prefix + say.title(incident)


def _what(incident: Incident) -> str:
    lines = [_sentence(c, incident.hypothesis) for c in _claims(incident, "fact")]
    if not lines:
        known = [e.id for e in incident.hypothesis.evidence] if incident.hypothesis else []
        source = f"[{known[0]}]" if known else "[A1]"
        lines = [f"{say.measured(d)} {source}" for d in say.by_signal(incident)[:4]]
    more = len(say.by_signal(incident)) - 4
    if more > 0:
        lines.append(f"and {more} more signals of the same group")
    if len(incident.models) > 1:
        shown = ", ".join(code(m) for m in incident.models[:8])
        rest = len(incident.models) - 8
        lines.append(f"Models: {shown}" + (f" and {rest} more" if rest > 0 else ""))
    return "*What's going on?*\n" + "\n".join(f"• {line}" for line in lines)


def _id(actor: str) -> str:
    """The user id out of `TEAM/USER`."""
    return name(actor.rpartition("/")[2], 40)


def _fields(incident: Incident) -> list[str]:
    texts = [f"*Since*\n{when(incident.onset)}{_event_time(incident)}"]
    found = say.by_signal(incident)
    if found:
        d = found[0]
        window = f", window {span(d.window_end - d.window_start)}" if d.window_end > d.window_start else ""
        rate = d.false_alarms_per_week
        alarms = f", {number(rate)} false alarms a week expected" if rate is not None else ""
        fires = f", threshold {number(d.threshold)}"
        if d.kind == "forecast":
            fires = f", chance {percent(d.statistic)}, a warning from {percent(d.threshold)} on"
        texts.append(f"*Detector*\n{code(d.detector, 40)}{window}{fires}{alarms}")
    texts.append("*Blast radius*\n" + _blast(incident))
    texts.append("*SLA*\n" + (say.sla(incident.hypothesis) if incident.hypothesis else _pending(incident)))
    return texts


def _event_time(incident: Incident) -> str:
    """Says so when event time is not the present (a replay, a backfill)."""
    return " (event time)" if abs(incident.opened_at - incident.opened) > 2 * 86_400 else ""


def _pending(incident: Incident) -> str:
    return "not looked up" if say.stopped_by(incident) else "being looked up"


def _blast(incident: Incident) -> str:
    h = incident.hypothesis
    if h is None:
        return _pending(incident)
    if not h.blast:
        return "nothing downstream is known"
    shown = [code(r.node) + (f" ({escape(r.owner, 40)})" if r.owner else "") for r in h.blast[:5]]
    rest = h.blast_more + max(len(h.blast) - 5, 0)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _claims(incident: Incident, role: str) -> list[Claim]:
    h = incident.hypothesis
    return [c for c in h.claims if c.role == role][:5] if h else []


def _sentence(claim: Claim, h: Hypothesis | None) -> str:
    known = [e.id for e in h.evidence] if h else []
    return f"{escape(claim.text, 400)} {say.cited(claim.citations, known)}".rstrip()


def _cause(incident: Incident) -> str:
    h = incident.hypothesis
    if h is None and (who := stopped_by(incident)):
        return (
            f"*What caused it?*\nThe investigation was stopped by <@{_id(who)}>. Say `look at ...` in the thread, or "
            "choose _Investigate again_, to have it looked into."
        )
    if h is None:
        return (
            "*What caused it?*\nInvestigating: telemetry, lineage, changes, runbooks and past incidents are "
            "being read. This card will be edited."
        )
    if h.abstained:
        text = f"*Not sure. Needs a person:* {escape(h.missing or 'no cause is supported by the evidence', 500)}"
        if h.cause:
            text += f"\nLeading candidate, not enough to act on: {_candidate(h)} ({h.confidence:.2f})"
        if (at := next_look(incident)) is not None:
            text += f"\nWill be looked at again at {when(at, '{time}')}, when more has been measured."
    else:
        because = _claims(incident, "cause")
        lines = [_sentence(c, h) for c in because]
        text = f"*What caused it?* ({h.confidence:.2f})\n{_headline(h, because)}\n" + "\n".join(lines)
    ruled = [_sentence(c, h) for c in _claims(incident, "ruled_out")[:3]]
    if ruled:
        text += "\n_Also considered:_ " + "; ".join(r.replace("\n", " ") for r in ruled)
    return text


def _headline(h: Hypothesis, because: Sequence[Claim]) -> str:
    """The cause in one line, citing what its sentences cite."""
    cites = sorted(
        {e for claim in because for e in claim.citations}, key=lambda e: int(e[1:]) if e[1:].isdigit() else 0
    )
    return f"*{escape(h.headline, 300)}* {say.cited(cites, [e.id for e in h.evidence])}".rstrip()


def _candidate(h: Hypothesis) -> str:
    cause = h.cause
    return f"{say.cause_word(cause.type)} at {code(cause.node)}" if cause else "none"


def _next(incident: Incident, policy: Policy, now: float) -> str:
    plan = incident.plan
    expires = expiry(plan, policy) if plan else None
    state = say.state_line(incident, now, expires)
    said = escape(incident.outcome.text, 400) if incident.outcome and incident.state in ENDED else ""
    word, _, more = state.partition(": ")
    if said.startswith(word):  # the outcome says the state itself
        state, said = said + (f" ({more})" if more else ""), ""
    lines = [f"*{'What came of it?' if incident.over else 'What can I do next?'}*  {state}", *([said] if said else [])]
    if incident.acknowledged_by and not incident.over:
        lines.append(f"Acknowledged by <@{_id(incident.acknowledged_by)}>")
    h = incident.hypothesis
    if plan and not incident.over and not (h and h.abstained):
        lines.append(f"*{escape(plan.summary, 300)}*")
        if plan.requested_by:
            lines.append(f"Asked for by <@{_id(plan.requested_by)}>" + (_EXCLUDED if plan.four_eyes else ""))
        if plan.blast:
            lines.append(f"Touches: {escape(plan.blast, 200)}")
        lines.append(f"Undo: {escape(plan.undo, 200)}")
        lines.append(f"Success test: {escape(plan.success.sentence(), 500)}")
    elif not incident.over:
        lines += [_sentence(c, h) for c in _claims(incident, "remedy")]
        if plan is None and incident.state == "diagnosed":
            lines.append("No action is proposed.")
    refused = _not_executed(incident)
    if refused:
        lines.append(f"Not executed: {refused}")
    return "\n".join(lines)


def _not_executed(incident: Incident) -> str:
    """Why the last approved plan was not run, while that is still the last thing that happened to it."""
    if incident.state != "diagnosed":
        return ""
    for entry in reversed(incident.timeline):
        if entry.what == "not executed":
            return escape(entry.reason, 300)
        if entry.actor == "investigate" or entry.what.startswith("approved"):
            break
    return ""


def _provenance(incident: Incident, policy: Policy) -> Block | None:
    h = incident.hypothesis
    if h is None:
        alert = incident.alerts[0]
        return context(f"A1 alert {code(alert.id)} · {escape(alert.reason, 60)}")
    hosts = policy.links.hosts
    sources = [link(str(e.result.get("url") or ""), f"{e.id} {escape(e.title, 70)}", hosts) for e in h.evidence[:12]]
    texts = [" · ".join(sources)] if sources else []
    if h.runbook:
        r = h.runbook
        verified = f"verified {escape(r.last_verified, 20)}" if r.last_verified else "never verified"
        stale = ", stale" if r.stale else ""
        where = code(f"{name(r.file, 80)}#{name(r.heading, 80)}@{name(r.revision, 12)}", 180)
        texts.append(f"Runbook {where} ({verified}{stale})")
    author = "rules" if h.written_by == "rules" else escape(h.written_by.removeprefix("model:"), 60)
    dropped = f"; {len(h.dropped)} unsupported sentences were dropped" if h.dropped else ""
    return context(*texts, f"Worded by {author}; every number recomputed from the cited evidence{dropped}")


def _footer(incident: Incident) -> Block:
    audit = f"audit entry {incident.id}.{incident.revision}"
    return context(f"{code(incident.id)} · {escape(audit)} · updated {when(incident.changed_at, '{time_secs}')}")


def notification(incident: Incident, policy: Policy, now: float) -> str:
    """The fallback text: the verdict whole, in at most 300 characters, escaped."""
    head = f"{incident.severity} {_subject(incident)}: "
    tail = _tail(incident, policy, now)
    for room in (160, 110, 70, 40, 0):
        text = head + (cut(clean(tail[0], 400), room) if room else "") + tail[1]
        safe = escape(text, 2_000)
        if len(safe) <= NOTIFICATION:
            return safe
    return cut(safe, NOTIFICATION)


def _subject(incident: Incident) -> str:
    models = incident.models or [incident.model]
    return f"{len(models)} models" if len(models) > 1 else cut(say.serving(incident), 60)


def _tail(incident: Incident, policy: Policy, now: float) -> tuple[str, str]:
    """(the part that may be shortened, the part that may not)."""
    h, plan, outcome = incident.hypothesis, incident.plan, incident.outcome
    told = ", seen at" if incident.kind == "forecast" else " since"
    since = f"{cut(say.lead_plain(incident), 70)}{told} {clock(incident.onset)}. "
    if incident.state in ENDED:
        text = outcome.text if outcome else say.state_line(incident, now, None)
        ending = " Undo awaits approval." if reviewable(incident, policy, now) else ""
        word = {"resolved": "Resolved. ", "dismissed": "Dismissed: not an incident. ", "failed": ""}
        first = "" if text.startswith("Confirmed") else word[incident.state]
        return first + text, ending
    if h is None:
        return since.rstrip(), " Investigation stopped: needs a person." if stopped_by(incident) else " Investigating."
    if h.abstained:
        return f"{since}Not sure of the cause: {say.clean_sentence(h.missing, 160)}", ". Needs a person."
    known = f"{since}Likely cause ({h.confidence:.2f}): {say.headline(h)}"
    if plan is None:
        return known, ". Needs a person."
    act = say.action_word(plan.action).capitalize()
    have = len(counting(incident, plan))
    awaiting = f"has {have} of {plan.required} approvals" if have else "awaits approval"
    to = f" to {say.version(name(plan.parameters['to'], 24))}" if plan.parameters.get("to") else ""
    ending = {
        "diagnosed": awaiting if reviewable(incident, policy, now) else "was proposed and has expired",
        "approved": "is approved",
        "executing": "is running",
        "verifying": "ran, recovery is being verified",
    }[incident.state]
    return known, f". {act}{to} {ending}."


def _hash(text: str, blocks: list[Block], values: Mapping[str, str]) -> str:
    seen = json.dumps([text, blocks], sort_keys=True)
    for purpose, nonce in values.items():
        seen = seen.replace(json.dumps(nonce), json.dumps(purpose))
    return hashlib.sha256(seen.encode()).hexdigest()[:24]
