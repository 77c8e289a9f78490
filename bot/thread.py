"""What an incident's thread is told: its history, quietly; and the two things that deserve to be loud."""

from __future__ import annotations

from bot.blocks import Block, context, cut, escape, when
from bot.cards import notification
from core.incidents import Incident, TimelineEntry
from core.policy import Policy

LONG = 86_400.0
"""Seconds: an incident that lasted longer tells the channel when it is over."""

_RANK = {"SEV1": 1, "SEV2": 2, "SEV3": 3, "SEV4": 4}


def actor(text: str) -> str:
    """`TEAM/USER` as a mention, a part of Middlewatch as its name."""
    team, _, user = text.partition("/")
    return f"<@{user}>" if user.isalnum() and team.isalnum() and user[:1] in "UW" else escape(text, 60)


def line(entry: TimelineEntry) -> str:
    reason = f": {escape(entry.reason, 300)}" if entry.reason else ""
    return f"{when(entry.at, '{time_secs}')} {actor(entry.actor)} {escape(entry.what, 300)}{reason}"


def note(incident: Incident, noted: int) -> tuple[str, list[Block]]:
    """(text, blocks) of the timeline entries after the first `noted`; ('', []) when there is nothing to say."""
    fresh = [e for e in incident.timeline[noted:] if not e.what.startswith(("opened", "alert "))]
    if not fresh:
        return "", []
    last = fresh[-1]
    text = f"{escape(last.what, 200)}" + (f": {escape(last.reason, 80)}" if last.reason else "")
    return cut(text, 290), [context(line(entry)) for entry in fresh[-10:]]


def broadcast(incident: Incident, severity: str, told: str) -> str:
    """The line the whole channel should see: a severity that rose, a resolution after more than a day; else ''."""
    if incident.over:
        lasted = incident.changed_at - incident.opened_at
        return notification(incident, Policy(), incident.changed_at) if lasted > LONG and told != incident.state else ""
    if _RANK[incident.severity] < _RANK.get(severity, 9) and told != incident.severity:
        return f"Severity rose from {escape(severity, 8)} to " + notification(incident, Policy(), incident.changed_at)
    return ""
