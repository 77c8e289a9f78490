"""Questions to the ports, each with its own time budget, each answered with `Evidence` or with a named `Gap`.

Every text from outside is sanitised here, before it becomes evidence; evidence is sealed with its content hash, so that
everything later is a pure function of what is stored with the hypothesis.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import msgspec

from agents import sanitise
from agents.windows import condense
from core.errors import MiddlewatchError
from core.events import ChangeRecorded, WindowClosed
from core.findings import Detection, Evidence, Gap, Summary
from core.incidents import Incident
from core.policy import Policy
from core.ports import Changes, History, LineageView, Passage, Runbooks, Telemetry

Found = Evidence | Gap
Forecast = Callable[[str, str], Awaitable[dict[str, Any] | None]]
"""(tenant, model) -> the worst outlook of its SLOs, as the forecast target left it."""
NO_FORECAST = Gap(what="forecast", why="no SLO is forecast")
"""Not worth a line on a card, unlike a forecast that could not be read."""
Source = Literal["alert", "telemetry", "lineage", "changes", "runbooks", "history", "forecast"]

DAY = 86_400.0
CHANGE_HOURS = 72
MAX_CHANGES = 40
MAX_NODES = 400
PATIENCE = 3.0
"""Seconds to wait for the first window of a model of which none is stored."""
WAITS = 30
PUBLIC = (MiddlewatchError, OSError, TimeoutError, ValueError, LookupError, TypeError, RuntimeError, ArithmeticError)
"""What a port may fail with and leave a gap. Anything else is a defect of ours and should be seen."""


async def within(budget: float, what: str, ask: Callable[[], Awaitable[Found]]) -> Found:
    """The answer, or a gap naming why there is none: too slow, unavailable, unreadable."""
    try:
        async with asyncio.timeout(budget):
            return await ask()
    except TimeoutError:
        return Gap(what=what, why=f"no answer within {budget:g} s")
    except PUBLIC as error:
        return Gap(what=what, why=sanitise.template(str(error) or type(error).__name__, 160))


def alert(incident: Incident) -> Evidence:
    """What the detectors said, one row a signal, the largest first. `time` is when the last of them fired."""
    best: dict[str, Detection] = {}
    for detection in (d for a in incident.alerts for d in a.detections):
        known = best.get(detection.signal)
        if known is None or _size(detection) >= _size(known):
            best[detection.signal] = detection
    rows = [_detection(d) for d in sorted(best.values(), key=lambda d: (-_size(d), d.signal))]
    first = incident.alerts[0]
    at = max(a.at for a in incident.alerts)
    result = {
        "model": sanitise.name(incident.model),
        "version": sanitise.name(incident.version) if incident.version else "",
        "kind": incident.kind,
        "severity": incident.severity,
        "onset": incident.onset,
        "at": at,
        "fired": first.at,
        "models": [sanitise.name(m) for m in incident.models[:40]],
        "detections": rows[:20],
        "more_detections": max(len(rows) - 20, 0),
    }
    return _evidence("alert", "What the detectors saw", f"alerts of incident {incident.id}", {}, result, at)


def _size(d: Detection) -> float:
    if d.effect is not None:
        return abs(d.effect)
    return abs(d.statistic) / abs(d.threshold) / 100 if d.threshold else 0.0


def _detection(d: Detection) -> dict[str, Any]:
    family, _, rest = d.signal.partition(":")
    row: dict[str, Any] = {
        "name": sanitise.name(d.signal),
        "label": sanitise.name(rest or family),
        "family": sanitise.name(family),
        "kind": sanitise.name(d.kind),
        "detector": sanitise.name(d.detector),
        "statistic": d.statistic,
        "threshold": d.threshold,
        "effect": d.effect,
        "direction": d.direction,
        "onset": d.onset,
        "at": d.at,
        "importance": d.importance,
        "false_alarms_per_week": d.false_alarms_per_week,
    }
    if d.segment:
        row["segment"] = sanitise.name(d.segment)
    if d.detail:
        row["detail"] = sanitise.template(d.detail, 160)
    for key, summary, histogram in (
        ("reference", d.reference, d.reference_histogram),
        ("current", d.current, d.current_histogram),
    ):
        if summary is not None:
            row[key] = _summary(summary)
            if histogram is not None:
                row[key]["counts"] = list(histogram.counts)
    if d.reference_histogram is not None:
        row["bins"] = [sanitise.name(label) for label in d.reference_histogram.labels()]
    return sanitise.plain(row)


def _summary(summary: Summary) -> dict[str, Any]:
    return {k: v for k, v in msgspec.to_builtins(summary).items() if v is not None}


async def telemetry(port: Telemetry, incident: Incident, policy: Policy) -> Found:
    """The windows around the onset, condensed. A gap when there is none."""
    since = incident.onset - policy.investigation.history_days * DAY
    windows = await _windows(port, incident, since, min(PATIENCE, policy.investigation.budget_seconds / 2))
    if not windows:
        return Gap(what="telemetry", why=f"no closed window of {sanitise.name(incident.model)} is stored")
    at = max(a.at for a in incident.alerts)
    result = sanitise.plain(condense(windows, incident.version, incident.onset, at))
    parameters = {"model": sanitise.name(incident.model), "since": since, "windows": len(windows)}
    title = "Windows before and after the onset, by version"
    return _evidence("telemetry", title, "windows around the onset", parameters, result, result["at"])


async def _windows(port: Telemetry, incident: Incident, since: float, patience: float) -> list[WindowClosed]:
    """The stored windows; where there is none yet, those that arrive within `patience` seconds.

    Windows travel on a subject of their own: a process that has just started may know of the alert before it has
    stored the windows that were closed earlier. A diagnosis without them would know no version to go back to.
    """

    for _ in range(WAITS):
        if found := await port.windows(incident.tenant, incident.model, since=since, limit=4_000):
            return found
        await asyncio.sleep(patience / WAITS)
    return []


async def changes(port: Changes, incident: Incident) -> Found:
    """The change log of the days before the onset, nearest to the onset first."""
    since = incident.onset - CHANGE_HOURS * 3600
    until = max(a.at for a in incident.alerts)
    found = await port.changes(incident.tenant, since=since, until=until)
    found = sorted(found, key=lambda c: (abs(float(c.at) - incident.onset), c.id))
    rows = [_change(c) for c in found[:MAX_CHANGES]]
    result = {"onset": incident.onset, "since": since, "until": until, "total": len(found), "changes": rows}
    return _evidence(
        "changes", "Change log before the onset", "changes", {"since": since, "until": until}, result, until
    )


def _change(c: ChangeRecorded) -> dict[str, Any]:
    row = {
        "name": sanitise.name(c.id),
        "at": float(c.at),
        "kind": c.kind,
        "target": sanitise.name(c.target),
        "summary": sanitise.template(c.summary, 160),
    }
    for key, value in (("from", c.from_), ("to", c.to), ("by", c.by)):
        if value:
            row[key] = sanitise.name(value)
    return row


async def lineage(load: Callable[[str], Awaitable[LineageView | None]], incident: Incident) -> Found:
    """What is upstream and downstream of the model, with the edges between. A gap when the model is not in it."""
    view = await load(incident.tenant)
    node = _model_node(view, incident) if view is not None else None
    if view is None or node is None:
        why = "no lineage events yet" if view is None else f"lineage does not know {sanitise.name(incident.model)}"
        return Gap(what="lineage", why=why)
    up = view.upstream(node["id"])[:MAX_NODES]
    down = view.downstream(node["id"])
    rows = [_node(node, 0), *(_node(n, n["distance"]) for n in up)]
    index = {row["id"]: place for place, row in enumerate(rows)}
    edges, columns = [], {}
    for edge in view.edges():
        source, sink = sanitise.name(edge["source"]), sanitise.name(edge["target"])
        if source in index and sink in index:
            edges.append([index[source], index[sink], edge.get("importance")])
            for column in edge.get("columns") or ():
                columns.setdefault(sanitise.name(column), index[source])
    result = {
        "model": rows[0]["id"],
        "nodes": rows,
        "edges": edges,
        "columns": columns,
        "upstream": [r["id"] for r in rows[1:]],
        "downstream": [_node(n, n["distance"]) for n in down[:60]],
        "downstream_total": len(down),
    }
    return _evidence("lineage", "Upstream and downstream", f"lineage of {rows[0]['id']}", {}, result, incident.onset)


def _model_node(view: LineageView, incident: Incident) -> dict[str, Any] | None:
    names = (incident.model, f"{incident.tenant}/{incident.model}", f"{incident.tenant}.{incident.model}")
    for name in (*names, f"model:{incident.model}", f"models/{incident.model}", f"{incident.tenant}:{incident.model}"):
        found = view.node(name)
        if found is not None:
            return found
    return None


def _node(facts: dict[str, Any], distance: int) -> dict[str, Any]:
    row = {"id": sanitise.name(facts["id"]), "kind": sanitise.name(facts.get("kind") or "node"), "distance": distance}
    for key in ("name", "owner", "tier", "last_state"):
        if facts.get(key) and facts[key] != facts["id"]:
            row["title" if key == "name" else key] = sanitise.name(facts[key])
    for key in ("last_run", "cadence"):
        if facts.get(key):
            row[key] = float(facts[key])
    return row


async def reach(load: Callable[[str], Awaitable[LineageView | None]], tenant: str, node: str, at: float) -> Found:
    """Everything that can be reached downstream of the cause: exact, with no more and no less."""
    view = await load(tenant)
    if view is None or view.node(node) is None:
        return Gap(what="blast radius", why=f"lineage does not know {sanitise.name(node)}")
    down = [_node(n, n["distance"]) for n in view.downstream(node)]
    kinds: dict[str, int] = {}
    for row in down:
        kinds[row["kind"]] = kinds.get(row["kind"], 0) + 1
    served = [r for r in down if r["kind"] in ("model", "service")]
    served.sort(key=lambda r: (r["kind"] != "model", r.get("tier") or "~", r["distance"], r["id"]))
    result = {"node": sanitise.name(node), "total": len(down), "kinds": kinds, "served": served[:40],
              "served_total": len(served)}  # fmt: skip
    return _evidence("lineage", f"Downstream of {sanitise.name(node)}", "reach", {"node": node}, result, at)


async def runbooks(port: Runbooks, words: str, expression: str, question: str, at: float, cause: str = "") -> Found:
    """The runbook sections that fit; a gap when none does. Sections written for `cause` come first."""
    found = await port.search(words, expression=expression, question=question, top=5)
    if not found:
        return Gap(what="runbooks", why="no runbook section fits")
    found = sorted(found, key=lambda p: (cause not in p.causes, -p.citation.relevance))
    result = {"passages": [_passage(p) for p in found]}
    query = f"runbooks for {words}"[:200]
    return _evidence("runbooks", "Runbook sections", query, {"cause": cause}, result, at)


def _passage(p: Passage) -> dict[str, Any]:
    c = p.citation
    row = {"file": sanitise.clean(c.file, 160), "heading": sanitise.clean(c.heading, 120), "revision": c.revision,
           "text": sanitise.template(c.text, 400), "relevance": c.relevance, "stale": c.stale,
           "title": sanitise.clean(p.title, 120), "causes": list(p.causes), "actions": list(p.actions)}  # fmt: skip
    return row | ({"last_verified": c.last_verified} if c.last_verified else {})


async def history(port: History, incident: Incident) -> Found:
    """Similar incidents and how they ended. No similar one is an answer, not a gap."""
    found = await port.similar(incident, 3)
    rows = [sanitise.plain(row) for row in found if str(row.get("id", "")) != incident.id][:3]
    return _evidence("history", "Similar incidents", "similar incidents", {}, {"incidents": rows}, incident.opened)


async def forecast(port: Forecast | None, incident: Incident) -> Found:
    """What was last said of the model's SLO; NO_FORECAST when nothing was: most models have none."""
    said = await port(incident.tenant, incident.model) if port is not None else None
    if not said:
        return NO_FORECAST
    return _evidence("forecast", "The next 24 hours", "forecast", {}, sanitise.plain(said), float(said["at"]))


