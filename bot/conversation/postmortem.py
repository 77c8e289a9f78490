"""A postmortem draft from the timeline, with citations, as a Markdown file in the incident's thread."""

from __future__ import annotations

from bot import wording as say
from bot.blocks import clean, name, span, utc
from bot.desk import Desk
from bot.wire import SlackFailure, calling
from core.errors import Refused
from core.incidents import Incident


def draft(incident: Incident) -> str:
    """Markdown; every claim keeps its citation, every line of the timeline its time and actor."""
    h, plan, done = incident.hypothesis, incident.plan, incident.outcome
    known = [e.id for e in h.evidence] if h else []
    lines = [
        f"# Postmortem: {_md(say.title(incident, over=True))}",
        "",
        f"- Incident: `{incident.id}` ({incident.severity}), models: {', '.join(_md(m) for m in incident.models)}",
        f"- Began (event time): {utc(incident.onset)}; first alert {utc(incident.opened)}",
        f"- Opened {utc(incident.opened_at)}, last change {utc(incident.changed_at)} "
        f"({span(incident.changed_at - incident.opened_at)})",
        f"- Outcome: {_md(done.text) if done else incident.state}",
        "",
        "## What happened",
        *[f"- {_plain(d)}" for d in say.by_signal(incident)[:8]],
        "",
        "## Cause",
    ]
    if h is None:
        lines.append("No hypothesis was written.")
    else:
        sure = "abstained" if h.abstained else f"confidence {h.confidence:.2f}"
        lines += [f"{_md(h.headline)} ({sure}, worded by {_md(h.written_by)})", ""]
        lines += [f"- {_md(c.text, 400)} {say.cited(c.citations, known)}" for c in h.claims]
        lines += [f"- Could not check: {_md(g.what)} ({_md(g.why)})" for g in h.gaps]
    lines += ["", "## What was done"]
    lines.append(f"{_md(plan.summary)}. Undo: {_md(plan.undo)}" if plan else "Nothing was executed.")
    for a in incident.approvals:
        lines.append(f"- {a.verdict} by {_md(a.by.name)} ({a.by.team}/{a.by.id}) at {utc(a.at)}: {_md(a.reason)}")
    lines += ["", "## Timeline", "| when | who | what | reason |", "|---|---|---|---|"]
    lines += [f"| {utc(e.at)} | {_md(e.actor)} | {_md(e.what)} | {_md(e.reason)} |" for e in incident.timeline]
    if incident.feedback:
        lines += ["", "## Verdicts on the named cause"]
        lines += [f"- {f.verdict} ({_md(f.by)}): {_md(f.true_cause) or 'no comment'}" for f in incident.feedback]
    if h and h.evidence:
        lines += ["", "## Evidence"]
        lines += [f"- {e.id}: {_md(e.title)} (source {e.source}, digest `{e.digest[:16]}`)" for e in h.evidence]
    lines += ["", "## To be written by people", "- Why did we not notice earlier?", "- What will we change?", ""]
    return "\n".join(lines)


def _md(text: str, most: int = 300) -> str:
    """Outside text inside Markdown: one line, no table bars, no markup."""
    return clean(text, most).replace("|", "/").replace("`", "'").replace("<", "‹").replace(">", "›")


def _plain(d) -> str:
    moved = say.measured(d)
    for mark in ("`", "&lt;", "&gt;", "&amp;"):
        moved = moved.replace(mark, {"`": "", "&lt;": "<", "&gt;": ">", "&amp;": "&"}[mark])
    return _md(f"{moved} (detector {name(d.detector)})", 400)


async def post(desk: Desk, incident: Incident, channel: str, thread: str) -> None:
    """Upload the draft into the thread. Raises Refused when Slack does not take it."""
    try:
        with calling("files.upload"):
            await desk.slack.files_upload_v2(
                content=draft(incident).encode(), filename=f"postmortem-{incident.id}.md",
                title=f"Postmortem draft {incident.id}", channel=channel, thread_ts=thread or None,
            )  # fmt: skip
    except SlackFailure as failure:
        raise Refused(f"The draft could not be uploaded: {failure}") from failure
