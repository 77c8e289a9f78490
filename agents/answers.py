"""The answer to a recorded case, as plain data: ranked causes, claims with citations, the proposed remedy, gaps.

`investigate_case(folder)` is a pure function of the folder's visible files; nothing here reads the sealed truth.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from agents import blast, cases, helps, remedies, sanitise, weights
from agents.candidates import alerting, fits
from agents.cases import Case
from agents.diagnose import BENIGN_AT, Diagnosis, Typed, diagnose
from agents.draft import short
from agents.faults import CODES
from agents.verdict import HEADLINES
from agents.ways import GAIN, UNKNOWN
from core.policy import Policy, load

SHOWN = 10
BENIGN = {
    "seasonality": "what moved looks like a season that comes back",
    "campaign_mix": "what moved looks like another mix of traffic",
    "threshold_change": "what moved looks like a planned change of the threshold",
}
TOLD, CLEAR = 0.2, 0.6
"""How clearly something must have moved to be told; on the way from the root to the alert."""
ACCUSED = 1.5
"""To be named a change must fit the time; to be accused (more than half sure) it must fit well, to this power: one from
the two hours before the trouble began, not one that was logged after it."""
ON_PATH = 0.02
"""From this chance on a node is held to have been reached."""


def investigate_case(folder: Path | str, policy: Policy | None = None) -> dict[str, Any]:
    """Investigate the case in `folder`. Raises ValueError naming the file and line of what cannot be read.

    Returns JSON-ready data: {"case", "causes": [{"node", "name", "kind", "type", "code", "posterior", "score",
    "contributions"}], "type", "change", "change_confidence", "path", "blast", "remediation", "action", "alternatives",
    "benign", "confidence", "abstained", "headline", "claims", "gaps", "cost"}; a citation is a row id
    (`series@epoch`) or a change's id.
    """
    start = time.perf_counter()
    case = cases.read(Path(folder))
    answer = answer_of(case, policy or load())
    answer["cost"] = {
        "queries": len({s.node for s in case.series}),
        "rows": int(sum(len(s.at) for s in case.series)),
        "seconds": round(time.perf_counter() - start, 3),
        "tokens": 0,
    }
    return answer


def answer_of(case: Case, policy: Policy) -> dict[str, Any]:
    """The answer to a case that was read. Pure."""
    found = diagnose(case)
    best = found.causes[0].posterior if found.causes else 0.0
    quiet, fitted = sum(found.benign.values()), weights.load()
    top = found.causes[0] if found.causes and quiet < BENIGN_AT else None
    kind = next(iter(found.kinds), "unknown") if top else _quietest(found)
    confidence = weights.calibrated(best if top is not None else quiet, fitted)
    change, sure = _change(case, found, top)
    actions = remedies.choose(kind, 1.0 if kind == "bad_model_version" else 0.0, policy) if top else ["notify"]
    abstained = confidence < max(policy.investigation.confidence, fitted.threshold)
    return {
        "case": case.name,
        "causes": [_cause(case, c) for c in found.causes[:SHOWN]],
        "type": CODES.get(kind, "other"),
        "cause": kind,
        "kinds": {k: round(p, 4) for k, p in list(found.kinds.items())[:5]},
        "change": change,
        "change_confidence": round(sure, 3),
        "path": _path(case, found, top) if top else [],
        "blast": _blast(case, found, top) if top else {},
        "remediation": _remedy(case, found, top),
        "action": actions[0],
        "alternatives": actions[1:],
        "benign": round(quiet, 3),
        "confidence": round(confidence, 3),
        "calibration": fitted.version,
        "abstained": abstained,
        "headline": _headline(case, top, kind),
        "claims": _claims(case, found, top, change),
        "gaps": _gaps(case, found),
    }


def _quietest(found: Diagnosis) -> str:
    """The likeliest way in which nothing is broken."""
    return max(found.benign, key=found.benign.__getitem__, default="seasonality")


def _name(case: Case, node: str) -> str:
    return _safe(str(case.nodes.get(node, {}).get("name", node)))


def _cause(case: Case, c: Typed) -> dict[str, Any]:
    parts = sorted(c.parts, key=lambda p: -abs(p[2]))[:12]
    return {
        "node": c.node,
        "name": _name(case, c.node),
        "kind": case.nodes.get(c.node, {}).get("kind", ""),
        "type": c.fault.cause,
        "code": CODES[c.fault.cause],
        "posterior": round(c.posterior, 4),
        "score": round(c.score, 3),
        "contributions": [{"node": n, "what": w, "nats": round(x, 3)} for n, w, x in parts],
    }


def _change(case: Case, found: Diagnosis, top: Typed | None) -> tuple[str, float]:
    """(change id or "none", how sure): the change on the root that fits the time at which it began."""
    if top is None:
        return "none", 0.5
    told = next((c for c in case.changes if c["id"] == top.change), None)
    if told is None:
        return "none", round(0.6 * top.posterior, 3)
    moved = [s for s in found.signs.get(top.node, {}).values() if s.onset is not None]
    onset = max(moved, key=lambda s: s.moved).onset if moved else None
    return top.change, (fits(onset - told["at"]) ** ACCUSED if onset is not None else 1.0) * top.posterior


def _path(case: Case, found: Diagnosis, top: Typed) -> list[list[str]]:
    """Edges the fault is held to have travelled: the way to the alert, and where else it likely went."""
    down: dict[str, list[tuple[str, float]]] = {}
    for source, sink, strength in found.edges:
        down.setdefault(source, []).append((sink, UNKNOWN if strength is None else strength))
    reach, came = {top.node: 1.0}, {top.node: ""}
    queue = [top.node]
    for node in queue:
        for child, strength in sorted(down.get(node, ())):
            p = _seen(found, child, reach[node] * strength)
            if p > reach.get(child, 0.0) + GAIN and p > ON_PATH / 2:
                came.setdefault(child, node)
                reach[child] = p
                queue.append(child)
    wanted = {(a, b) for a in reach for b, _ in down.get(a, ()) if min(reach[a], reach.get(b, 0.0)) >= ON_PATH}
    here = case.alert["node"]
    while came.get(here):
        wanted.add((came[here], here))
        here = came[here]
    return [[a, b] for a, b in sorted(wanted)]


def _seen(found: Diagnosis, node: str, p: float) -> float:
    """The chance that the fault came to `node`, given what it shows."""
    seen = found.signs.get(node, {}).values()
    shown = max(s.moved for s in seen) - 0.5 if seen else 0.0
    odds = min(p, 0.999) / (1 - min(p, 0.999)) * math.exp(shown)
    return odds / (1 + odds)


def _blast(case: Case, found: Diagnosis, top: Typed) -> dict[str, float]:
    """Chance of each downstream model to degrade within a day, raised or lowered by what it shows already."""
    kinds = {node: str(about.get("kind", "")) for node, about in case.nodes.items()}
    said = blast.chances(found.edges, kinds, top.node, CODES[top.fault.cause])
    return {node: round(_seen(found, node, p), 3) for node, p in said.items()}


def _remedy(case: Case, found: Diagnosis, top: Typed | None) -> dict[str, str]:
    """What helps most, weighed over all it may be; a fallback is for what alerted, the rest for the root."""
    action = helps.propose(found.faults | {helps.SEASON: sum(found.benign.values())}) if top is not None else "NOTHING"
    here = top is None or action in ("FALLBACK", "NOTHING")
    return {"action": action, "object": case.alert["node"] if here else top.node}


def _headline(case: Case, top: Typed | None, kind: str) -> str:
    if top is None:
        return f"nothing seems broken: {BENIGN[kind]}"
    return f"{HEADLINES[kind].format(it=_name(case, top.node))} ({_name(case, top.node)})"


def _claims(case: Case, found: Diagnosis, top: Typed | None, change: str) -> list[dict[str, Any]]:
    """Sentences with the rows they rest on; every number in one is the cited row's own value."""
    target, alert = case.alert["node"], alerting(case, found.readings)
    claims = [_moved(case, target, alert.series.role.name, alert, "fact")] if alert is not None else []
    for node, role in [(target, "fact"), *([(top.node, "cause")] if top and top.node != target else [])]:
        for name, sign in sorted(found.signs.get(node, {}).items(), key=lambda kv: -kv[1].moved)[:2]:
            if sign.moved > TOLD and sign.reading is not alert:
                claims.append(_moved(case, node, name, sign.reading, role))
    if top is not None:
        for node, name, reading in _between(case, found, top)[:2]:
            claims.append(_moved(case, node, name, reading, "cause"))
        if change != "none":
            what = next(c for c in case.changes if c["id"] == change)
            claims.append(
                {
                    "text": f"{what['kind']} {change} on {_name(case, top.node)} at {cases.when(what['at'])}.",
                    "role": "cause",
                    "citations": [{"row_id": change}],
                }
            )
    return claims


