"""What is ruled out and why, how far it reaches, and what undoes it: the second half of the rules' sentences."""

from __future__ import annotations

import re

from agents.phrases import drafted, listed, plural
from agents.picture import Picture
from agents.reason import Reasoned
from core.findings import Claim


def calm_inputs(p: Picture, r: Reasoned) -> Claim | None:
    """What did not move rules out everything that would have moved it."""
    if p.telemetry is None or p.alert is None or not r.causes or (p.moved_inputs and r.label is None):
        return None
    shared = _shared_source(p) if p.moved_inputs else None
    fed = shared[1] if shared else p.inputs
    calm = [s.name for label in fed if label not in p.moved_inputs for s in p.inputs[label] if s.family == "feature"]
    calm = [name for name in calm if "'" not in name][:40]
    if len(calm) < 2:
        return None
    d, e, named = drafted(p, p.telemetry, p.alert), p.telemetry.id, ",".join(f"'{name}'" for name in calm)
    if shared:
        d.cite(p.lineage.id)  # type: ignore[union-attr]
        what = f"A fault of {d.name(shared[0])} as a whole"
        whose = "other inputs that it feeds"
    else:
        what, whose = ("A fault in all the data" if p.moved_inputs else "A fault in the input data"), "inputs"
        whose = f"other {whose}" if p.moved_inputs else whose
    fired = d.number(p.alert.id, f"count(only(detections,'name',{named}))", ".0f")
    count = d.number(e, f"count(only(signals,'name',{named}))", ".0f")
    return d.claim(f"{what} is ruled out: detectors fired on {fired} of the {count} {whose}.", "ruled_out")


def _shared_source(p: Picture) -> tuple[str, list[str]] | None:
    """The furthest upstream node that feeds the moved input and at least two calm ones, and the inputs it feeds."""
    if p.lineage is None:
        return None
    rows = p.lineage.result["nodes"]
    ids = [row["id"] for row in rows]
    down: dict[str, set[str]] = {}
    for a, b, _ in p.lineage.result["edges"]:
        down.setdefault(ids[a], set()).add(ids[b])
    for label, a in p.lineage.result["columns"].items():
        down.setdefault(ids[a], set()).add(label)
    best: tuple[int, str, list[str]] | None = None
    for row in rows[1:]:
        fed: set[str] = set()
        stack = [row["id"]]
        while stack:
            for child in down.get(stack.pop(), ()):
                if child not in fed:
                    fed.add(child)
                    stack.append(child)
        ends = {re.split(r"[/:.#]", f)[-1] for f in fed} | fed
        named = sorted(label for label in p.inputs if label in ends)
        if set(named) & set(p.moved_inputs) and len(set(named) & set(p.calm_inputs)) >= 2:
            best = max(best or (0, "", []), (row["distance"], row["id"], named))
    return (best[1], best[2]) if best else None


def healthy_version(p: Picture, r: Reasoned) -> Claim | None:
    lead = p.lead
    beside = p.beside(lead) if lead is not None else None
    if lead is None or beside is None or p.telemetry is None or beside.get("p50") is None:
        return None
    d, e, at = drafted(p, p.telemetry), p.telemetry.id, f"signals.{lead.in_telemetry}"
    return d.claim(
        f"Rows of version {d.name(beside['version'])} in the same hours have a median {d.name(lead.label)} of "
        f"{d.number(e, f'{at}.other_versions.0.p50')}: the data itself is not what changed.",
        "ruled_out",
    )


def no_change(p: Picture, r: Reasoned) -> Claim | None:
    if p.changes is None or p.near_changes:
        return None
    d, e = drafted(p, p.changes), p.changes.id
    hours = d.number(e, "hours(since,onset)", ".0f")
    if not p.changes.result["changes"]:
        return d.claim(
            f"A deployment or other change is ruled out: the log holds none in the {hours} hours before.", "ruled_out"
        )
    return None


def own_type(p: Picture, r: Reasoned) -> Claim | None:
    """Gradual movement rules out a step: a deployment, a unit, a broken job."""
    lead = p.lead
    if (
        lead is None
        or p.telemetry is None
        or not r.causes
        or r.causes[0].type not in ("covariate_drift", "concept_drift")
    ):
        return None
    if not p.takeover and p.telemetry.result["healthy_version"] == p.version and lead.telemetry.get("healthy"):
        d, e, at = drafted(p, p.telemetry), p.telemetry.id, f"signals.{lead.in_telemetry}"
        rows = d.number(e, f"{at}.healthy.rows", ",.0f")
        return d.claim(
            f"A bad version is ruled out: version {d.name(p.version)} served {rows} healthy rows of "
            f"{d.name(lead.label)} first.",
            "ruled_out",
        )
    return None


def innocent_deployment(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].change is not None or not p.near_changes or p.changes is None:
        return None
    place, change = p.near_changes[0]
    d, e = drafted(p, p.changes), p.changes.id
    minutes = d.number(e, f"minutes(changes.{place}.at,onset)", ".0f", absolute=True)
    order = "after" if p.onset < change["at"] else "before"
    return d.claim(
        f"Also considered: {change['kind'].replace('_', ' ')} {d.name(change['name'])} on {d.name(change['target'])}, "
        f"{minutes} {plural('minute', minutes)} {order} the movement; nothing ties it to what moved.",
        "ruled_out",
    )


def downstream(p: Picture, r: Reasoned) -> Claim | None:
    found = next((e for e in p.evidence if e.query == "reach"), None)
    if found is None or not found.result["total"]:
        return None
    d = drafted(p, found)
    kinds = found.result["kinds"]
    parts = [
        f"{d.number(found.id, f'kinds.{k}', '.0f')} {plural(k, str(kinds[k]))}"
        for k in ("model", "service")
        if kinds.get(k)
    ]
    if not parts:
        parts = [f"{d.number(found.id, 'total', '.0f')} {plural('node', str(found.result['total']))}"]
    verb = "is" if parts[0].startswith("1 ") and len(parts) == 1 else "are"
    names = [d.name(row["id"]) for row in found.result["served"][:3]]
    tail = f": {listed(names)}" if names else ""
    return d.claim(f"{listed(parts)} {verb} downstream of {d.name(found.result['node'])}{tail}.", "blast")


def go_back(p: Picture, r: Reasoned) -> Claim | None:
    if not p.version_bound or p.telemetry is None or r.with_version < 0.75 or not r.causes:
        return None
    healthy = p.telemetry.result["healthy_version"]
    place = next((i for i, v in enumerate(p.telemetry.result["versions"]) if v["name"] == healthy), None)
    if place is None or r.causes[0].type in ("covariate_drift", "seasonality", "concept_drift", "silence"):
        return None
    d = drafted(p, p.telemetry)
    rows = d.number(p.telemetry.id, f"versions.{place}.rows", ",.0f")
    return d.claim(
        f"Version {d.name(healthy)} can take over again: it served {rows} rows without this movement.", "remedy"
    )
