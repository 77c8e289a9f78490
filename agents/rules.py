"""The hypothesis in words, by rules: short sentences for somebody who was just woken up.

Each function writes at most one claim from the picture, or none when the picture does not hold what it would need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agents import excluded, marks
from agents.draft import NotFound
from agents.phrases import alert_id, drafted, listed, named, plural
from agents.picture import CALM, LAST, Picture, Signal
from agents.reason import Reasoned
from agents.units import BY_ID
from core.findings import Claim, Evidence

Writer = Callable[[Picture, Reasoned], Claim | None]


def write(picture: Picture, reasoned: Reasoned) -> list[Claim]:
    """Every sentence the picture supports, facts first. They still have to pass the gate."""
    writers: Iterable[Writer] = (
        _what_moved,
        _what_else_moved,
        _versions,
        _silent,
        _change,
        _unit,
        _one_value,
        _nulls,
        _telling,
        _stale,
        _many_inputs,
        _quality_fell,
        _score_only,
        excluded.calm_inputs,
        excluded.healthy_version,
        excluded.no_change,
        excluded.own_type,
        excluded.innocent_deployment,
        excluded.downstream,
        excluded.go_back,
    )
    claims = []
    for writer in writers:
        try:
            claim = writer(picture, reasoned)
        except NotFound:
            continue
        if claim is not None:
            claims.append(claim)
    return claims


def _what_moved(p: Picture, r: Reasoned) -> Claim | None:
    lead = p.lead
    if lead is None or lead.in_alert is None or p.kind == "silence":
        return None
    d, e, at = drafted(p, p.alert), alert_id(p), f"detections.{lead.in_alert}"
    text = f"{named(lead, d)} moved away from its baseline at {d.number(e, f'clock({at}.onset)')}"
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
    d = drafted(p, p.alert)
    names = [d.name(label) for label in detected[:4]]
    return d.claim(f"Detectors also fired on {listed(names)}.")


def _versions(p: Picture, r: Reasoned) -> Claim | None:
    lead = p.lead
    if lead is None or not p.version_bound or p.telemetry is None:
        return None
    before, now, source = p.sides(lead)
    if source != "telemetry" or before.get("p50") is None:
        return None
    d, e, at = drafted(p, p.telemetry), p.telemetry.id, f"signals.{lead.in_telemetry}"
    return d.claim(
        f"Version {d.name(before['version'])} served {named(lead, d)} with a median of "
        f"{d.number(e, f'{at}.healthy.p50')} over its last {d.number(e, f'{at}.healthy.rows', ',.0f')} rows; "
        f"version {d.name(now['version'])} serves {d.number(e, f'{at}.current.p50')} over "
        f"{d.number(e, f'{at}.current.rows', ',.0f')} rows."
    )


def _silent(p: Picture, r: Reasoned) -> Claim | None:
    if p.kind != "silence":
        return None
    d, e = drafted(p, p.alert), alert_id(p)
    return d.claim(f"No inference event of {d.name(p.model)} has arrived since {d.number(e, 'clock(onset)')}.", "cause")


def _change(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].change is None or r.change is None or p.changes is None:
        return None
    _, change = r.change
    d, e, at = drafted(p, p.changes), p.changes.id, f"changes.{r.change[0]}"
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
    return d.claim(f"{what} {name}{steps}, {minutes} {plural('minute', minutes)} {order} {subject}.", "cause")


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
    d, e = drafted(p, evidence), evidence.id
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
    at, last = f"signals.{signal.in_telemetry}", side.endswith(LAST)
    since = f"{at}.{'latest' if last else 'current'}"
    if not last and p.sides(signal)[2] != "telemetry":
        since = f"{alert_id(p)}:{alerted}.current"
    side = side.removesuffix(LAST)
    return p.telemetry, [f"{at}.{side}.{k}" for k in keys], [f"{since}.{k}" for k in keys]  # type: ignore[return-value]


def _one_value(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].type not in ("sentinel_default", "online_store_miss") or not p.moved_inputs:
        return None
    signal = next((s for s in p.inputs[p.moved_inputs[0]] if s.family == "feature"), None)
    if signal is None or not marks.one_value(p, signal):
        return None
    before, now, source = p.sides(signal)
    evidence = p.telemetry if source == "telemetry" else p.alert
    at = f"signals.{signal.in_telemetry}" if source == "telemetry" else f"detections.{signal.in_alert}"
    old, new = ("healthy", "current") if source == "telemetry" else ("reference", "current")
    a, b = before["counts"], now["counts"]
    place = max(range(len(a)), key=lambda i: b[i] / sum(b) - a[i] / sum(a))
    d = drafted(p, evidence)
    share = [d.number(evidence.id, f"share({at}.{side}.counts,{place})", ".0f") for side in (old, new)]  # type: ignore[union-attr]
    return d.claim(
        f"One bin of {d.name(signal.label)} went from {share[0]}% to {share[1]}% of the rows, as a default would.",
        "cause",
    )


def _nulls(p: Picture, r: Reasoned) -> Claim | None:
    label = p.moved_inputs[0] if p.moved_inputs else None
    signal = next((s for s in p.inputs.get(label or "", []) if s.family == "feature"), None)
    share = marks.null_share(p, signal)
    if signal is None or share is None or share < 0.02:
        return None
    _, _, source = p.sides(signal)
    evidence = p.telemetry if source == "telemetry" else p.alert
    at = f"signals.{signal.in_telemetry}" if source == "telemetry" else f"detections.{signal.in_alert}"
    old = "healthy" if source == "telemetry" else "reference"
    d = drafted(p, evidence)
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
    d, e = drafted(p, p.alert), alert_id(p)
    name, when = named(lead, d), d.number(e, f"clock(detections.{lead.in_alert}.onset)")
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
    d = drafted(p, p.lineage, p.alert)
    gap = d.number(p.lineage.id, f"hours(nodes.{place}.last_run,{alert_id(p)}:at)", ".1f", absolute=True)
    return d.claim(f"The last finished run of {d.name(row['id'])} ended {gap} hours before the alert.", "fact")


def _many_inputs(p: Picture, r: Reasoned) -> Claim | None:
    if len(p.moved_inputs) < 3 or p.telemetry is None:
        return None
    moved = [p.inputs[label][0] for label in p.moved_inputs[:3]]
    names = [s.label for s in moved]
    d = drafted(p, p.telemetry, p.alert)
    several = "count(only(signals,'family','feature'))"
    several_names = listed([d.name(n) for n in names])
    return d.claim(
        f"Several inputs moved together, {several_names} among them, of the "
        f"{d.number(p.telemetry.id, several, '.0f')} that are watched.",
        "cause" if r.causes and r.causes[0].type in ("covariate_drift", "seasonality", "campaign_mix") else "fact",
    )


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
        d, e = drafted(p, found), found.id
        at = (
            f"signals.{signal.in_telemetry}.healthy"
            if source == "telemetry"
            else f"detections.{signal.in_alert}.reference"
        )
        then = at.removesuffix("healthy").removesuffix("reference") + "current"
        name = named(signal, d)
        text = f"{name[0].upper()}{name[1:]}, as labels show it, went from {d.number(e, f'{at}.{key}', '.3f')}"
        return d.claim(f"{text} to {d.number(e, f'{then}.{key}', '.3f')}.", role)
    return None


def _score_only(p: Picture, r: Reasoned) -> Claim | None:
    if not r.causes or r.causes[0].node != p.model or p.telemetry is None or p.moved_inputs:
        return None
    score = next(iter(p.of("score")), None)
    if score is None or not score.moved or score.telemetry.get("psi") is None:
        return None
    d, e, at = drafted(p, p.telemetry), p.telemetry.id, f"signals.{score.in_telemetry}"
    psi = d.number(e, f"corrected_psi({at}.healthy.counts,{at}.current.counts)", ".2f")
    return d.claim(
        f"The {d.name('score')} of {d.name(p.model)} moved by PSI {psi} against the healthy windows.", "cause"
    )