def _between(case: Case, found: Diagnosis, top: Typed) -> list[tuple[str, str, Any]]:
    """The strongest signs on the way from the root to the alert."""
    nodes = {n for edge in _path(case, found, top) for n in edge} - {top.node, case.alert["node"]}
    rows = [(s.moved, n, r, s.reading) for n in nodes for r, s in found.signs.get(n, {}).items() if s.moved > CLEAR]
    return [(n, r, reading) for _, n, r, reading in sorted(rows, key=lambda x: (-x[0], x[1], x[2]))]


def _moved(case: Case, node: str, role: str, reading: Any, kind: str) -> dict[str, Any]:
    what = _safe(f"{reading.series.metric}{' of ' + reading.series.feature if reading.series.feature else ''}")
    where = f" for {_safe(reading.series.segment)}" if reading.series.segment else ""
    text = f"{what} of {_name(case, node)}{where} was {short(reading.now)} at {cases.when(reading.at)}."
    row = {"row_id": f"{reading.series.row_id}@{round(reading.at)}", "value": reading.now}
    return {"text": text, "role": kind, "sign": role, "citations": [row]}


def _safe(text: str) -> str:
    """A name from telemetry as it may stand in a sentence."""
    return sanitise.name(sanitise.template(text))


def _gaps(case: Case, found: Diagnosis) -> list[dict[str, str]]:
    dark = sorted(_name(case, n) for n in case.nodes if n not in found.signs)
    if not case.series:
        return [{"what": "telemetry", "why": "no series was recorded"}]
    gaps = [{"what": f"{len(dark)} nodes", "why": f"no usable telemetry: {', '.join(dark[:5])}"}] if dark else []
    if not case.changes:
        gaps.append({"what": "changes", "why": "the change log is empty"})
    if found.inferred:
        some = ", ".join(f"{_name(case, e.source)} to {_name(case, e.target)}" for e in found.inferred[:3])
        gaps.append(
            {
                "what": f"{len(found.inferred)} edge{'s' * (len(found.inferred) > 1)}",
                "why": f"not declared, taken from the names: {some}",
            }
        )
    return gaps
