"""What can be seen of a live incident, as traits for `signatures`: True, False, a degree, or None for "not visible"."""

from __future__ import annotations

import itertools
import math
from typing import Any

from agents.picture import Picture, Signal
from agents.signatures import Traits


def of(picture: Picture, label: str | None) -> Traits:
    """The traits of a fault at input `label` (None: at the model, the service, the labels or the world)."""
    own = picture.inputs.get(label, []) if label else []
    lead = next((s for s in own if s.family == "feature"), own[0] if own else picture.lead)
    values: dict[str, float | bool | None] = {}
    values |= _inputs(picture, label, own, lead)
    values |= _outputs(picture)
    values |= _changes(picture)
    return values


def _inputs(p: Picture, label: str | None, own: list[Signal], lead: Signal | None) -> dict[str, float | bool | None]:
    seen = bool(p.inputs)
    moved = [s for s in own if s.moved]
    families = {s.family for s in moved}
    nulls = next((s for s in own if s.family == "nulls"), None)
    share = null_share(p, lead)
    fit = p.fits.get(label) if label else None
    gradual = p.gradual(lead) if lead is not None else math.nan
    count, calm = len(p.moved_inputs), len(p.calm_inputs)
    many = None if not seen else min(max((count - 1) / 3, 0.0), 1.0)
    if count < 3 and calm > 4 * count:
        many = 0.0
    nulls_up = (nulls is not None and nulls.moved) or (share is not None and share > 0.05)
    return {
        "input_moved": bool(moved) if label else None,
        "inputs_calm": (not p.moved_inputs) if seen else None,
        "one_input": count == 1 if seen else None,
        "many_inputs": many,
        "rescaled": _rescaled(p, label, gradual)
        if fit
        else (False if lead is not None and lead.family == "feature" else None),
        "one_value_up": one_value(p, lead),
        "nulls_up": nulls_up if own else None,
        "all_null": (share > 0.9) if share is not None else None,
        "some_null": (0.02 < share < 0.9) if share is not None and nulls_up else (False if own else None),
        "type_changed": "type" in families if own else None,
        "unseen_up": "unseen" in families if own else None,
        "staleness_up": "staleness" in families or p.kind == "staleness",
        "gradual": None if math.isnan(gradual) else gradual,
        "step": None if math.isnan(gradual) else 1 - gradual,
        "segmented": any("segment" in s.alert for s in own) or None,
    }


def _outputs(p: Picture) -> dict[str, float | bool | None]:
    quality = p.of("quality", "error")
    score = p.of("score", "confidence")
    latency = p.of("latency")
    rates = [s for s in p.of("error_rate", "errors") if s not in quality]
    return {
        "score_moved": any(s.moved for s in score) if score else None,
        "quality_down": any(s.moved for s in quality) if quality else (True if p.kind == "concept_drift" else None),
        "latency_up": any(s.moved for s in latency) if latency else (True if p.kind == "latency" else None),
        "errors_up": any(s.moved for s in rates) if rates else None,
        "duplicates_up": any(s.moved for s in p.of("duplicates")) or None,
        "labels_late": any(s.moved for s in p.of("late", "labels")) or None,
        "silent": p.kind == "silence",
        "many_models": len(p.alert.result["models"]) > 2,  # type: ignore[union-attr]
    }


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


def came_with_version(p: Picture) -> float | None:
    """1: a deployment near the onset, and only the new version's rows moved; 0: the version served well before."""
    if p.deployment is not None and p.version_bound:
        return 1.0
    if p.deployment is not None:
        return 0.7 if p.telemetry is None else 0.5
    if p.version_bound:
        return 0.8
    return 0.0 if p.telemetry is not None else None


def null_share(p: Picture, lead: Signal | None) -> float | None:
    """Share of nulls now less the share while healthy; None when it cannot be seen."""
    if lead is None:
        return None
    before, now, _ = p.sides(lead)
    if not before or not now or not now.get("rows") or not before.get("rows"):
        return None
    return max(now.get("nulls", 0) / now["rows"] - before.get("nulls", 0) / before["rows"], 0.0)


def one_value(p: Picture, lead: Signal | None) -> float | None:
    """Degree to which a single bin took the mass that all the others lost in proportion: a default has moved in."""
    if lead is None:
        return None
    before, now, _ = p.sides(lead)
    a, b = before.get("counts"), now.get("counts")
    if not a or not b or len(a) != len(b) or sum(a) <= 0 or sum(b) <= 0 or len(a) < 5:
        return None
    old, new = [x / sum(a) for x in a], [x / sum(b) for x in b]
    place = max(range(len(a)), key=lambda i: new[i] - old[i])
    gain = new[place] - old[place]
    if gain < 0.05 or place >= len(a) - 2 or not (_piled_up(now) and not _piled_up(before)):
        return 0.0
    if new[place] > 0.85 and now.get("p25") != now.get("p75"):
        return 0.0  # everything moved there, and it is not one value
    keep = (1 - new[place]) / max(1 - old[place], 1e-9)
    left = sum(abs(new[i] - keep * old[i]) for i in range(len(a)) if i != place)
    return min(max(0.0, 1.4 - left / gain), 1.0)


def _piled_up(side: dict[str, Any]) -> bool:
    """Whether many rows hold the very same value: two neighbouring quantiles are equal. Categories: always."""
    known = [side[k] for k in ("minimum", "p05", "p25", "p50", "p75", "p95", "maximum") if side.get(k) is not None]
    return len(known) < 2 or any(abs(a - b) <= 1e-9 * max(abs(a), 1.0) for a, b in itertools.pairwise(known))


def _rescaled(p: Picture, label: str | None, gradual: float) -> float:
    """Degree to which the moved inputs were converted, all at once: a season may pass through any factor, slowly."""
    named = [label] if label else []
    fits = [p.fits[la][0].accepted for la in named if la in p.fits]
    share = sum(fits) / len(fits) if fits else 0.0
    return share * (1.0 if math.isnan(gradual) else 1.0 - gradual)
