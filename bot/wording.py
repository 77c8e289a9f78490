"""How findings are said: signals, detections, states and proposals as short phrases. Pure; everything is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bot.blocks import code, escape, name, number, percent, span
from core.approval import Plan, counting
from core.findings import CAUSES, Detection, Hypothesis
from core.incidents import Incident
from core.triage import stopped_by

KINDS = {
    "data_drift": ("is drifting", "was drifting"),
    "concept_drift": ("no longer fits the truth", "did not fit the truth"),
    "prediction_drift": ("predicts differently", "predicted differently"),
    "quality": ("receives broken data", "received broken data"),
    "silence": ("has gone silent", "had gone silent"),
    "latency": ("answers slowly", "answered slowly"),
    "staleness": ("reads stale features", "read stale features"),
    "forecast": ("is forecast to breach its target", "was forecast to breach its target"),
}
"""Per kind: the phrase while it lasts, and once it is over."""

_SIGNALS = {
    "score": "the score", "confidence": "the confidence", "latency": "latency", "error": "the error",
    "silence": "traffic", "duplicates": "duplicate events", "late": "late events",
}  # fmt: skip
_FAMILIES = {
    "feature": "{}", "nulls": "nulls in {}", "unseen": "unseen values in {}", "range": "values out of range in {}",
    "type": "the type of {}", "quality": "{}", "staleness": "the age of {}",
}  # fmt: skip

OUTLOOKS = {
    "breached": "SLO missed now", "calm": "no breach expected within 24 h", "unreliable": "no reliable forecast",
}  # fmt: skip
"""What is said of a forecast that names no hour."""

ACTIONS = {
    "ticket": "ticket", "notify": "notification", "fallback": "fallback", "rollback": "rollback",
    "refresh_feature_job": "feature job refresh", "retrain": "retraining",
}  # fmt: skip


def signal(text: str) -> str:
    """A signal in mrkdwn.

    >>> signal("feature:temp"), signal("nulls:temp"), signal("latency")
    ('`temp`', 'nulls in `temp`', 'latency')
    """
    family, _, rest = text.partition(":")
    if rest:
        return _FAMILIES.get(family, escape(family) + " {}").replace("{}", code(rest))
    return _SIGNALS.get(text, code(text))


def signal_plain(text: str) -> str:
    """A signal in plain text."""
    family, _, rest = text.partition(":")
    if rest:
        return _FAMILIES.get(family, name(family) + " {}").replace("{}", name(rest, 60))
    return _SIGNALS.get(text, name(text, 60))


def title(incident: Incident, *, over: bool | None = None) -> str:
    """`flight-delay 2 is drifting`, in plain text."""
    past = incident.over if over is None else over
    phrase = KINDS.get(incident.kind, ("is in trouble", "was in trouble"))[1 if past else 0]
    models = incident.models or [incident.model]
    if len(models) > 1:
        plural = {"is ": "are ", "has ": "have ", "was ": "were "}
        for singular, several in plural.items():
            if phrase.startswith(singular):
                phrase = several + phrase[len(singular) :].replace("its target", "their targets")
        phrase = re.sub(r"^(predicts|receives|answers|reads)\b", lambda m: m[0][:-1], phrase)
        phrase = phrase.replace("no longer fits", "no longer fit")
        return f"{len(models)} models {phrase}"
    return f"{serving(incident)} {phrase}"


def serving(incident: Incident) -> str:
    """The model with the version it serves, in plain text."""
    return name(f"{incident.model} {version(incident.version)}".strip())


def version(text: str) -> str:
    """`v41` for a bare number, the text itself otherwise.

    >>> version("41"), version("v41"), version("2024-01-rc")
    ('v41', 'v41', '2024-01-rc')
    """
    return f"v{text}" if text[:1].isdigit() and text.replace(".", "").isdigit() else text


def detections(incident: Incident) -> list[Detection]:
    """The latest firing of each detector on each signal, the largest effect first."""
    latest = {(d.signal, d.detector, d.segment): d for a in incident.alerts for d in a.detections}
    return sorted(latest.values(), key=lambda d: (-(d.effect or 0.0) * (1 + d.importance), d.signal, d.detector))


def by_signal(incident: Incident) -> list[Detection]:
    """One detection per signal, the largest effect first."""
    first: dict[tuple[str, str], Detection] = {}
    for d in detections(incident):
        first.setdefault((d.signal, d.segment), d)
    return list(first.values())


def measured(d: Detection) -> str:
    """What a detection measured, in mrkdwn: how far the signal moved, from what to what."""
    if d.kind == "forecast" and d.detail:
        return escape(d.detail.removeprefix("warning: "), 300)
    moved = _moved(d)
    where = f" in segment {code(d.segment)}" if d.segment else ""
    if d.detail and (not moved or d.kind in ("silence", "staleness")):
        return f"{signal(d.signal)}{where}: {escape(d.detail, 200)}"
    return f"{signal(d.signal)}{where}: {size(d)}" + (f", {moved}" if moved else "")


def size(d: Detection) -> str:
    """`PSI 0.31`, `+12%`, or the detector's own statistic against its threshold."""
    if d.effect is None:
        return f"{name(d.detector)} {number(d.statistic)} (threshold {number(d.threshold)})"
    if d.reference_histogram is not None:
        return f"PSI {number(d.effect)}"
    if _is_rate(d.signal) and abs(d.effect) <= 1:
        return f"{'+' if d.effect >= 0 else '-'}{percent(abs(d.effect))}"
    return f"changed by {number(d.effect)}"


