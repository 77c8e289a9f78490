"""From the typed cause to an action of the catalogue. Code decides: no text and no model has a say in it."""

from __future__ import annotations

from collections.abc import Sequence

from core.findings import ACTIONS
from core.policy import Policy

BROKEN_INPUT = {
    "unit_change", "sentinel_default", "schema_change", "category_encoding", "training_serving_skew",
    "bad_model_version", "wrong_artefact", "threshold_change", "runtime_regression", "mixed_rollout",
    "latency_fallback", "online_store_miss", "unknown",
}  # fmt: skip
"""Faults that a model version can bring with it: going back undoes them, if the version is what brought them."""

_OTHERWISE: dict[str, tuple[str, ...]] = {
    "unit_change": ("fallback", "ticket"),
    "sentinel_default": ("fallback", "ticket"),
    "schema_change": ("fallback", "ticket"),
    "logging_experiment": ("ticket", "notify"),
    "duplicate_events": ("ticket", "notify"),
    "partial_data": ("refresh_feature_job", "fallback", "ticket"),
    "category_encoding": ("ticket", "fallback"),
    "stale_feature_job": ("refresh_feature_job", "fallback", "ticket"),
    "online_store_miss": ("fallback", "refresh_feature_job", "ticket"),
    "training_serving_skew": ("fallback", "ticket"),
    "feature_file_limit": ("fallback", "ticket"),
    "bad_model_version": ("rollback", "fallback", "ticket"),
    "wrong_artefact": ("rollback", "ticket"),
    "training_stopped": ("retrain", "ticket"),
    "threshold_change": ("ticket", "notify"),
    "runtime_regression": ("fallback", "ticket"),
    "latency_fallback": ("ticket", "notify"),
    "mixed_rollout": ("rollback", "ticket"),
    "late_labels": ("ticket", "notify"),
    "label_definition": ("ticket", "notify"),
    "covariate_drift": ("retrain", "ticket"),
    "concept_drift": ("retrain", "fallback", "ticket"),
    "seasonality": ("notify", "ticket"),
    "campaign_mix": ("notify", "ticket"),
    "monitor_fault": ("ticket", "notify"),
    "silence": ("ticket", "notify"),
    "unknown": ("ticket", "notify"),
}

VERSION_ENOUGH = 0.75
"""How sure it must be that the fault came with the version before a rollback may be offered."""


def choose(
    cause: str, with_version: float, policy: Policy, allowed: Sequence[str] = (), *, harmed: bool | None = None
) -> list[str]:
    """Action ids, best first; never empty, never outside the catalogue, never what policy has switched off.

    Args:
        cause: typed cause.
        with_version: how sure it is that the fault came with the serving version, 0..1.
        allowed: what the cited runbook's front matter allows; empty: it does not say. It can only take away.
        harmed: whether labels show that quality fell; a drift that harms nobody is a ticket before it is a retrain.
    """
    wanted = list(_OTHERWISE.get(cause, ("ticket",)))
    if cause in BROKEN_INPUT and with_version >= VERSION_ENOUGH:
        wanted = ["rollback", *(a for a in wanted if a != "rollback")]
    elif with_version < VERSION_ENOUGH:
        wanted = [a for a in wanted if a != "rollback"]
    if cause == "covariate_drift" and harmed is False:
        wanted = ["ticket", "retrain"]
    if allowed:
        wanted = [a for a in wanted if a in allowed or a in ("ticket", "notify")]
    enabled = [a for a in wanted if a in ACTIONS and _enabled(a, policy)]
    return enabled or ["ticket"]


def _enabled(action: str, policy: Policy) -> bool:
    rule = policy.actions.get(action)
    return rule is not None and rule.enabled
