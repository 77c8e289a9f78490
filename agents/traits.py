"""What can be seen of a live incident, as traits for `signatures`: True, False, a degree, or None for "not visible".

A single fault has to explain all that moved, so a trait speaks of all moved inputs together, the larger movers more.
"""

from __future__ import annotations

import math

from agents import late, marks, relation
from agents.marks import MARKED, Mark
from agents.picture import Picture
from agents.signatures import Traits

ALL_NULL = (0.5, 0.9)
"""Share of rows whose value vanished: from here on it may be all of them; from here on it is."""
BLURRED = 0.6
"""What a degree is worth while what is seen is a mixture of rows from before and after the onset."""
EVERYWHERE = (0.4, 0.7)
"""The same of the inputs that bear a mark, or that moved."""


def of(picture: Picture) -> Traits:
    """The traits of the incident's fault."""
    values: dict[str, float | bool | None] = {}
    values |= _inputs(picture, marks.of(picture))
    values |= _outputs(picture)
    if not values["decisions_moved"]:  # at another threshold the recalls are others
        values |= _labels(picture)
    values |= _changes(picture)
    values |= _jobs(picture)
    values["stale"] = True if values.get("staleness_up") else values.get("job_late")
    return values


def _inputs(p: Picture, found: dict[str, Mark]) -> dict[str, float | bool | None]:
    if not p.inputs:
        return {"staleness_up": p.kind == "staleness"}
    count, calm = len(found), len(p.calm_inputs)
    families = {s.family for label in found for s in p.inputs[label] if s.moved}
    lead = p.lead if p.lead is not None and p.lead.label in found else None
    first = lead or (marks.seen_best(p, p.moved_inputs[0]) if found else p.lead)
    gradual = p.gradual(first) if first is not None else math.nan
    plain = sum(m.plain for m in found.values())
    nulls = max((m.nulls for m in found.values()), default=0.0)
    replaced = sum(max(m.nulls, m.piled) >= MARKED for m in found.values())
    unseen = any(m.unseen >= MARKED for m in found.values())
    piled = min(1.6 * _weighted(p, {k: m.piled for k, m in found.items() if marks.numeric(p, k)}), 1.0)
    numbers = any(marks.numeric(p, label) for label in found)
    measured = calm > 0 or p.telemetry is None
    vanished = _degree(nulls, ALL_NULL)
    some = (1 - vanished) * (BLURRED if p.partial else 1.0) if nulls >= MARKED else 0.0
    rescaled = _weighted(p, {k: m.converted for k, m in found.items()}) if found else None
    calm_now = BLURRED if p.partial and p.telemetry is not None else 1.0
    return {
        "input_moved": bool(found),
        "inputs_calm": False if found else calm_now if measured else None,
        "one_input": count == 1,
        "many_inputs": 0.0 if plain < 3 and calm > 4 * plain else min(max((plain - 1) / 3, 0.0), 1.0),
        "moved_everywhere": _share(count, p) if count > 1 else 0.0,
        "replaced_everywhere": _share(replaced, p) if replaced > 1 else 0.0,
        "rescaled": None if p.partial and not rescaled else rescaled,
        "one_value_up": piled * (BLURRED if p.partial else 1.0) if numbers else None,
        "mix_moved": max((m.mixed for m in found.values()), default=0.0) if found else None,
        "nulls_up": nulls >= MARKED,
        "all_null": None if not found or (p.partial and nulls >= MARKED and not vanished) else vanished,
        "some_null": some,
        "some_replaced": max(some, 0.8 * piled, 0.4 * (unseen and piled < 0.5)),
        "type_changed": "type" in families,
        "unseen_up": unseen,
        "unseen_only": unseen and piled < 0.5 and nulls < MARKED,
        "staleness_up": "staleness" in families or p.kind == "staleness",
        "gradual": None if math.isnan(gradual) else gradual,
        "step": None if math.isnan(gradual) else 1 - gradual,
        "segmented": any("segment" in s.alert for label in found for s in p.inputs[label]) or None,
    }


