"""The hypothesis in words, by rules: short sentences for somebody who was just woken up.

Each function writes at most one claim from the picture, or none when the picture does not hold what it would need.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from agents import traits
from agents.draft import Draft, NotFound
from agents.picture import CALM, Picture, Signal
from agents.reason import EVERYTHING, Reasoned
from agents.units import BY_ID
from core.findings import Claim, Evidence

Writer = Callable[[Picture, Reasoned], Claim | None]

HEADLINES: dict[str, str] = {
    "unit_change": "{it} arrives in another unit",
    "sentinel_default": "a default value stands in for {it}",
    "schema_change": "the schema of {it} changed",
    "logging_experiment": "part of the traffic logs {it} differently",
    "duplicate_events": "events arrive more than once",
    "partial_data": "part of the data behind {it} is missing",
    "category_encoding": "{it} arrives with levels the model never saw",
    "stale_feature_job": "the job that makes {it} has stopped",
    "online_store_miss": "the feature store answers with defaults for {it}",
    "training_serving_skew": "{it} is computed differently than in training",
    "feature_file_limit": "a feature file grew past what its readers accept",
    "bad_model_version": "the new model version itself",
    "wrong_artefact": "a wrong artefact or setting was put into service",
    "training_stopped": "the model is no longer retrained",
    "threshold_change": "the decision threshold was changed",
    "runtime_regression": "the runtime that serves the model got worse",
    "latency_fallback": "slow answers make callers use the fallback",
    "mixed_rollout": "a rollout stopped between versions",
    "late_labels": "labels arrive late, so measured quality looks worse than it is",
    "label_definition": "the meaning of the label changed",
    "covariate_drift": "the world the model sees has changed ({it})",
    "concept_drift": "what the inputs mean has changed",
    "seasonality": "a season that comes back, not a fault",
    "campaign_mix": "another mix of traffic, not a fault",
    "monitor_fault": "the monitor is wrong, not the model",
    "silence": "no inference events arrive",
    "unknown": "a fault of no known type at {it}",
}


def write(picture: Picture, reasoned: Reasoned) -> list[Claim]:
    """Every sentence the picture supports, facts first. They still have to pass the gate."""
    writers: Iterable[Writer] = (
        _what_moved, _what_else_moved, _versions, _silent,
        _change, _unit, _one_value, _nulls, _telling, _stale, _many_inputs, _quality_fell, _score_only,
        _calm_inputs, _healthy_version, _no_change, _own_type, _innocent_deployment,
        _downstream, _go_back,
    )  # fmt: skip
    claims = []
    for writer in writers:
        try:
            claim = writer(picture, reasoned)
        except NotFound:
            continue
        if claim is not None:
            claims.append(claim)
    return claims


def headline(picture: Picture, reasoned: Reasoned) -> str:
    """The verdict in a few words, for the notification's first line."""
    if not reasoned.causes:
        return "no cause found"
    top = reasoned.causes[0]
    moved = picture.moved_inputs
    it = reasoned.label or (moved[0] if len(moved) == 1 else "several inputs" if moved else picture.model)
    text = HEADLINES[top.type].format(it=it)
    fit, _ = picture.fits.get(it, (None, "")) if top.type == "unit_change" else (None, "")
    if fit is not None and BY_ID[fit.conversion].quantity:
        text = f"{it} arrives in {BY_ID[fit.conversion].new} instead of {BY_ID[fit.conversion].old}"
    if top.change and reasoned.change and reasoned.change[1]["name"] == top.change:
        what = reasoned.change[1]
        to = f" of version {what['to']}" if what["kind"] == "deployment" and what.get("to") else f" {top.change}"
        text += f" since the {what['kind'].replace('_', ' ')}{to}"
    return text


def _draft(p: Picture, *cites: Evidence | None) -> Draft:
    return Draft({e.id: e for e in p.evidence}, *(e.id for e in cites if e is not None))


def _alert_id(p: Picture) -> str:
    return p.alert.id  # type: ignore[union-attr]


def _named(signal: Signal, d: Draft) -> str:
    """The signal as people call it."""
    if signal.family in ("feature", "range"):
        return d.name(signal.label)
    if signal.family == "nulls":
        return f"missing values of {d.name(signal.label)}"
    if signal.family == "unseen":
        return f"unseen levels of {d.name(signal.label)}"
    if signal.family == "type":
        return f"the type of {d.name(signal.label)}"
    if signal.family == "staleness":
        return f"the age of {d.name(signal.label)}"
    if signal.family == "quality":
        return f"the quality ({d.name(signal.label)})"
    return f"the {d.name(signal.label)}"