def numbered(found: Sequence[Found], first: int = 1) -> tuple[list[Evidence], list[Gap]]:
    """Evidence with ids E<first>.. in the order given, and the gaps."""
    evidence = [f for f in found if isinstance(f, Evidence)]
    named = [msgspec.structs.replace(e, id=f"E{i}") for i, e in enumerate(evidence, first)]
    return named, [f for f in found if isinstance(f, Gap)]


def _evidence(
    source: Source, title: str, query: str, parameters: dict[str, Any], result: dict[str, Any], at: float
) -> Evidence:
    return Evidence(
        id="", source=source, title=title, query=query, parameters=parameters, result=result, at=at
    ).sealed()


def expression_of(incident: Incident) -> str:
    """The firing condition in words a runbook's front matter may match: kinds, signal families, feature names."""
    signals = [d.signal for a in incident.alerts for d in a.detections]
    return " ".join(dict.fromkeys([incident.kind, *(re.split(r"[:]", s)[0] for s in signals), *signals]))[:400]


def symptoms(incident: Incident) -> tuple[str, str, str]:
    """(words, expression, question) for the first runbook search, before any cause is known."""
    labels = [d.signal.partition(":")[2] or d.signal for a in incident.alerts for d in a.detections]
    words = " ".join(dict.fromkeys([incident.kind.replace("_", " "), *labels[:3]]))
    return sanitise.clean(words, 200), expression_of(incident), f"what to do about {incident.kind.replace('_', ' ')}"


def best_runbooks(first: Found | None, second: Found, cause: str) -> Found:
    """One answer out of two searches, by symptom and by cause: sections written for the cause first, each once."""
    answers = [f for f in (second, first) if isinstance(f, Evidence)]
    if not answers:
        return second
    rows = {(p["file"], p["heading"]): p for e in reversed(answers) for p in e.result["passages"]}
    order = [(p["file"], p["heading"]) for e in answers for p in e.result["passages"]]
    ranked = sorted(dict.fromkeys(order), key=lambda key: cause not in rows[key]["causes"])
    result = {"passages": [rows[key] for key in ranked[:6]]}
    head = answers[0]
    return _evidence("runbooks", head.title, head.query, head.parameters, result, head.at)
