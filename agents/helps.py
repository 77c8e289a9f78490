"""Which remedy helps against which fault, which is tolerable, which does harm: and the one to propose in doubt.

From the catalogue of incident types; codes are those of its section on remedies. In doubt about the kind, what helps
against most of what it may be is better than what helps best against the likeliest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SEASON = "seasonality"


class Help(NamedTuple):
    """`best` undoes the fault, `fair` bears it, `harm` makes it worse."""

    best: tuple[str, ...]
    fair: tuple[str, ...] = ()
    harm: tuple[str, ...] = ("RETRAIN",)


HELPS: dict[str, Help] = {
    "sentinel_default": Help(("FIX_UPSTREAM", "MASK"), ("FALLBACK",)),
    "schema_change": Help(("FIX_SCHEMA",), ("MASK",), ("ROLLBACK_MODEL",)),
    "unit_change": Help(("FIX_UPSTREAM",), ("MASK",)),
    "logging_experiment": Help(("FIX_UPSTREAM",), ("IMPUTE",), ("ROLLBACK_MODEL",)),
    "duplicate_events": Help(("DEDUPE+BACKFILL",), ("PAUSE",), ("SCALE_UP",)),
    "partial_data": Help(("RERUN_JOB",), ("FALLBACK",)),
    "category_encoding": Help(("FIX_MAPPING",), ("RETRAIN",), ("ROLLBACK_MODEL",)),
    "stale_feature_job": Help(("RERUN_JOB",), ("FALLBACK",)),
    "online_store_miss": Help(("FIX_STORE",), ("FALLBACK",)),
    "training_serving_skew": Help(("ROLLBACK_CODE",)),
    "feature_file_limit": Help(("ROLLBACK_DATA", "PAUSE"), ("FALLBACK",), ("SCALE_UP",)),
    "bad_model_version": Help(("ROLLBACK_MODEL",), ("FALLBACK",)),
    "wrong_artefact": Help(("ROLLBACK_CONFIG",)),
    "training_stopped": Help(("FIX_TRAINING", "RETRAIN"), (), ("ROLLBACK_MODEL",)),
    "threshold_change": Help(("ROLLBACK_CONFIG",), ("ACCEPT",)),
    "runtime_regression": Help(("ROLLBACK_RUNTIME",), ("DRAIN_POOL",)),
    "latency_fallback": Help(("SCALE_UP",), ("ROLLBACK_CODE",)),
    "mixed_rollout": Help(("FINISH_OR_ROLLBACK",), ("DRAIN_POOL",)),
    "late_labels": Help(("WAIT", "FIX_LABEL_JOB"), (), ("ROLLBACK_MODEL",)),
    "label_definition": Help(("FIX_LABELS", "RELABEL"), (), ("ROLLBACK_MODEL",)),
    "covariate_drift": Help(("RETRAIN",), ("ADD_SEGMENT",), ("ROLLBACK_MODEL",)),
    "concept_drift": Help(("RETRAIN", "RULE"), ("FALLBACK",), ("ROLLBACK_MODEL",)),
    "monitor_fault": Help(("FIX_MONITOR",), (), ("ROLLBACK_MODEL",)),
    SEASON: Help(("NOTHING",), ("ANNOTATE",), ()),
    "unknown": Help((), ("FALLBACK",)),
}
FAIR, HARM = 0.5, 1.0
"""What a tolerable remedy is worth beside the best, and what harm costs."""


def propose(chances: Mapping[str, float]) -> str:
    """The code of the remedy that helps most, weighed by how likely each fault (or a season) is.

    >>> propose({"unit_change": 0.9, "seasonality": 0.1}), propose({"partial_data": 0.4, "stale_feature_job": 0.4})
    ('FIX_UPSTREAM', 'RERUN_JOB')
    >>> propose({"concept_drift": 0.4, "unit_change": 0.6})
    'FIX_UPSTREAM'
    """
    worth: dict[str, float] = {"FALLBACK": 0.0}
    for cause, chance in chances.items():
        helps = HELPS.get(cause, Help(()))
        for codes, value in ((helps.best, 1.0), (helps.fair, FAIR), (helps.harm, -HARM)):
            for code in codes:
                worth[code] = worth.get(code, 0.0) + value * chance
    return max(sorted(worth), key=worth.__getitem__)