def _what_moved(p: Picture, r: Reasoned) -> Claim | None:
    lead = p.lead
    if lead is None or lead.in_alert is None or p.kind == "silence":
        return None
    d, e, at = _draft(p, p.alert), _alert_id(p), f"detections.{lead.in_alert}"
    text = f"{_named(lead, d)} moved away from its baseline at {d.number(e, f'clock({at}.onset)')}"
    text = text[0].upper() + text[1:] if lead.family != "feature" else text
    if lead.alert.get("effect") is not None and lead.family in ("feature", "score", "confidence"):
        text += f", PSI {d.number(e, f'{at}.effect', '.2f')}"
    before, now = lead.alert.get("reference", {}), lead.alert.get("current", {})
    if before.get("p50") is not None and now.get("p50") is not None:
        text += f": its median went from {d.number(e, f'{at}.reference.p50')} to {d.number(e, f'{at}.current.p50')}"
    elif before.get("mean") is not None and now.get("mean") is not None:
        text += f": its mean went from {d.number(e, f'{at}.reference.mean')} to {d.number(e, f'{at}.current.mean')}"
    return d.claim(text + ".")


def _what_else_moved(p: Picture, r: Reasoned) -> Claim | None:
    others = [label for label in p.moved_inputs if p.lead is None or label != p.lead.label]
    detected = [label for label in others if any(s.detected for s in p.inputs[label])]
    if not detected:
        return None
    d = _draft(p, p.alert)
    names = [d.name(label) for label in detected[:4]]
    return d.claim(f"Detectors also fired on {_listed(names)}.")


def _versions(p: Picture, r: Reasoned) -> Claim | None:
    lead = p.lead
    if lead is None or not p.version_bound or p.telemetry is None:
        return None
    before, now, source = p.sides(lead)
    if source != "telemetry" or before.get("p50") is None:
        return None
    d, e, at = _draft(p, p.telemetry), p.telemetry.id, f"signals.{lead.in_telemetry}"
    return d.claim(
        f"Version {d.name(before['version'])} served {_named(lead, d)} with a median of "
        f"{d.number(e, f'{at}.healthy.p50')} over its last {d.number(e, f'{at}.healthy.rows', ',.0f')} rows; "
        f"version {d.name(now['version'])} serves {d.number(e, f'{at}.current.p50')} over "
        f"{d.number(e, f'{at}.current.rows', ',.0f')} rows."
    )


def _silent(p: Picture, r: Reasoned) -> Claim | None:
    if p.kind != "silence":
        return None
    d, e = _draft(p, p.alert), _alert_id(p)
    return d.claim(f"No inference event of {d.name(p.model)} has arrived since {d.number(e, 'clock(onset)')}.", "cause")


def _change(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].change is None or r.change is None or p.changes is None:
        return None
    _, change = r.change
    d, e, at = _draft(p, p.changes), p.changes.id, f"changes.{r.change[0]}"
    lead = p.lead
    what = change["kind"].replace("_", " ").capitalize()
    steps = (
        f" took {d.name(change['target'])} from version {d.name(change['from'])} to version {d.name(change['to'])}"
        if (change.get("from") and change.get("to") and change["kind"] == "deployment")
        else f" changed {d.name(change['target'])}"
    )
    name = d.name(change["name"])
    late = p.onset < change["at"]
    gap = f"minutes({at}.at,onset)"
    minutes = d.number(e, gap, ".0f", absolute=True)
    order = "after" if late else "before"
    subject = "it began" if lead is None else "the movement began"
    return d.claim(f"{what} {name}{steps}, {minutes} {_plural('minute', minutes)} {order} {subject}.", "cause")


def _unit(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].type != "unit_change":
        return None
    label = next((la for la, (fit, _) in p.fits.items() if fit.accepted), None)
    signal = next((s for s in p.inputs.get(label or "", []) if s.family == "feature"), None)
    if label is None or signal is None:
        return None
    fit, side = p.fits[label]
    conversion = BY_ID[fit.conversion]
    evidence, before, now = _fit_paths(p, signal, side)
    d, e = _draft(p, evidence), evidence.id
    lists = f"list({','.join(before)}),list({','.join(now)})"
    how = f"from {conversion.old} to {conversion.new}" if conversion.quantity else "by moving the decimal point"
    name = d.name(label)
    near = d.number(e, f"unit_gap('{fit.conversion}',{lists})")
    far = d.number(e, f"unit_gap('identity',{lists})")
    return d.claim(
        f"The quantiles of {name} lie {near} on average from the last healthy ones converted {how}, "
        f"and {far} from them unconverted.",
        "cause",
    )


