"""How each kind of fault shows: at the node where it begins, at what lies downstream, and what it leaves alone.

What is no fault, a season, another mix of traffic or a planned change, is told the same way. One row a kind, from the
catalogue of ML failures (Papasian & Underwood 2020; Breck et al. 2019; Sculley et al. 2015;
public post-mortems). Roles are those of `metrics.role_described`; "+", "-" after a role says which way it goes.
"""

from __future__ import annotations

from typing import NamedTuple

PLANNED = {"planned_threshold": "threshold_change"}
"""What is a cause of its own here and goes by another's name: nothing is broken, somebody meant it."""
CODES = {
    "sentinel_default": "D1",
    "schema_change": "D2",
    "unit_change": "D3",
    "logging_experiment": "D4",
    "duplicate_events": "D5",
    "partial_data": "D6",
    "category_encoding": "D8",
    "stale_feature_job": "F1",
    "online_store_miss": "F2",
    "training_serving_skew": "F3",
    "feature_file_limit": "F6",
    "bad_model_version": "M1",
    "wrong_artefact": "M2",
    "training_stopped": "M3",
    "threshold_change": "M4",
    "planned_threshold": "M4",
    "runtime_regression": "S1",
    "latency_fallback": "S3",
    "mixed_rollout": "S4",
    "late_labels": "L1",
    "label_definition": "L2",
    "covariate_drift": "W1",
    "concept_drift": "W2",
    "monitor_fault": "O1",
    "unknown": "other",
    "seasonality": "W3",
    "campaign_mix": "W4",
}
"""Each typed cause and its id in the catalogue of incident types."""


class Fault(NamedTuple):
    """`origins`: node kinds where it can begin. `own`: telling roles there; `effects`: kind -> roles downstream;
    `calm`: roles that it does not move at its origin; `spared`: kind -> roles that it leaves alone downstream.
    `benign`: nothing is broken."""

    cause: str
    origins: tuple[str, ...]
    own: tuple[str, ...]
    effects: dict[str, tuple[str, ...]]
    calm: tuple[str, ...] = ()
    spared: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - a NamedTuple's default is never written to
    benign: bool = False


_SCORES = ("score_mean", "score_high", "psi", "action_rate")
_HURT = ("quality", "calibration")
_MODEL = (*_SCORES, *_HURT)
_SERVICE = ("action_rate", "quality", "business")
_MOVED = ("mean", "median", "high", "psi")