def _is_rate(text: str) -> bool:
    return text.split(":")[0] in ("nulls", "unseen", "range", "type", "duplicates", "late", "error", "quality")


def _moved(d: Detection) -> str:
    before, after = d.reference, d.current
    if before is None or after is None:
        return ""
    if _is_rate(d.signal) and d.signal.partition(":")[0] in ("nulls", "unseen", "range", "type"):
        if before.rows and after.rows and d.signal.startswith("nulls"):
            return f"{percent(before.nulls / before.rows)} → {percent(after.nulls / after.rows)} of the rows"
        if before.mean is not None and after.mean is not None:
            return f"{percent(before.mean)} → {percent(after.mean)} of the rows"
        return ""
    if before.mean is not None and after.mean is not None:
        unit = " ms" if d.signal == "latency" else ""
        return f"mean {number(before.mean)} → {number(after.mean)}{unit}"
    if before.top is not None and after.top is not None and before.top != after.top:
        return f"most frequent {code(before.top, 40)} → {code(after.top, 40)}"
    if d.moved:
        bin_ = d.moved[0]
        return f"{code(bin_.label, 40)} {percent(bin_.reference)} → {percent(bin_.current)} of the rows"
    return ""


def lead_plain(incident: Incident) -> str:
    """The strongest measurement in plain text: `PSI 0.31 on temp`."""
    found = by_signal(incident)
    if not found:
        return f"{len(incident.alerts)} alerts"
    d = found[0]
    what = size(d).replace("`", "")
    if d.kind == "silence" or d.signal == "silence":
        return "no events arrive"
    if d.kind == "forecast":
        return f"SLO of {signal_plain(d.signal)} likely to be missed (chance {percent(d.statistic)})"
    return f"{what} on {signal_plain(d.signal)}"


def cause_word(text: str) -> str:
    """A typed cause as words; one outside the closed list is `unknown`."""
    return (text if text in CAUSES else "unknown").replace("_", " ")


def action_word(text: str) -> str:
    return ACTIONS.get(text, "action")


def headline(h: Hypothesis) -> str:
    """The hypothesis in one plain sentence."""
    return clean_sentence(h.headline) or (cause_word(h.cause.type) if h.cause else "unknown")


def clean_sentence(text: str, most: int = 200) -> str:
    from bot.blocks import clean

    return clean(text, most).rstrip(" .")