def _fit_paths(p: Picture, signal: Signal, side: str) -> tuple[Evidence, list[str], list[str]]:
    """The evidence to read from, and the paths of both lists of quantiles; the newer may stand in the alert."""
    keys, alerted = ("p05", "p25", "p50", "p75", "p95"), f"detections.{signal.in_alert}"
    if side == "reference":
        return p.alert, [f"{alerted}.reference.{k}" for k in keys], [f"{alerted}.current.{k}" for k in keys]  # type: ignore[return-value]
    at = f"signals.{signal.in_telemetry}"
    since = f"{at}.current" if p.sides(signal)[2] == "telemetry" else f"{_alert_id(p)}:{alerted}.current"
    return p.telemetry, [f"{at}.{side}.{k}" for k in keys], [f"{since}.{k}" for k in keys]  # type: ignore[return-value]


def _one_value(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].type not in ("sentinel_default", "online_store_miss") or not p.moved_inputs:
        return None
    signal = next((s for s in p.inputs[p.moved_inputs[0]] if s.family == "feature"), None)
    if signal is None or not traits.one_value(p, signal):
        return None
    before, now, source = p.sides(signal)
    evidence = p.telemetry if source == "telemetry" else p.alert
    at = f"signals.{signal.in_telemetry}" if source == "telemetry" else f"detections.{signal.in_alert}"
    old, new = ("healthy", "current") if source == "telemetry" else ("reference", "current")
    a, b = before["counts"], now["counts"]
    place = max(range(len(a)), key=lambda i: b[i] / sum(b) - a[i] / sum(a))
    d = _draft(p, evidence)
    share = [d.number(evidence.id, f"share({at}.{side}.counts,{place})", ".0f") for side in (old, new)]  # type: ignore[union-attr]
    return d.claim(
        f"One bin of {d.name(signal.label)} went from {share[0]}% to {share[1]}% of the rows, as a default value would.",
        "cause",
    )


def _nulls(p: Picture, r: Reasoned) -> Claim | None:
    label = p.moved_inputs[0] if p.moved_inputs else None
    signal = next((s for s in p.inputs.get(label or "", []) if s.family == "feature"), None)
    share = traits.null_share(p, signal)
    if signal is None or share is None or share < 0.02:
        return None
    _, _, source = p.sides(signal)
    evidence = p.telemetry if source == "telemetry" else p.alert
    at = f"signals.{signal.in_telemetry}" if source == "telemetry" else f"detections.{signal.in_alert}"
    old = "healthy" if source == "telemetry" else "reference"
    d = _draft(p, evidence)
    was = d.number(evidence.id, f"percent(ratio({at}.{old}.rows,{at}.{old}.nulls))", ".1f")  # type: ignore[union-attr]
    now = d.number(evidence.id, f"percent(ratio({at}.current.rows,{at}.current.nulls))", ".1f")  # type: ignore[union-attr]
    return d.claim(f"Missing values of {d.name(signal.label)} went from {was}% to {now}% of the rows.", "cause")


_TELLING = {
    "staleness": "as when the job behind it has stopped",
    "unseen": "as when a category is encoded anew",
    "duplicates": "as when events are sent more than once",
    "late": "as when a partition arrives late",
    "type": "as when a schema has changed",
    "latency": "while what the model is asked stayed as it was",
}
"""Signals that tell the type of fault by themselves."""


def _telling(p: Picture, r: Reasoned) -> Claim | None:
    lead = p.lead
    if lead is None or lead.in_alert is None or lead.family not in _TELLING or not r.causes:
        return None
    d, e = _draft(p, p.alert), _alert_id(p)
    name, when = _named(lead, d), d.number(e, f"clock(detections.{lead.in_alert}.onset)")
    return d.claim(f"What moved is {name}, from {when} on, {_TELLING[lead.family]}.", "cause")