def _data(table: tuple[str, ...], view: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Effects of broken data on its way through tables and views into models and services."""
    return {
        "table": table,
        "feature_job": ("status+", "rows_out-"),
        "feature_view": view,
        "model": _MODEL,
        "service": _SERVICE,
    }


FAULTS: tuple[Fault, ...] = (
    Fault(
        "sentinel_default",
        ("source",),
        ("top_share+", "mean"),
        _data(("top_share+", "mean"), ("top_share+", *_MOVED)),
        ("schema", "rows", "nulls+", "duplicates+"),
    ),
    Fault(
        "schema_change",
        ("source", "table"),
        ("schema", "nulls+"),
        _data(("nulls+", "schema", "mean", "staleness+"), ("nulls+", "staleness+", *_MOVED))
        | {"ingest_job": ("status+", "rows_out-"), "feature_job": ("status+", "rows_out-")},
        ("duplicates+",),
    ),
    Fault(
        "unit_change",
        ("source", "feature_job"),
        ("mean",),
        _data(("mean",), ("spread", *_MOVED)),
        ("schema", "nulls+", "rows", "top_share+", "status+", "lag+", "rows_out"),
    ),
    Fault(
        "logging_experiment",
        ("source",),
        ("nulls+", "mean"),
        _data(("nulls+", "mean"), ("nulls+", *_MOVED)),
        ("schema", "rows", "duplicates+", "staleness+"),
    ),
    Fault(
        "duplicate_events",
        ("ingest_job",),
        ("rows_out+",),
        _data(("duplicates+", "rows+"), _MOVED) | {"feature_job": ("rows_in+", "rows_out+")},
        ("status+", "rows_in"),
    ),
    Fault(
        "partial_data",
        ("ingest_job",),
        ("rows_out-", "status+", "lag+"),
        _data(("rows-", "staleness+", "late_rows+"), ("nulls+", "staleness+", *_MOVED))
        | {"feature_job": ("rows_in-", "rows_out-", "status+")},
    ),
    Fault(
        "category_encoding",
        ("source",),
        ("distinct", "unseen+", "top_share-", "mean"),
        _data(("distinct", "top_share-", "mean"), ("unseen+", "distinct", "top_share-", *_MOVED)),
        ("schema", "rows", "nulls+"),
    ),
    Fault(
        "stale_feature_job",
        ("feature_job",),
        ("status+", "lag+", "rows_out-", "duration+"),
        _data((), ("staleness+", "psi", "mean")),
    ),
    Fault(
        "online_store_miss",
        ("feature_store",),
        ("store_miss+",),
        {"feature_view": ("store_miss+", "skew+"), "model": _MODEL, "service": _SERVICE},
        ("latency+",),
    ),
    Fault(
        "training_serving_skew",
        ("feature_job", "service"),
        ("skew+",),
        {"feature_view": ("skew+",), "model": _MODEL, "service": _SERVICE},
        ("status+", "lag+", "rows_out", "pool_gap+"),
    ),
    Fault(
        "feature_file_limit",
        ("feature_job",),
        ("rows_out+", "duration+"),
        {
            "feature_view": ("distinct+", "mean"),
            "model": (),
            "service": ("errors+", "fallback+", "latency+", *_SERVICE),
        },
        ("status+",),
    ),
    Fault(
        "bad_model_version",
        ("training_job",),
        ("rows_in-", "rows_out-", "duration-"),
        {"model": ("version", "train_rows-", "model_age", *_MODEL), "service": _SERVICE},
    ),
    Fault(
        "wrong_artefact",
        ("service",),
        ("action_rate",),
        {"service": _SERVICE},
        ("pool_gap+", "version_mix", "latency+", "errors+", "fallback+"),
    ),
    Fault(
        "training_stopped",
        ("training_job",),
        ("status+", "rows_out-"),
        {"model": ("model_age+", *_HURT), "service": _SERVICE},
    ),
    Fault(
        "threshold_change",
        ("model",),
        ("action_rate",),
        {"service": ("action_rate", "business")},
        ("score_mean", "psi+", "quality", "calibration"),
    ),
    Fault(
        "runtime_regression",
        ("service",),
        ("pool_gap+", "version_mix"),
        {"service": ("quality", "business")},
        ("errors+", "latency+"),
    ),
    Fault(
        "latency_fallback",
        ("service", "feature_store"),
        ("latency+", "fallback+"),
        {"service": ("latency+", "fallback+", "quality", "business")},
        ("pool_gap+", "version_mix", "store_miss+"),
    ),
    Fault("mixed_rollout", ("service",), ("version_mix", "pool_gap+"), {"service": ("errors+", *_SERVICE)}),
    Fault(
        "late_labels",
        ("label_job",),
        ("label_count-", "rows_out-", "rows_in-", "status+"),
        {"model": _HURT, "service": ("quality", "business")},
        ("base_rate",),
    ),
    Fault(
        "label_definition",
        ("label_job",),
        ("base_rate",),
        {"model": _HURT, "service": ("quality",)},
        ("label_count-",),
    ),
    Fault(
        "covariate_drift",
        ("source",),
        ("mean", "rows+"),
        _data(("mean", "rows+"), _MOVED),
        ("schema", "nulls+", "duplicates+"),
    ),
    Fault(
        "concept_drift",
        ("model",),
        ("quality", "calibration"),
        {"model": _HURT, "service": ("quality", "business")},
        ("score_mean", "psi+", "version", "action_rate"),
    ),
    Fault(
        "monitor_fault",
        ("monitor",),
        ("reference_age", "checks-"),
        {"feature_view": ("psi+",), "model": ("psi+",)},
        (),
        {
            "feature_view": ("mean", "nulls+", "spread", "top_share+", "unseen+"),
            "model": ("score_mean", "score_high", "action_rate"),
        },
    ),
    Fault(
        "unknown",
        (
            "source",
            "table",
            "ingest_job",
            "feature_job",
            "feature_view",
            "feature_store",
            "model",
            "service",
            "label_job",
            "training_job",
        ),
        (),
        {},
    ),
    Fault("seasonality", ("source",), ("rows",), {"table": ("rows",), "feature_view": ("mean",)}, benign=True),
    Fault("campaign_mix", ("source",), ("mean", "rows"), _data(("mean", "rows"), _MOVED), benign=True),
    Fault(
        "planned_threshold",
        ("model",),
        ("action_rate",),
        {"service": ("action_rate", "business")},
        ("score_mean", "psi+", "quality", "calibration"),
        benign=True,
    ),
)

EXPECTED: dict[str, tuple[str, ...]] = {
    "sentinel_default": ("deployment", "flag", "configuration"),
    "schema_change": ("schema", "data"),
    "unit_change": ("data", "deployment"),
    "logging_experiment": ("flag",),
    "duplicate_events": ("configuration", "feature_job", "deployment"),
    "partial_data": ("configuration", "feature_job"),
    "category_encoding": ("data", "deployment", "schema"),
    "stale_feature_job": ("configuration", "feature_job"),
    "online_store_miss": ("configuration", "deployment", "flag"),
    "training_serving_skew": ("deployment", "data"),
    "feature_file_limit": ("configuration",),
    "bad_model_version": ("deployment",),
    "wrong_artefact": ("deployment", "configuration"),
    "training_stopped": ("feature_job", "configuration"),
    "threshold_change": ("flag", "deployment", "configuration"),
    "runtime_regression": ("configuration", "deployment"),
    "latency_fallback": ("configuration", "deployment"),
    "mixed_rollout": ("deployment",),
    "late_labels": ("feature_job", "configuration"),
    "label_definition": ("data",),
    "covariate_drift": ("flag",),
    "campaign_mix": ("flag",),
    "planned_threshold": ("flag",),
    "monitor_fault": ("configuration", "flag", "deployment"),
}
"""The kinds of change that such a fault comes with, from the catalogue of incident types."""
