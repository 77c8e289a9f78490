"""The closed list of incident types, with the kinds they break, what a log shows, and the remedies that help or harm.

Anchors of each row are in the design notes of the simulator: public post-mortems and surveys of ML outages
(Papasian & Underwood 2020, Breck et al. 2019, Sculley et al. 2015, and others).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Type:
    """One incident type.

    `origins` are node kinds with weights; `shapes` onset shapes with weights; `logged` says whose change explains it
    (`own` node, an `upstream` or `elsewhere` one, `never` any); `p_none` is the chance that no change exists at all;
    `alerts` are (node kind, canonical metric) with weights; remedies are codes, the first of `best` being the one.
    """

    id: str
    cause: str
    family: str
    origins: dict[str, float]
    shapes: dict[str, float]
    segment: float
    logged: str
    p_none: float
    tools: tuple[str, ...]
    alerts: dict[tuple[str, str], float]
    best: tuple[str, ...]
    ok: tuple[str, ...] = ()
    harm: tuple[str, ...] = ()
    freq: float = 1.0
    labels: bool = False
    benign: bool = False
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)


_STEP, _RUN = {"step": 1.0}, {"per-run": 1.0}
_SCORE = {("model", "score_mean"): 3, ("model", "score_psi_7d"): 3, ("model", "action_rate"): 2,
          ("model", "quality"): 2, ("service", "served_quality"): 3, ("service", "business"): 1}
_VIEW_PSI = {("feature_view", "psi_7d"): 1.5, ("feature_view", "mean"): 1}
_Q = {("model", "quality"): 3, ("model", "calibration"): 2}
_TOLD = _Q | {("service", "served_quality"): 1.5}
_SERVED = {("service", "served_quality"): 3, ("service", "business"): 1}

TYPES: dict[str, Type] = {kind.id: kind for kind in (
    Type("D1", "upstream_default", "D", {"source": 1}, {"step": 0.8, "s-curve": 0.2}, 0.5, "own", 0.0,
         ("deploy", "infra", "flag"), _SCORE | {("feature_view", "top_share"): 1, ("feature_view", "psi_7d"): 1},
         ("FIX_UPSTREAM", "MASK"), ("FALLBACK",), ("RETRAIN",), 5, ranges={"q": (0.05, 0.4)}),
    Type("D2", "schema_change", "D", {"source": 0.6, "table": 0.4}, _STEP, 0.0, "own", 0.0,
         ("schema", "merge"), _SCORE | {("feature_view", "null_rate"): 2, ("feature_view", "staleness_s"): 1},
         ("FIX_SCHEMA",), ("MASK",), ("ROLLBACK_MODEL",), 4.5, ranges={"null": (0.3, 1.0)}),
    Type("D3", "unit_change", "D", {"source": 0.5, "feature_job": 0.5}, _STEP, 0.0, "own", 0.0,
         ("merge", "deploy"), _SCORE | _VIEW_PSI, ("FIX_UPSTREAM",), ("MASK",), ("RETRAIN",), 4.5,
         ranges={"scale": (0.02, 1.0)}),
    Type("D4", "client_experiment", "D", {"source": 1}, {"per-run": 0.5, "step": 0.5}, 1.0, "elsewhere", 0.0,
         ("flag",), _SCORE | {("feature_view", "null_rate"): 2}, ("FIX_UPSTREAM",), ("IMPUTE",), ("ROLLBACK_MODEL",), 4,
         ranges={"q": (0.05, 0.9)}),
    Type("D5", "duplicate_rows", "D", {"ingest_job": 1}, _RUN, 0.0, "own", 0.1, ("infra", "run", "deploy"),
         _SCORE | {("feature_view", "mean"): 2, ("table", "rows"): 1, ("table", "dup_rate"): 0.5},
         ("DEDUPE+BACKFILL",), ("PAUSE",), ("SCALE_UP",), 4, ranges={"dup": (0.1, 1.0)}),
    Type("D6", "partial_data", "D", {"ingest_job": 1}, _RUN, 1.0, "own", 0.5, ("infra", "run"),
         _SCORE | {("table", "rows"): 1, ("feature_view", "null_rate"): 2}, ("RERUN_JOB",), ("FALLBACK",),
         ("RETRAIN",), 4,
         ranges={"drop": (0.2, 0.9)}),
    Type("D8", "category_change", "D", {"source": 1}, {"step": 0.7, "s-curve": 0.3}, 0.5, "own", 0.0,
         ("merge", "deploy", "schema"), _SCORE | {("feature_view", "oov_rate"): 2, ("feature_view", "psi_7d"): 1},
         ("FIX_MAPPING",), ("RETRAIN",), ("ROLLBACK_MODEL",), 4, ranges={"q": (0.02, 0.5)}),
    Type("F1", "feature_job_stuck", "F", {"feature_job": 1}, _STEP, 0.0, "own", 0.15, ("infra", "run"),
         {("feature_view", "staleness_s"): 2, ("model", "quality"): 3, ("model", "calibration"): 1.5,
          ("model", "score_mean"): 2, ("service", "served_quality"): 1},
         ("RERUN_JOB",), ("FALLBACK",), ("RETRAIN",), 4.5, ranges={"drift": (0.02, 1.0)}),
    Type("F2", "online_store_misses", "F", {"feature_store": 1}, {"step": 0.6, "intermittent": 0.4}, 0.5, "own", 0.1,
         ("infra", "deploy", "flag"), _SCORE | {("service", "served_quality"): 2}, ("FIX_STORE",), ("FALLBACK",),
         ("RETRAIN",), 4.5, ranges={"miss": (0.02, 0.6)}),
    Type("F3", "training_serving_skew", "F", {"feature_job": 0.7, "service": 0.3}, _STEP, 0.0, "own", 0.0,
         ("deploy", "merge"), _SCORE | {("model", "calibration"): 2, ("service", "served_quality"): 3},
         ("ROLLBACK_CODE",), (), ("RETRAIN",), 4.5, ranges={"skew": (0.05, 3.0)}),
    Type("F6", "oversized_feature_file", "F", {"feature_job": 1}, {"intermittent": 1.0}, 0.0, "elsewhere", 0.0,
         ("infra",), {("service", "error_rate"): 3, ("service", "fallback_rate"): 1, ("service", "p99_ms"): 0.5,
                      ("service", "served_quality"): 1},
         ("ROLLBACK_DATA", "PAUSE"), ("FALLBACK",), ("SCALE_UP",), 4.5, ranges={"err": (0.002, 0.6)}),
    Type("M1", "bad_model_promoted", "M", {"training_job": 1}, _STEP, 0.0, "own", 0.0, ("registry",),
         _SCORE | {("model", "calibration"): 2}, ("ROLLBACK_MODEL",), ("FALLBACK",), ("RETRAIN",), 3.5,
         ranges={"dq": (0.02, 0.3)}),
    Type("M2", "wrong_artefact", "M", {"service": 1}, _STEP, 0.0, "own", 0.0, ("deploy", "infra"),
         {("service", "action_rate"): 3, ("service", "served_quality"): 2, ("service", "business"): 1},
         ("ROLLBACK_CONFIG",), (), ("RETRAIN",), 3, ranges={"action": (0.02, 2.0)}),
    Type("M3", "retraining_dead", "M", {"training_job": 1}, {"ramp": 1.0}, 0.0, "old", 0.35, ("run", "infra"),
         _TOLD, ("FIX_TRAINING", "RETRAIN"), (), ("ROLLBACK_MODEL",), 3, labels=True, ranges={"decay": (0.02, 0.8)}),
    Type("M4", "threshold_change", "M", {"model": 1}, _STEP, 0.0, "own", 0.0, ("flag", "registry"),
         {("model", "action_rate"): 3, ("service", "action_rate"): 1.5}, ("ROLLBACK_CONFIG",), ("ACCEPT",),
         ("RETRAIN",),
         2.5, ranges={"action": (0.02, 2.0)}),
    Type("S1", "runtime_regression", "S", {"service": 1}, {"step": 0.6, "intermittent": 0.4}, 0.0, "own", 0.0,
         ("infra", "deploy"), _SERVED | {("service", "pool_gap"): 0.7}, ("ROLLBACK_RUNTIME",), ("DRAIN_POOL",),
         ("RETRAIN",), 5.5,
         ranges={"pool": (0.01, 0.8)}),
    Type("S3", "overload_fallback", "S", {"service": 0.6, "feature_store": 0.4},
         {"step": 0.4, "ramp": 0.3, "s-curve": 0.3},
         0.0, "own", 0.2, ("infra", "deploy"),
         {("service", "p99_ms"): 1.5, ("service", "fallback_rate"): 2, ("service", "served_quality"): 3,
          ("service", "business"): 1}, ("SCALE_UP",), ("ROLLBACK_CODE",), ("RETRAIN",), 5.5,
         ranges={"lat": (0.15, 5.0)}),
    Type("S4", "half_finished_rollout", "S", {"service": 1}, {"step": 0.6, "intermittent": 0.4}, 0.0, "own", 0.0,
         ("deploy",), _SERVED | {("service", "error_rate"): 2}, ("FINISH_OR_ROLLBACK",), ("DRAIN_POOL",),
         ("RETRAIN",), 5,
         ranges={"pool": (0.02, 0.8)}),
    Type("L1", "labels_late", "L", {"label_job": 1}, _RUN, 0.0, "own", 0.5, ("run", "infra"), _Q,
         ("WAIT", "FIX_LABEL_JOB"), (), ("ROLLBACK_MODEL",), 3.3, labels=True, ranges={"missing": (0.1, 0.9)}),
    Type("L2", "label_definition", "L", {"label_job": 1}, _STEP, 0.0, "own", 0.0, ("merge",), _Q,
         ("FIX_LABELS", "RELABEL"), (), ("ROLLBACK_MODEL",), 3, labels=True, ranges={"base": (0.02, 0.6)}),
    Type("W1", "covariate_drift", "W", {"source": 1}, {"ramp": 0.6, "s-curve": 0.4}, 1.0, "own", 0.5, ("flag",),
         _SCORE | {("feature_view", "psi_7d"): 1}, ("RETRAIN",), ("ADD_SEGMENT",), ("ROLLBACK_MODEL",), 2.5,
         ranges={"growth": (0.05, 2.0)}),
    Type("W2", "concept_drift", "W", {"model": 1}, {"ramp": 0.5, "step": 0.5}, 0.4, "never", 1.0, (),
         _TOLD, ("RETRAIN", "RULE"), ("FALLBACK",), ("ROLLBACK_MODEL",), 3, labels=True,
         ranges={"concept": (0.02, 0.7)}),
    Type("W3", "season", "W", {"source": 1}, {"s-curve": 1.0}, 0.0, "never", 1.0, (),
         _SCORE | {("service", "qps"): 1, ("table", "rows"): 0.5, ("feature_view", "mean"): 1}, ("NOTHING",), (), (),
         2.7,
         benign=True, ranges={"season": (0.05, 2.0)}),
    Type("W4", "mix_shift", "W", {"source": 1}, {"step": 0.5, "s-curve": 0.5}, 1.0, "own", 0.0, ("flag",),
         _SCORE | {("feature_view", "psi_7d"): 1, ("feature_view", "mean"): 1}, ("NOTHING",), ("ANNOTATE",), (), 3,
         benign=True, ranges={"growth": (0.05, 4.0)}),
    Type("O1", "monitor_broken", "O", {"monitor": 1}, _STEP, 0.0, "own", 0.1, ("infra", "flag", "deploy"),
         {("model", "score_psi_7d"): 3, ("feature_view", "psi_7d"): 3}, ("FIX_MONITOR",), (), ("ROLLBACK_MODEL",), 5,
         ranges={"monitor": (0.02, 0.6)}),
    Type("M4P", "threshold_change", "M", {"model": 1}, _STEP, 0.0, "own", 0.0, ("flag",),
         {("model", "action_rate"): 3, ("service", "action_rate"): 1.5}, ("NOTHING",), ("ANNOTATE", "ACCEPT"), (), 2.3,
         benign=True, ranges={"action": (0.02, 2.0)}),
    # Outside the closed list: the right answer is the node and "a type I do not know".
    Type("X1", "other", "X", {"service": 1}, _STEP, 0.5, "own", 0.2, ("infra", "deploy"),
         _SERVED | {("service", "action_rate"): 1}, ("FIX_ROUTING",), ("FALLBACK",), ("RETRAIN",), 1.6,
         ranges={"routing": (0.02, 0.6)}),
    Type("X2", "other", "X", {"service": 1}, _STEP, 0.0, "own", 0.2, ("infra", "flag"),
         {("service", "cache_hit"): 1, ("service", "served_quality"): 3, ("service", "business"): 1},
         ("FLUSH_CACHE",), ("FALLBACK",), ("RETRAIN",), 1.6, ranges={"cache": (0.03, 0.9)}),
    Type("X3", "other", "X", {"source": 1}, _STEP, 0.0, "never", 1.0, (),
         {("table", "rows"): 1.5, ("feature_view", "staleness_s"): 1, ("model", "quality"): 1,
         ("model", "score_mean"): 2},
         ("SWITCH_SOURCE",), ("FALLBACK",), ("RETRAIN",), 1.6, ranges={"drop": (0.3, 1.0)}),
    Type("X4", "other", "X", {"table": 1}, _STEP, 0.0, "own", 0.2, ("merge", "run"),
         _SCORE | {("feature_view", "null_rate"): 1}, ("RESTORE",), ("FALLBACK",), ("RETRAIN",), 1.6,
         ranges={"drop": (0.2, 0.95)}),
    Type("X5", "other", "X", {"feature_view": 1}, _STEP, 0.0, "own", 0.0, ("merge", "run"),
         _SCORE | _Q, ("ALIGN_VERSIONS",), ("ROLLBACK_CODE",), ("RETRAIN",), 1.6, ranges={"mixup": (0.05, 3.0)}),
)}

CATALOGUE = tuple(key for key in TYPES if not key.startswith("X") and key != "M4P")
OTHERS = tuple(key for key in TYPES if key.startswith("X"))
BENIGN = tuple(key for key, kind in TYPES.items() if kind.benign)


def public_type(key: str) -> str:
    """The catalogue id a person would be right to say: a planned threshold change is an M4, an unlisted one `other`."""
    return "other" if key in OTHERS else "M4" if key == "M4P" else key


def type_of_name(name: str) -> str:
    """The catalogue id for an id or a cause word; anything unknown is `other`.

    >>> type_of_name("unit_change"), type_of_name("d3"), type_of_name("gremlins")
    ('D3', 'D3', 'other')
    """
    word = str(name).strip()
    if word.upper() in CATALOGUE:
        return word.upper()
    return next((key for key in CATALOGUE if TYPES[key].cause == word.lower()), "other")