def _stale(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].type != "stale_feature_job" or p.lineage is None:
        return None
    rows = p.lineage.result["nodes"]
    feeds = {a for a, _, _ in p.lineage.result["edges"]}
    jobs = [(i, row) for i, row in enumerate(rows) if row.get("last_run") and i in feeds and row["last_run"] < p.onset]
    jobs.sort(key=lambda j: (j[1]["id"] not in r.causes[0].path, j[1]["last_run"]))
    if not jobs:
        return None
    place, row = jobs[0]
    d = _draft(p, p.lineage, p.alert)
    gap = d.number(p.lineage.id, f"hours(nodes.{place}.last_run,{_alert_id(p)}:at)", ".1f", absolute=True)
    return d.claim(f"The last finished run of {d.name(row['id'])} ended {gap} hours before the alert.", "fact")


def _many_inputs(p: Picture, r: Reasoned) -> Claim | None:
    if len(p.moved_inputs) < 3 or p.telemetry is None:
        return None
    moved = [p.inputs[label][0] for label in p.moved_inputs[:3]]
    names = [s.label for s in moved]
    d = _draft(p, p.telemetry, p.alert)
    several = "count(only(signals,'family','feature'))"
    listed = _listed([d.name(n) for n in names])
    return d.claim(
        f"Several inputs moved together, {listed} among them, of the {d.number(p.telemetry.id, several, '.0f')} that are watched.",
        "cause" if r.causes and r.causes[0].type in ("covariate_drift", "seasonality", "campaign_mix") else "fact",
    )  # fmt: skip


def _quality_fell(p: Picture, r: Reasoned) -> Claim | None:
    """Labels say that the model errs more: from closed windows, or from what the detector saw while there are none."""
    role = "cause" if r.causes and r.causes[0].type == "concept_drift" else "fact"
    for signal in p.of("quality", "error"):
        before, now, source = p.sides(signal)
        worse = signal.moved or signal.detected or abs(signal.telemetry.get("swings") or 0.0) >= CALM
        found = p.telemetry if source == "telemetry" else p.alert
        if not worse or not source or found is None:
            continue
        key = "value" if "value" in before and "value" in now else "mean"
        if before.get(key) is None or now.get(key) is None:
            continue
        d, e = _draft(p, found), found.id
        at = (
            f"signals.{signal.in_telemetry}.healthy"
            if source == "telemetry"
            else f"detections.{signal.in_alert}.reference"
        )
        then = at.removesuffix("healthy").removesuffix("reference") + "current"
        name = _named(signal, d)
        text = f"{name[0].upper()}{name[1:]}, as labels show it, went from {d.number(e, f'{at}.{key}', '.3f')}"
        return d.claim(f"{text} to {d.number(e, f'{then}.{key}', '.3f')}.", role)
    return None


def _score_only(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].node != p.model or p.telemetry is None or p.moved_inputs:
        return None
    score = next(iter(p.of("score")), None)
    if score is None or not score.moved or score.telemetry.get("psi") is None:
        return None
    d, e, at = _draft(p, p.telemetry), p.telemetry.id, f"signals.{score.in_telemetry}"
    psi = d.number(e, f"corrected_psi({at}.healthy.counts,{at}.current.counts)", ".2f")
    return d.claim(
        f"The {d.name('score')} of {d.name(p.model)} moved by PSI {psi} against the healthy windows.", "cause"
    )


def _calm_inputs(p: Picture, r: Reasoned) -> Claim | None:
    """What did not move rules out everything that would have moved it."""
    if p.telemetry is None or p.alert is None or not r.causes or (p.moved_inputs and r.label is None):
        return None
    shared = _shared_source(p) if p.moved_inputs else None
    fed = shared[1] if shared else p.inputs
    calm = [s.name for label in fed if label not in p.moved_inputs for s in p.inputs[label] if s.family == "feature"]
    calm = [name for name in calm if "'" not in name][:40]
    if len(calm) < 2:
        return None
    d, e, named = _draft(p, p.telemetry, p.alert), p.telemetry.id, ",".join(f"'{name}'" for name in calm)
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


def _healthy_version(p: Picture, r: Reasoned) -> Claim | None:
    lead = p.lead
    beside = p.beside(lead) if lead is not None else None
    if lead is None or beside is None or p.telemetry is None or beside.get("p50") is None:
        return None
    d, e, at = _draft(p, p.telemetry), p.telemetry.id, f"signals.{lead.in_telemetry}"
    return d.claim(
        f"Rows of version {d.name(beside['version'])} in the same hours have a median {d.name(lead.label)} of "
        f"{d.number(e, f'{at}.other_versions.0.p50')}: the data itself is not what changed.", "ruled_out",
    )  # fmt: skip