def state_line(incident: Incident, now: float, expires: float | None) -> str:
    """The state of the incident and of its proposal by word: what has happened, never what was clicked."""
    plan = incident.plan
    if incident.state == "opened":
        return "Investigation stopped: needs a person" if stopped_by(incident) else "Investigating"
    if incident.state == "diagnosed":
        return _proposal_line(incident, plan, now, expires)
    if incident.state == "approved":
        return f"Approved {_people(incident)}: waiting to run"
    if incident.state == "executing":
        return "Executing"
    if incident.state == "verifying":
        return "Executed, verifying recovery"
    if incident.state == "failed":
        what = "Not recovered" if incident.outcome and incident.outcome.verdict == "not_recovered" else "Could not run"
        return f"{what}: undo offered" if plan is not None else f"{what}: needs a person"
    if incident.state == "dismissed":
        return "Dismissed: not an incident"
    verdict = incident.outcome.verdict if incident.outcome else ""
    return {"confirmed": "Confirmed", "recovered_by_itself": "Recovered by itself"}.get(verdict, "Resolved")


def _proposal_line(incident: Incident, plan: Plan | None, now: float, expires: float | None) -> str:
    if plan is None or (incident.hypothesis and incident.hypothesis.abstained):
        return "Needs a person"
    if expires is not None and now > expires:
        return "Proposal expired: investigate again"
    have = len(counting(incident, plan))
    if have:
        return f"Approved {have}/{plan.required} {_people(incident)}: waiting for another approver"
    return f"Waiting for approval (0/{plan.required})"


def _people(incident: Incident) -> str:
    if incident.plan is None:
        return ""
    return "by " + ", ".join(f"<@{a.by.id}>" for a in counting(incident, incident.plan))


def gaps(h: Hypothesis) -> str:
    """`feature store (timeout), lineage (no edges)`."""
    return ", ".join(f"{escape(g.what, 80)} ({escape(g.why, 80)})" for g in h.gaps[:6])


def cited(citations: Sequence[str], known: Sequence[str]) -> str:
    """` [E1][E3]`, citing only evidence that exists."""
    return "".join(f"[{c}]" for c in citations if c in known)


def seen_before(h: Hypothesis | None) -> str:
    """`Seen before on 12 Sep 2026 (inc_x): unit change; rollback, confirmed after 14 min [E5]`: the likeliest past
    incident of the named cause (of any, where no cause is named); '' without one.
    """
    for e in h.evidence if h else ():
        rows = e.result.get("incidents") if e.source == "history" else None
        for row in rows if isinstance(rows, list) else ():
            alike = h.abstained or h.cause is None or row.get("cause") == h.cause.type
            if alike and row.get("cause") and row.get("line"):
                return f"{escape(str(row['line']), 240)} [{e.id}]"
    return ""


def sla(h: Hypothesis | None) -> str:
    """Time to breach from the forecast's evidence (`seconds_to_breach`, `low`, `high`), or an honest no."""
    for e in h.evidence if h else []:
        left = e.result.get("seconds_to_breach") if e.source == "forecast" else None
        if isinstance(left, int | float):
            low, high = e.result.get("low"), e.result.get("high")
            known = isinstance(low, int | float) and isinstance(high, int | float)
            interval = f" (80% interval {span(low)}-{span(high)})" if known else ""
            return f"{span(left)} to breach{interval} [{e.id}]{_record(e.result)}"
        if e.source == "forecast" and e.result.get("level") in OUTLOOKS:
            return f"{OUTLOOKS[e.result['level']]} [{e.id}]"
    return "no forecast"


def _record(said: dict[str, Any]) -> str:
    """Who says so, and how often such a word was right."""
    by = f", by {escape(str(said['by']), 20)}" if said.get("by") else ""
    right, spoken = said.get("right"), said.get("spoken")
    return f"{by}; right {right} of {spoken} times" if isinstance(right, int) and isinstance(spoken, int) else by
