"""The verdict in a few words, and what to look at when there is none."""

from __future__ import annotations

import math
from typing import Any

from agents.phrases import listed
from agents.picture import Picture
from agents.reason import EVERYTHING, Reasoned
from agents.units import BY_ID

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
    if reasoned.version_only:
        return f"the new version brought it; most likely {text}"
    return text


def missing(p: Picture, r: Reasoned, gaps: list[str]) -> str:
    """When not sure: what a person would have to look at."""
    looks = []
    if r.causes:
        close = [c for c in r.causes[:3] if c.posterior > 0.05]
        nodes = [("everything the inputs share" if c.node == EVERYTHING else c.node) for c in close]
        if nodes:
            looks.append(f"compare {listed(list(dict.fromkeys(nodes)))}")
    if gaps:
        looks.append(f"check by hand: {listed(gaps[:4])}")
    if p.changes is not None and not p.near_changes:
        looks.append("ask whether something was changed without being logged")
    if any(math.isnan(s.s) and s.detected for s in p.signals.values()):
        looks.append("wait for the next window to close, then investigate again")
    return "; ".join(looks) or "look at the signals that moved and at what was changed"


def type_words(kind: str) -> dict[str, Any]:
    """Words for a runbook search about a cause type."""
    return {"words": kind.replace("_", " "), "question": HEADLINES[kind].format(it="an input")}
