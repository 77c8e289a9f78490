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
    "unit_change": (("rescaled", 5.0, -5.0), ("one_input", 0.8, -1.0), ("step", 0.7, -2.0), ("nulls_up", -1.5, 0.3)),
    "sentinel_default": (("one_value_up", 3.0, -3.0), ("nulls_up", -2.0, 0.4), ("store_miss", -3.0, 0.2),
                         ("step", 0.4, -1.0), ("rescaled", -3.0, 0.2), ("errors_up", -1.0, 0.1)),
    "schema_change": (("schema_changed", 4.5, -0.8), ("type_changed", 3.0, -0.2), ("all_null", 3.0, -1.0),
                      ("step", 0.4, -1.5), ("inputs_calm", -3.0, 0.3)),
    "logging_experiment": (("some_null", 2.0, -1.5), ("segmented", 1.5, -1.0), ("client_change", 2.0, -0.3),
                           ("rows_down", -1.0, 0.2), ("staleness_up", -2.0, 0.2), ("all_null", -3.0, 0.2)),
    "duplicate_events": (("duplicates_up", 4.5, -2.5), ("rows_up", 1.5, -1.0)),
    "partial_data": (("rows_down", 3.0, -1.5), ("some_null", 0.8, -0.2), ("staleness_up", 0.6, -0.2),
                     ("segmented", 0.6, -0.1), ("duplicates_up", -3.0, 0.1)),
    "category_encoding": (("unseen_up", 4.5, -2.5), ("nulls_up", -1.0, 0.2), ("step", 0.3, -0.6)),
    "stale_feature_job": (("staleness_up", 4.0, -3.0), ("rows_down", -1.0, 0.2), ("nulls_up", -0.8, 0.2),
                          ("job_failed", 1.5, -0.1), ("latency_up", -0.8, 0.1)),
    "online_store_miss": (("store_miss", 5.0, -3.0),),
    "training_serving_skew": (("came_with_version", 1.8, -1.2), ("input_moved", 1.2, -2.0), ("rescaled", -3.0, 0.3),
                              ("source_moved", -2.5, 0.6), ("many_inputs", -1.2, 0.2), ("nulls_up", -0.5, 0.1),
                              ("step", 0.4, -2.0), ("skewed", 3.0, 0.0)),
    "feature_file_limit": (("rows_up", 2.0, -1.5), ("errors_up", 2.5, -2.5), ("intermittent", 1.0, -0.2)),
    "bad_model_version": (("came_with_version", 2.8, -2.5), ("inputs_calm", 1.5, -2.0), ("score_moved", 0.8, -0.3),
                          ("quality_down", 0.8, -0.2), ("few_training_rows", 2.5, -0.2), ("step", 0.3, -1.5)),
    "wrong_artefact": (("came_with_version", -0.8, 0.3), ("config_change", 1.6, -0.8), ("inputs_calm", 1.2, -2.0),
                       ("decisions_moved", 1.2, -0.4), ("score_moved", 1.2, -1.0), ("step", 0.4, -2.0)),
    "training_stopped": (("model_old", 4.0, -1.5), ("gradual", 0.8, -0.8), ("inputs_calm", 0.3, 0.0)),
    "threshold_change": (("latency_up", -3.0, 0.1), ("decisions_moved", 2.5, -2.5), ("score_moved", -2.0, 1.2),
                         ("quality_down", -1.0, 0.4),
                         ("config_change", 0.8, -0.3), ("inputs_calm", 0.6, -1.0)),
    "runtime_regression": (("latency_up", 1.0, -0.6), ("errors_up", 1.0, -0.2), ("inputs_calm", 0.6, -1.2),
                           ("came_with_version", 0.6, -0.1), ("pool_mixed", 2.0, -0.2), ("fallback_up", -1.5, 0.2),
                           ("score_moved", 0.3, 0.0)),
    "latency_fallback": (("latency_up", 3.0, -2.5), ("fallback_up", 3.0, -0.8), ("inputs_calm", 0.4, -1.0)),
    "mixed_rollout": (("versions_mixed", 4.0, -2.5), ("errors_up", 0.4, -0.1)),
    "late_labels": (("labels_late", 4.0, -1.5), ("quality_down", 0.5, -0.3), ("inputs_calm", 0.6, -1.5),
                    ("score_moved", -1.5, 0.5)),
    "label_definition": (("base_rate_moved", 3.5, -2.0), ("inputs_calm", 0.8, -1.5), ("score_moved", -1.5, 0.6),
                         ("step", 0.5, -1.0), ("business_moved", -2.0, 0.6)),
    "covariate_drift": (("many_inputs", 2.5, -1.5), ("gradual", 1.5, -1.0), ("came_with_version", -2.0, 0.4),
                        ("nulls_up", -1.5, 0.2), ("rescaled", -2.0, 0.2), ("near_change", -0.5, 0.4)),
    "concept_drift": (("quality_down", 2.8, -2.5), ("inputs_calm", 0.6, -0.4), ("score_moved", -0.8, 0.4),
                      ("came_with_version", -2.0, 0.3), ("base_rate_moved", 0.2, 0.1), ("labels_late", -2.5, 0.1),
                      ("near_change", -0.4, 0.4), ("latency_up", -1.0, 0.1), ("nulls_up", -3.0, 0.1),
                      ("unseen_up", -1.5, 0.1), ("type_changed", -2.0, 0.0)),  # no world makes values go missing
    "seasonality": (("one_input", -2.0, 0.3), ("seen_before", 4.0, -2.5), ("quality_down", -2.0, 0.6),
                    ("near_change", -0.3, 0.2), ("came_with_version", -1.5, 0.2), ("nulls_up", -2.0, 0.1)),
    "campaign_mix": (("one_input", -2.0, 0.3), ("mix_moved", 4.0, -2.0), ("quality_down", -1.5, 0.5),
                     ("rows_up", 0.6, -0.1), ("duplicates_up", -3.0, 0.1)),
    "monitor_fault": (("only_derived", 3.0, -2.0), ("many_models", 2.0, -0.4), ("monitor_change", 2.0, -0.2),
                      ("quality_down", -1.0, 0.3)),
    "silence": (("silent", 8.0, -8.0),),
}  # fmt: skip


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