def _outputs(p: Picture) -> dict[str, float | bool | None]:
    quality = p.of("quality", "error")
    score = p.of("score", "confidence")
    decided = p.of("prediction")
    latency = p.of("latency")
    rates = [s for s in p.of("error_rate", "errors") if s not in quality]
    moved = any(s.moved for s in score) if score else None
    return {
        "score_moved": moved,
        "score_mirrored": mirrored(p) if moved else False,
        "decisions_moved": any(s.moved for s in decided) and not moved if decided else None,
        "quality_down": any(s.moved for s in quality) if quality else (True if p.kind == "concept_drift" else None),
        "latency_up": any(s.moved for s in latency) if latency else (True if p.kind == "latency" else None),
        "errors_up": any(s.moved for s in rates) if rates else None,
        "duplicates_up": any(s.moved for s in p.of("duplicates")) or None,
        "labels_late": any(s.moved for s in p.of("late", "labels")) or None,
        "silent": p.kind == "silence",
        "many_models": len(p.alert.result["models"]) > 2,  # type: ignore[union-attr]
    }


def _labels(p: Picture) -> dict[str, float | bool | None]:
    told = relation.of(p)
    return {"relation_lost": told.lost, "base_rate_moved": told.base_rate}


def _changes(p: Picture) -> dict[str, float | bool | None]:
    known = p.changes is not None
    near = [c for _, c in p.near_changes if p.concerns(c["target"])]
    kinds = {c["kind"] for c in near}
    return {
        "came_with_version": came_with_version(p),
        "near_change": bool(near) if known else None,
        "config_change": bool(kinds & {"flag", "configuration"}) if known else None,
        "schema_changed": True if "schema" in kinds else None,
    }


def _jobs(p: Picture) -> dict[str, float | bool | None]:
    if p.lineage is None or not any(row.get("last_run") for row in p.lineage.result["nodes"]):
        return {}
    kinds = {kind for kind, _ in late.jobs(p).values()}
    return {
        "job_late": bool(kinds - {"label_job", "training_job"}),
        "label_job_late": "label_job" in kinds,
        "training_late": "training_job" in kinds,
    }


def came_with_version(p: Picture) -> float | None:
    """1: a deployment near the onset, and only the new version's rows moved; 0: the version served well before."""
    if p.deployment is not None and p.version_bound:
        return 1.0
    if p.deployment is not None:
        return 0.7 if p.telemetry is None else 0.5
    if p.version_bound:
        return 0.8
    return 0.0 if p.telemetry is not None else None


def mirrored(p: Picture) -> float | None:
    """Degree to which a probability's distribution is its own healthy one read backwards; None: it is no probability,
    or too symmetric to tell."""
    signal = p.signals.get("score")
    before, now, _ = p.sides(signal) if signal is not None else ({}, {}, "")
    keys = ("p05", "p25", "p50", "p75", "p95")
    if any(side.get(k) is None or not 0 <= side[k] <= 1 for side in (before, now) for k in keys):
        return None
    old, new = [before[k] for k in keys], [now[k] for k in keys]
    turned = [1 - v for v in reversed(old)]
    apart, here = (sum(abs(a - b) for a, b in zip(new, side, strict=True)) for side in (old, turned))
    asymmetry = sum(abs(a - b) for a, b in zip(old, turned, strict=True))
    if asymmetry < 0.25:
        return None
    return min(max(1.25 - 2.5 * here / max(apart, 1e-9), 0.0), 1.0)


def _weighted(p: Picture, degrees: dict[str, float]) -> float:
    """Mean of the degrees, each input weighing as much as it moved (to a bound, so that no single one decides)."""
    weights = {label: min(max(s.effect for s in p.inputs[label]), 1.0) + 1e-6 for label in degrees}
    return sum(weights[k] * v for k, v in degrees.items()) / sum(weights.values()) if weights else 0.0


def _share(count: int, p: Picture) -> float | None:
    """Degree to which so many are all inputs; None while most were not measured since the onset."""
    known = len(p.moved_inputs) + len(p.calm_inputs)
    return _degree(count / known, EVERYWHERE) if known > 0.5 * len(p.inputs) else None


def _degree(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(max((value - low) / (high - low), 0.0), 1.0)
