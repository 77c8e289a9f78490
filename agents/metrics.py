"""What a metric's name tells: its role, and in which direction it is bad. Names come in many dialects."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Role(NamedTuple):
    """`name` of the role, its bad direction (+1 high, -1 low, 0 either), whether it is a share of rows."""

    name: str
    direction: int
    share: bool = False


UNKNOWN = Role("other", 0)

_ROLES: tuple[tuple[Role, str], ...] = (
    # (role, words): the first role, in this order, all of whose words of one alternative are in the name
    (Role("schema", 0), "schema"),
    (Role("duplicates", 1, True), "dup|duplicate|duplicates|duplicated|dups"),
    (Role("late_rows", 1, True), "late rows|late pct|late ratio"),
    (Role("nulls", 1, True), "null|nulls|missing|nan|empty|na rate|absent"),
    (Role("unseen", 1, True), "oov|unseen|unknown rate|out vocabulary|new category|novel"),
    (Role("store_miss", 1, True), "online miss|store miss|miss|misses|default rate|lookup failed"),
    (Role("fallback", 1, True), "fallback|degraded"),
    (Role("errors", 1, True), "error|errors|err|failure|failures|failed|fail|exception|exceptions|5xx"),
    (Role("cache", -1, True), "cache|hit"),
    (Role("staleness", 1), "staleness|stale|freshness|fresh|age s|lag s|data age|delay s|behind"),
    (Role("lag", 1), "lag|backlog|queue|pending"),
    (Role("psi", 1), "psi|drift|divergence|wasserstein|js|ks"),
    (Role("calibration", 0), "calibration|calib|ece"),
    (Role("quality", -1), "quality|auc|ndcg|accuracy|recall|precision|f1|r2|rating|groundedness|lift"),
    (Role("success", -1, True), "success|availability|available|uptime"),
    (Role("quality_error", 1), "mae|rmse|wape|mape|logloss|entropy|brier|ne"),
    (Role("version_mix", 0), "version mix|mix"),
    (Role("version", 0), "version"),
    (Role("model_age", 1), "age d|model age|age days|days since"),
    (Role("train_rows", -1), "train rows|training rows|train size"),
    (Role("label_count", -1), "labels|labelled|label count|maturity|matured"),
    (Role("base_rate", 0, True), "base rate|label rate|positive rate|label mean|prevalence"),
    (Role("action_rate", 0, True), "action|decline|approve|flag rate|positive share|decision"),
    (Role("score_mean", 0), "score|prediction|pred"),
    (Role("top_share", 1, True), "top share|top value|mode share|top ratio|modal|top"),
    (Role("distinct", 0), "distinct|cardinality|unique|nunique|uniq"),
    (Role("business", 0), "conversion|chargeback|cancel|revenue|churn rate|escalation|approval|waste|save"),
    (Role("duration", 1), "duration|runtime|elapsed|took|run time"),
    (Role("status", 0), "status|state|ok"),
    (Role("latency", 1), "latency|p99|response|p90 ms|p95 ms|p50 ms|ms"),
    (Role("cpu", 1), "cpu"),
    (Role("memory", 1), "mem|memory|heap|rss"),
    (Role("replicas", 0), "replicas|pods|instances"),
    (Role("traffic", 0), "qps|rps|requests|ops|traffic|throughput|workload|calls"),
    (Role("calls", 0), "syscall|syscalls|context"),
    (Role("network", 0), "network|net|bytes|receive|transmit"),
    (Role("rows", 0), "rows|row|records|events|volume|count|size"),
    (Role("mean", 0), "mean|avg|average|mu"),
    (Role("spread", 0), "std|stddev|sd|variance|sigma|spread"),
    (Role("high", 0), "p95|q95|p90|max|upper"),
    (Role("median", 0), "p50|q50|median|p25|p75|p05"),
)


def words_of(metric: str) -> tuple[str, ...]:
    """The words of a name in any dialect.

    >>> words_of("online.missRate"), words_of("feature_null_ratio")
    (('online', 'miss', 'rate'), ('feature', 'null', 'ratio'))
    """
    spaced = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3 \2\4", metric)
    return tuple(re.findall(r"[a-z]+\d*|\d+[a-z]+|\d+", spaced.lower()))


@lru_cache(maxsize=20_000)
def role_of(metric: str) -> Role:
    """The role of a metric by its name; UNKNOWN (either direction) when the name tells nothing.

    >>> role_of("score_psi_7d").name, role_of("missing_pct").name, role_of("p99_ms").direction
    ('psi', 'nulls', 1)
    """
    words = set(words_of(metric))
    for role, alternatives in _ROLES:
        if any(set(one.split()) <= words for one in alternatives.split("|")):
            return role
    return UNKNOWN


RESOURCES = frozenset({"cpu", "memory", "replicas", "calls"})
"""What a node uses. It tells of the node itself and does not travel to others."""
DELIVERED = frozenset({"latency", "errors", "success", "fallback", "store_miss"})
"""What a consumer sees of what it is given: where a broken connection shows, though its source looks well."""
_OUTBOUND = frozenset({"client", "outbound", "egress", "dependency", "outgoing"})


def outbound(metric: str) -> bool:
    """Whether a metric is of what a node calls rather than of the node: it accuses others.

    >>> outbound("PodClientLatencyP90(s)"), outbound("PodServerLatencyP90(s)")
    (True, False)
    """
    return bool(_OUTBOUND & set(words_of(metric)))


def direction_of(metric: str) -> int:
    """+1 when high is bad, -1 when low is bad, 0 when any change is."""
    return role_of(metric).direction


_DESCRIBED: tuple[tuple[Role, str], ...] = (
    # for metrics whose owner says what they mean: stems, all of one alternative must be there; the first role counts
    (Role("reference_age", 0), "reference day|reference age|baseline age|reference frozen"),
    (Role("checks", -1), "check|comparison"),
    (Role("schema", 0), "schema|column list|ddl|fingerprint"),
    (Role("duplicates", 1, True), "duplic|repeat key|key seen before|dup|dupe"),
    (Role("late_rows", 1, True), "watermark|row too late|late row"),
    (Role("label_count", -1, True), "label expected|label receiv|completeness outcome|completeness label|matur"),
    (Role("base_rate", 0), "mean label|average outcome|label mean|outcome rate|target avg|label written"),
    (Role("calibration", 0), "prediction outcome|predicted observed|calibrat|pred obs"),
    (Role("fallback", 1, True), "fallback|degraded|plan b"),
    (Role("skew", 1), "online offline|serving offline|skew"),
    (Role("pool_gap", 1), "pool|zone"),
    (Role("version_mix", 0, True), "build|canary|mixed version|version mix"),
    (Role("store_miss", 1, True), "online read|lookup default|lookup value|lookup without|read no row|miss"),
    (Role("unseen", 1, True), "vocabulary|unseen|oov|unknown categor|new categor"),
    (Role("nulls", 1, True), "without value|empty|null|nan|missing"),
    (Role("top_share", 1, True), "most frequent|mode\\b|top share|top value"),
    (Role("psi", 1), "stability|psi|distance|diverg|drift"),
    (Role("business", 0), "surface|conversion|chargeback|cancel|business|kpi|revenue"),
    (Role("quality", -1), "outcome known|auc|ndcg|mae|wape|rating|entropy|accuracy|quality|error outcome"),
    (Role("action_rate", 0, True), "acted|decision|action|positive rate"),
    (Role("version", 0), "version served|serving version|revision|model version"),
    (Role("model_age", 1), "model age|version trained day|day since trained|day fit|model old"),
    (Role("train_rows", -1), "trained on|training set|fit row|train row|training size"),
    (Role("status", 1), "succeed|failed run|run failed|mark failed|status"),
    (Role("lag", 1), "waiting|backlog|lag|behind"),
    (Role("duration", 1), "wall time|long run|duration|elapsed|run time"),
    (Role("staleness", 1), "age|time since|fresh|stale"),
    (Role("errors", 1, True), "failed|error"),
    (Role("latency", 1), "latency|response|slowest"),
    (Role("cache", 0, True), "cache"),
    (Role("cpu", 1), "processor|core|cpu"),
    (Role("memory", 1), "memory|mem"),
    (Role("replicas", 0), "copies|pod|replica|instance"),
    (Role("traffic", 0), "request per|call rate|qps|throughput"),
    (Role("distinct", 0), "distinct|cardinal|unique"),
    (Role("rows_in", 0), "row read|input record"),
    (Role("rows_out", 0), "row written|output record"),
    (Role("rows", 0), "row|volume|record|count"),
    (Role("score_high", 0), "tail prediction|percentile output|score high|pred q95"),
    (Role("score_mean", 0), "output|prediction|score mean"),
    (Role("spread", 0), "deviation|spread|sigma|std"),
    (Role("high", 0), "percentile|quantile|p95|max"),
    (Role("median", 0), "median|middle|p50"),
    (Role("mean", 0), "mean|average|avg|mu"),
)
_WORSE = {"up": 1, "down": -1, "either": 0, "none": 0}


def role_described(name: str, description: str, worse: str, unit: str) -> Role:
    """The role of a metric whose owner documents it; the documented bad direction wins over the role's own.

    >>> role_described("afterWatermark", "share of rows after the watermark", "up", "ratio").name
    'late_rows'
    >>> role_described("planB", "degraded answers", "up", "%")[:2]
    ('fallback', 1)
    """
    if not description:
        known = role_of(name)
        return known if worse not in _WORSE else known._replace(direction=_WORSE[worse])
    text = " ".join((*words_of(description), *words_of(name)))
    own = " ".join(words_of(description))
    for where in (own, text):
        for role, alternatives in _DESCRIBED:
            if any(all(re.search(rf"\b{stem}", where) for stem in one.split()) for one in alternatives.split("|")):
                share = role.share or unit in ("%", "ratio")
                return Role(role.name, _WORSE.get(worse, role.direction), share)
    return UNKNOWN._replace(direction=_WORSE.get(worse, 0))
