"""What can be measured at each kind of node, in canonical names, and how a tenant would describe it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """`unit`: count, ratio, seconds, bytes, score, version, hash, state. `worse`: up, down, either or none."""

    name: str
    kinds: tuple[str, ...]
    unit: str
    worse: str
    about: tuple[str, ...]
    per_feature: bool = False


_JOBS = ("ingest_job", "feature_job", "label_job", "training_job")
_DATA = ("source", "table")
_SERVING = ("service", "feature_store")

METRICS: tuple[Metric, ...] = (
    Metric("rows", _DATA, "count", "either", ("rows that arrived in the interval", "volume of records received")),
    Metric("freshness_s", _DATA, "seconds", "up", ("age of the newest row", "time since the last record was written")),
    Metric("dup_rate", _DATA, "ratio", "up", ("share of rows whose key was seen before", "repeated keys over rows")),
    Metric("schema_hash", _DATA, "hash", "none", ("fingerprint of the column list", "hash of the declared schema")),
    Metric("late_rows_pct", _DATA, "ratio", "up", ("share of rows after the watermark", "rows that came in too late")),
    Metric("col_mean", _DATA, "score", "either", ("mean of the column", "average of the column's values"), True),
    Metric("col_null", _DATA, "ratio", "up",
           ("share of rows without a value in the column", "empty cells of the column"),
           True),
    Metric("col_top", _DATA, "ratio", "up", ("share of the most frequent value of the column", "weight of the mode"),
           True),
    Metric("duration_s", _JOBS, "seconds", "up", ("wall time of the run", "how long the run took")),
    Metric("status", _JOBS, "state", "up", ("0 when the run succeeded, 1 when it failed", "1 marks a failed run")),
    Metric("rows_in", _JOBS, "count", "down", ("rows read by the run", "input records")),
    Metric("rows_out", _JOBS, "count", "either", ("rows written by the run", "output records")),
    Metric("lag_events", _JOBS, "count", "up", ("events waiting to be read", "backlog behind the stream's head")),
    Metric("label_mean", ("label_job",), "score", "either", ("mean of the labels written", "average outcome joined")),
    Metric("label_maturity", ("label_job",), "ratio", "down",
           ("labels received over labels expected by now", "completeness of outcomes for their age")),
    Metric("mean", ("feature_view",), "score", "either", ("mean of the feature, offline", "offline average"), True),
    Metric("std", ("feature_view",), "score", "either", ("standard deviation of the feature", "offline spread"), True),
    Metric("p50", ("feature_view",), "score", "either", ("median of the feature", "middle value"), True),
    Metric("p95", ("feature_view",), "score", "either", ("95th percentile of the feature", "upper quantile"), True),
    Metric("null_rate", ("feature_view",), "ratio", "up", ("share of rows without a value", "empty values over rows"),
           True),
    Metric("distinct", ("feature_view",), "count", "either", ("number of distinct values", "cardinality"), True),
    Metric("top_share", ("feature_view",), "ratio", "up", ("share of the most frequent value", "weight of the mode"),
           True),
    Metric("psi_7d", ("feature_view",), "score", "up",
           ("population stability index against seven days", "distance from last week's distribution"), True),
    Metric("oov_rate", ("feature_view",), "ratio", "up", ("share of values not in the vocabulary", "unseen categories"),
           True),
    Metric("online_miss_rate", ("feature_view",), "ratio", "up",
           ("online reads that found no value", "lookups answered with the default"), True),
    Metric("online_skew", ("feature_view",), "score", "up",
           ("gap of online and offline means in standard deviations", "serving against offline, in sd"), True),
    Metric("staleness_s", ("feature_view",), "seconds", "up",
           ("age of the served values", "time since the view was built")),
    Metric("score_mean", ("model",), "score", "either", ("mean of the model's output", "average prediction")),
    Metric("score_p95", ("model",), "score", "either", ("95th percentile of the output", "upper tail of predictions")),
    Metric("score_psi_7d", ("model",), "score", "up",
           ("stability index of the output against seven days", "distance of predictions from last week")),
    Metric("action_rate", ("model", "service"), "ratio", "either",
           ("share of requests acted upon", "decisions over requests")),
    Metric("quality", ("model",), "score", "", ("", "")),
    Metric("calibration", ("model",), "score", "either",
           ("mean prediction over mean outcome", "predicted over observed")),
    Metric("version", ("model",), "version", "none", ("number of the version served", "serving version")),
    Metric("age_d", ("model",), "count", "up", ("days since the version was trained", "model age in days")),
    Metric("train_rows", ("model",), "count", "down", ("rows the version was trained on", "size of the training set")),
    Metric("qps", _SERVING, "count", "either", ("requests per second", "call rate")),
    Metric("p50_ms", _SERVING, "seconds", "up", ("median latency", "typical response time")),
    Metric("p99_ms", _SERVING, "seconds", "up", ("99th percentile of latency", "slowest percent of responses")),
    Metric("error_rate", _SERVING, "ratio", "up", ("share of calls that failed", "failed calls over calls")),
    Metric("fallback_rate", ("service",), "ratio", "up", ("share answered by the fallback", "degraded answers")),
    Metric("cache_hit", ("service",), "ratio", "either", ("share answered from the cache", "cache hits over lookups")),
    Metric("cpu", _SERVING, "ratio", "up", ("processor use", "busy share of the cores")),
    Metric("mem", _SERVING, "bytes", "up", ("resident memory per replica", "memory in use")),
    Metric("replicas", ("service",), "count", "either", ("running copies", "pods in service")),
    Metric("version_mix", ("service",), "ratio", "either",
           ("share of replicas not on the main build", "minority build share")),
    Metric("pool_gap", ("service",), "score", "up",
           ("gap of mean scores between replica pools in sd", "disagreement of pools, in sd")),
    Metric("served_quality", ("service",), "score", "", ("", "")),
    Metric("business", ("service",), "ratio", "", ("", "")),
    Metric("online_misses", ("feature_store",), "ratio", "up", ("reads that found no row", "lookups without a value")),
    Metric("ref_age_d", ("monitor",), "count", "either",
           ("days since the reference was frozen", "age of the reference")),
    Metric("checks", ("monitor",), "count", "down", ("checks done in the interval", "comparisons computed")),
)
KNOWN: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def metrics_of(kind: str) -> tuple[Metric, ...]:
    """The metrics a node of this kind can have."""
    return tuple(metric for metric in METRICS if kind in metric.kinds)
