"""What kind of fault it is: each type of the closed list is told by what moves and what does not.

A signature is a list of (trait, nats if it holds, nats if it does not); a trait that cannot be seen says nothing. The
nats are log likelihood ratios against "a type I do not know", set by hand from the catalogue of failures (Papasian &
Underwood 2020; Breck et al. 2019; Sculley et al. 2015) and the same for every tenant, model and data set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

Traits = Mapping[str, float | bool | None]
"""trait -> True, False, a degree in 0..1, or None (not visible)."""

UNKNOWN = 0.8
"""Nats of "a type I do not know": what the best signature must beat."""

SIGNATURES: dict[str, tuple[tuple[str, float, float], ...]] = {
    "unit_change": (("rescaled", 5.0, -5.0), ("one_input", 0.3, -0.3), ("step", 0.7, -2.0), ("nulls_up", -1.5, 0.3),
                    ("unseen_up", -2.0, 0.1), ("mix_moved", -0.5, 0.0)),
    "sentinel_default": (("one_value_up", 4.0, -4.0), ("unseen_only", 2.6, 0.0), ("all_null", -3.0, 0.0),
                         ("replaced_everywhere", -3.0, 0.3),
                         ("step", 0.4, -1.0), ("rescaled", -3.0, 0.2), ("errors_up", -1.0, 0.1)),
    "schema_change": (("schema_changed", 1.5, -0.3), ("type_changed", 2.0, -0.2), ("all_null", 4.5, -2.5),
                      ("step", 0.4, -1.5), ("inputs_calm", -3.0, 0.3), ("one_value_up", -2.0, 0.0)),
    "logging_experiment": (("some_replaced", 3.0, -2.5), ("segmented", 1.5, 0.0), ("config_change", 0.6, -0.2),
                           ("staleness_up", -2.0, 0.2), ("all_null", -3.0, 0.2), ("replaced_everywhere", -3.0, 0.3)),
    "duplicate_events": (("duplicates_up", 4.5, -2.5),),
    "partial_data": (("some_null", 1.8, -1.5), ("job_late", 1.0, -0.2), ("segmented", 0.6, -0.1),
                     ("duplicates_up", -3.0, 0.1), ("replaced_everywhere", -2.0, 0.2)),
    "category_encoding": (("unseen_up", 4.0, -4.0), ("one_value_up", -3.0, 0.3), ("nulls_up", -1.5, 0.2),
                          ("step", 0.3, -0.6)),
    "stale_feature_job": (("stale", 4.0, -2.5), ("staleness_up", 2.0, 0.0), ("nulls_up", -1.5, 0.1),
                          ("one_value_up", -2.0, 0.0), ("unseen_up", -2.0, 0.0), ("rescaled", -3.0, 0.0),
                          ("decisions_moved", -1.5, 0.0),
                          ("latency_up", -0.8, 0.1), ("label_job_late", -0.5, 0.0)),
    "online_store_miss": (("replaced_everywhere", 5.0, -4.0), ("all_null", -2.5, 0.1), ("latency_up", 0.3, 0.0)),
    "training_serving_skew": (("came_with_version", 1.8, -1.2), ("input_moved", 1.2, -2.0), ("rescaled", -3.0, 0.3),
                              ("many_inputs", -1.2, 0.2), ("nulls_up", -0.5, 0.1), ("one_value_up", -2.0, 0.0),
                              ("unseen_up", -2.0, 0.0), ("step", 0.4, -2.0)),
    "feature_file_limit": (("errors_up", 2.5, -2.5),),
    "bad_model_version": (("came_with_version", 4.0, -3.5), ("inputs_calm", 1.5, -2.0), ("score_moved", 0.8, -0.3),
                          ("quality_down", 0.8, -0.2), ("step", 0.3, -1.5), ("score_mirrored", -1.0, 0.0)),
    "wrong_artefact": (("score_mirrored", 4.0, -1.0), ("came_with_version", -1.5, 0.3), ("config_change", 0.8, -0.3),
                       ("inputs_calm", 1.2, -2.5), ("score_moved", 1.2, -2.0), ("step", 0.4, -2.0),
                       ("latency_up", -2.0, 0.1), ("relation_lost", 0.8, -0.8)),
    "training_stopped": (("training_late", 2.5, -1.5), ("gradual", 0.8, -0.8), ("inputs_calm", 0.3, 0.0),
                         ("quality_down", 0.5, -1.0), ("decisions_moved", -1.5, 0.0)),
    "threshold_change": (("decisions_moved", 4.5, -3.5), ("relation_lost", -2.0, 0.5), ("latency_up", -3.0, 0.1),
                         ("config_change", 0.5, -0.2), ("inputs_calm", 0.6, -1.5)),
    "runtime_regression": (("latency_up", 1.0, -0.6), ("errors_up", 1.0, -0.2), ("inputs_calm", 0.6, -1.2),
                           ("came_with_version", 0.6, -0.1), ("score_moved", 0.3, 0.0), ("decisions_moved", -2.0, 0.0),
                           ("score_mirrored", -2.0, 0.0)),
    "latency_fallback": (("latency_up", 3.0, -2.5), ("inputs_calm", 0.4, -1.0), ("score_moved", 0.6, -0.3)),
    "mixed_rollout": (("versions_mixed", 4.0, -2.5), ("errors_up", 0.4, -0.1)),
    "late_labels": (("labels_late", 4.0, -0.5), ("label_job_late", 3.0, -0.5), ("quality_down", 0.5, -0.3),
                    ("inputs_calm", 0.6, -1.5), ("score_moved", -1.5, 0.5), ("relation_lost", -2.0, 0.5),
                    ("decisions_moved", -2.0, 0.0)),
    "label_definition": (("base_rate_moved", 2.5, -3.0), ("relation_lost", -3.0, 1.0), ("inputs_calm", 0.8, -4.0),
                         ("score_moved", -3.0, 0.6), ("decisions_moved", -2.5, 0.2), ("step", 0.5, -1.0),
                         ("quality_down", 0.8, -1.5)),
    "covariate_drift": (("many_inputs", 2.5, -1.5), ("gradual", 1.5, -1.0), ("came_with_version", -2.0, 0.4),
                        ("nulls_up", -1.5, 0.2), ("rescaled", -2.0, 0.2), ("near_change", -0.5, 0.4),
                        ("one_value_up", -2.0, 0.1), ("unseen_up", -1.5, 0.1)),
    "concept_drift": (("quality_down", 2.8, -2.5), ("relation_lost", 2.5, -2.0), ("inputs_calm", 0.6, -0.6),
                      ("score_moved", -0.8, 0.4), ("came_with_version", -2.0, 0.3), ("labels_late", -2.5, 0.1),
                      ("label_job_late", -1.5, 0.1), ("near_change", -0.4, 0.4), ("latency_up", -1.0, 0.1),
                      ("nulls_up", -3.0, 0.1), ("one_value_up", -3.0, 0.1), ("unseen_up", -2.5, 0.1),
                      ("rescaled", -2.0, 0.0), ("type_changed", -2.0, 0.0),  # no world makes values go missing
                      ("decisions_moved", -3.0, 0.2), ("score_mirrored", -2.5, 0.0)),
    "seasonality": (("moved_everywhere", 1.5, -2.0), ("mix_moved", -1.0, 0.3), ("relation_lost", -2.0, 0.6),
                    ("near_change", -0.3, 0.2), ("came_with_version", -1.5, 0.2), ("nulls_up", -3.0, 0.1),
                    ("one_value_up", -3.0, 0.1), ("unseen_up", -3.0, 0.1), ("rescaled", -3.0, 0.1)),
    "campaign_mix": (("mix_moved", 4.0, -3.0), ("relation_lost", -1.5, 0.5), ("nulls_up", -2.0, 0.0),
                     ("one_value_up", -3.0, 0.0), ("unseen_up", -1.5, 0.0), ("rescaled", -3.0, 0.0),
                     ("duplicates_up", -3.0, 0.1)),
    "monitor_fault": (("many_models", 2.0, -1.5), ("quality_down", -1.0, 0.3)),
    "silence": (("silent", 8.0, -8.0),),
}  # fmt: skip


_AT_INPUTS = frozenset([
    "unit_change", "sentinel_default", "schema_change", "logging_experiment", "duplicate_events", "partial_data",
    "category_encoding", "stale_feature_job", "online_store_miss", "training_serving_skew", "feature_file_limit",
])  # fmt: skip
_AT_MODEL = frozenset([
    "bad_model_version", "wrong_artefact", "training_stopped", "threshold_change", "runtime_regression",
    "latency_fallback", "mixed_rollout", "concept_drift",
])  # fmt: skip
_AT_LABELS = frozenset(("late_labels", "label_definition"))
_NO_INPUT = ("model", "service", "training_job", "label_job", "monitor")


def begins(kind: str, place: str) -> bool:
    """Whether a fault of this kind can begin at a node of this kind: what lineage calls it, `input` for what the model
    is seen to read, "all inputs" for what they have in common, nothing where it is not known.

    >>> begins("unit_change", "input"), begins("unit_change", "model"), begins("late_labels", "label_job")
    (True, False, True)
    """
    if kind in _AT_INPUTS:
        return place not in _NO_INPUT and not (kind == "unit_change" and place == "all inputs")
    if kind in _AT_MODEL:
        return place in ("model", "service", "training_job")
    if kind in _AT_LABELS:
        return place in ("label_job", "model")
    return place not in ("training_job", "label_job")


def typed(traits: Traits) -> dict[str, float]:
    """Probability of each type given the traits, `unknown` included; they sum to 1.

    >>> typed({"silent": True})["silence"] > 0.9
    True
    """
    scores = {"unknown": UNKNOWN}
    for kind, signature in SIGNATURES.items():
        scores[kind] = sum(_nats(traits.get(trait), yes, no) for trait, yes, no in signature)
    top = max(scores.values())
    weights = {kind: math.exp(score - top) for kind, score in scores.items()}
    total = sum(weights.values())
    return {kind: weight / total for kind, weight in sorted(weights.items(), key=lambda w: -w[1])}


def _nats(value: float | bool | None, yes: float, no: float) -> float:
    """Between `no` and `yes` by degree; nothing for a trait that cannot be seen."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return 0.0
    degree = min(max(float(value), 0.0), 1.0)
    return degree * yes + (1 - degree) * no