def _no_change(p: Picture, r: Reasoned) -> Claim | None:
    if p.changes is None or p.near_changes:
        return None
    d, e = _draft(p, p.changes), p.changes.id
    hours = d.number(e, "hours(since,onset)", ".0f")
    if not p.changes.result["changes"]:
        return d.claim(
            f"A deployment or other change is ruled out: the log holds none in the {hours} hours before.", "ruled_out"
        )
    return None


def _own_type(p: Picture, r: Reasoned) -> Claim | None:
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
        d, e, at = _draft(p, p.telemetry), p.telemetry.id, f"signals.{lead.in_telemetry}"
        rows = d.number(e, f"{at}.healthy.rows", ",.0f")
        return d.claim(
            f"A bad version is ruled out: version {d.name(p.version)} served {rows} healthy rows of {d.name(lead.label)} first.",
            "ruled_out",
        )  # fmt: skip
    return None


def _innocent_deployment(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].change is not None or not p.near_changes or p.changes is None:
        return None
    place, change = p.near_changes[0]
    d, e = _draft(p, p.changes), p.changes.id
    minutes = d.number(e, f"minutes(changes.{place}.at,onset)", ".0f", absolute=True)
    order = "after" if p.onset < change["at"] else "before"
    return d.claim(f"Also considered: {change['kind'].replace('_', ' ')} {d.name(change['name'])} on {d.name(change['target'])}, "
                   f"{minutes} {_plural('minute', minutes)} {order} the movement; nothing ties it to what moved.", "ruled_out")  # fmt: skip


def _downstream(p: Picture, r: Reasoned) -> Claim | None:
    found = next((e for e in p.evidence if e.query == "reach"), None)
    if found is None or not found.result["total"]:
        return None
    d = _draft(p, found)
    kinds = found.result["kinds"]
    parts = [
        f"{d.number(found.id, f'kinds.{k}', '.0f')} {_plural(k, str(kinds[k]))}"
        for k in ("model", "service")
        if kinds.get(k)
    ]
    if not parts:
        parts = [f"{d.number(found.id, 'total', '.0f')} {_plural('node', str(found.result['total']))}"]
    verb = "is" if parts[0].startswith("1 ") and len(parts) == 1 else "are"
    names = [d.name(row["id"]) for row in found.result["served"][:3]]
    tail = f": {_listed(names)}" if names else ""
    return d.claim(f"{_listed(parts)} {verb} downstream of {d.name(found.result['node'])}{tail}.", "blast")


def _go_back(p: Picture, r: Reasoned) -> Claim | None:
    if not p.version_bound or p.telemetry is None or r.with_version < 0.75 or not r.causes:
        return None
    healthy = p.telemetry.result["healthy_version"]
    place = next((i for i, v in enumerate(p.telemetry.result["versions"]) if v["name"] == healthy), None)
    if place is None or r.causes[0].type in ("covariate_drift", "seasonality", "concept_drift", "silence"):
        return None
    d = _draft(p, p.telemetry)
    rows = d.number(p.telemetry.id, f"versions.{place}.rows", ",.0f")
    return d.claim(
        f"Version {d.name(healthy)} can take over again: it served {rows} rows without this movement.", "remedy"
    )


def _plural(word: str, number: str) -> str:
    return word if number == "1" else f"{word}s"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def missing(p: Picture, r: Reasoned, gaps: list[str]) -> str:
    """When not sure: what a person would have to look at."""
    looks = []
    if r.causes:
        close = [c for c in r.causes[:3] if c.posterior > 0.05]
        nodes = [("everything the inputs share" if c.node == EVERYTHING else c.node) for c in close]
        if nodes:
            looks.append(f"compare {_listed(list(dict.fromkeys(nodes)))}")
    if gaps:
        looks.append(f"check by hand: {_listed(gaps[:4])}")
    if p.changes is not None and not p.near_changes:
        looks.append("ask whether something was changed without being logged")
    if any(math.isnan(s.s) and s.detected for s in p.signals.values()):
        looks.append("wait for the next window to close, then investigate again")
    return "; ".join(looks) or "look at the signals that moved and at what was changed"


def type_words(kind: str) -> dict[str, Any]:
    """Words for a runbook search about a cause type."""
    return {"words": kind.replace("_", " "), "question": HEADLINES[kind].format(it="an input")}
