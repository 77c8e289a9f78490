"""How one tenant spells things: metric names, units, nodes, owners, times. The truth never depends on it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bot.simulator.rng import stream
from bot.simulator.tenants import Tenant
from bot.simulator.vocabulary import KNOWN, METRICS, Metric

_WORDS = {
    "rows": ("rows", "record_count", "row_cnt", "volume"),
    "freshness_s": ("freshness", "data_age", "staleness_src"),
    "dup_rate": ("dup_rate", "duplicate_pct", "dupe_ratio"),
    "schema_hash": ("schema_hash", "schema_fp", "ddl_digest"),
    "late_rows_pct": ("late_rows", "late_arrival", "after_watermark"),
    "col_mean": ("col_mean", "avg", "column_average"),
    "col_null": ("col_null_rate", "col_missing_pct", "col_nan_ratio"),
    "col_top": ("col_top_share", "mode_pct", "top1"),
    "duration_s": ("duration", "run_time", "elapsed"),
    "status": ("status", "run_failed", "exit_state"),
    "rows_in": ("rows_in", "records_read", "input_rows"),
    "rows_out": ("rows_out", "records_written", "output_rows"),
    "lag_events": ("lag_events", "consumer_lag", "backlog"),
    "label_mean": ("label_mean", "outcome_rate", "target_avg"),
    "label_maturity": ("label_maturity", "label_completeness", "outcomes_in"),
    "mean": ("mean", "avg_value", "mu"),
    "std": ("std", "stddev", "sigma"),
    "p50": ("p50", "median", "q50"),
    "p95": ("p95", "pctl_95", "q95"),
    "null_rate": ("null_rate", "missing_pct", "nan_ratio"),
    "distinct": ("distinct", "n_unique", "cardinality"),
    "top_share": ("top_share", "mode_share", "top_value_pct"),
    "psi_7d": ("psi_7d", "stability_index", "drift_psi_week"),
    "oov_rate": ("oov_rate", "unseen_pct", "unknown_category"),
    "online_miss_rate": ("online_miss", "lookup_miss", "kv_miss"),
    "online_skew": ("online_skew", "serve_gap", "on_off_delta"),
    "staleness_s": ("staleness", "view_age", "feature_age"),
    "score_mean": ("score_mean", "avg_prediction", "pred_mean"),
    "score_p95": ("score_p95", "pred_q95", "score_high"),
    "score_psi_7d": ("score_psi_7d", "pred_drift", "output_stability"),
    "action_rate": ("action_rate", "decision_rate", "positive_rate"),
    "quality": ("", "eval", "live"),
    "calibration": ("calibration", "pred_over_obs", "calib_ratio"),
    "version": ("version", "model_rev", "serving_version"),
    "age_d": ("age_days", "model_age", "days_since_fit"),
    "train_rows": ("train_rows", "fit_rows", "training_size"),
    "qps": ("qps", "req_rate", "throughput"),
    "p50_ms": ("latency_p50", "resp_q50", "resp_median"),
    "p99_ms": ("latency_p99", "resp_q99", "resp_tail"),
    "error_rate": ("error_rate", "fail_pct", "errors_over_calls"),
    "fallback_rate": ("fallback_rate", "degraded", "plan_b"),
    "cache_hit": ("cache_hit", "cache_ratio", "hits"),
    "cpu": ("cpu", "cpu_util", "processor"),
    "mem": ("mem", "rss", "memory_used"),
    "replicas": ("replicas", "pods", "instances"),
    "version_mix": ("version_mix", "canary_share", "minority_build"),
    "pool_gap": ("pool_gap", "zone_delta", "shard_gap"),
    "served_quality": ("served", "e2e", "prod"),
    "business": ("", "biz", "kpi"),
    "online_misses": ("read_miss", "get_miss", "not_found"),
    "ref_age_d": ("reference_age", "ref_days", "baseline_age"),
    "checks": ("checks", "evals", "comparisons"),
}
_UNITS = {
    "seconds": (("s", 1.0), ("ms", 1000.0)),
    "ratio": (("ratio", 1.0), ("%", 100.0)),
    "bytes": (("bytes", 1.0), ("MiB", 1 / 2**20)),
}
_SEVERITY = (("SEV1", "SEV2", "SEV3"), ("critical", "major", "minor"), ("P1", "P2", "P3"), ("page", "warn", "info"))


@dataclass(frozen=True)
class Dialect:
    """One tenant's spelling, drawn from `key`; equal keys spell alike."""

    key: int
    tenant: Tenant
    style: str
    words: dict[str, str]
    units: dict[str, tuple[str, float]]
    zone: str
    severities: tuple[str, str, str]
    owner_style: str

    def metric(self, name: str) -> str:
        """The tenant's name of a canonical metric."""
        return self.words[name]

    def unit(self, metric: Metric) -> tuple[str, float]:
        """(unit shown, factor from the canonical value)."""
        return self.units.get(metric.unit, (metric.unit, 1.0))

    def show(self, name: str, value):
        """A canonical value, in the tenant's unit."""
        return value * self.unit(KNOWN[name])[1]

    def time(self, epoch: float) -> str:
        """RFC 3339 with the tenant's own offset."""
        return datetime.fromtimestamp(int(epoch), UTC).astimezone(ZoneInfo(self.zone)).isoformat()

    def owner(self, team: str) -> str:
        """An owner's handle."""
        return {"at": f"@{team}", "mail": f"{team}@example.com", "slack": f"#team-{team}"}[self.owner_style]

    def spell(self, *words: str) -> str:
        """Words joined in the tenant's style of names."""
        parts = "_".join(word for word in words if word).split("_")
        if self.style == "camel":
            return parts[0] + "".join(part.capitalize() for part in parts[1:])
        return {"snake": "_", "dotted": ".", "prom": "_"}[self.style].join(parts)

    def schema(self) -> dict:
        """The tenant's own documentation of its metrics: names, units, what is worse; nothing canonical."""
        rows = []
        for metric in METRICS:
            about = metric.about[self.key % 2] or _about(metric.name, self.tenant)
            rows.append(
                {
                    "name": self.metric(metric.name),
                    "of": [kind.replace("_", " ") for kind in metric.kinds],
                    "unit": self.unit(metric)[0],
                    "worse": metric.worse or _worse(metric.name, self.tenant),
                    "per": "feature" if metric.per_feature else "node",
                    "description": about,
                }
            )
        return {
            "tenant": self.tenant.key,
            "timezone": self.zone,
            "time": "epoch seconds, UTC",
            "severities": list(self.severities),
            "metrics": rows,
        }


def _about(name: str, tenant: Tenant) -> str:
    late = "; arrives as late as the outcomes do"
    if name == "business":
        return f"{tenant.business.replace('_', ' ')} of the surface{late}"
    where = "of what was served" if name == "served_quality" else "of the model"
    return f"{tenant.quality[0].replace('_', ' ')} {where} on outcomes known so far{late}"


def _worse(name: str, tenant: Tenant) -> str:
    if name == "business":
        return "down" if tenant.business in ("conversion", "approval_rate", "save_rate") else "up"
    return "down" if tenant.quality[3] else "up"


def dialect(tenant: Tenant, key: int) -> Dialect:
    """Draw a spelling for a tenant; `key` fixes it."""
    random = stream(key, "dialect", tenant.key)
    style = ("snake", "dotted", "prom", "camel")[int(random.integers(4))]
    units = {unit: options[int(random.integers(2))] for unit, options in _UNITS.items()}
    plain = Dialect(
        key,
        tenant,
        style,
        {},
        units,
        tenant.zones[int(random.integers(len(tenant.zones)))],
        _SEVERITY[int(random.integers(4))],
        ("at", "mail", "slack")[int(random.integers(3))],
    )
    prefix = {"prom": "ml", "dotted": "obs"}.get(style, "")
    words = {}
    for metric in METRICS:
        word = _WORDS[metric.name][int(random.integers(len(_WORDS[metric.name])))]
        if metric.name in ("quality", "served_quality"):
            word = "_".join(part for part in (word, tenant.quality[0]) if part)
        if metric.name == "business":
            word = "_".join(part for part in (word, tenant.business) if part)
        if style == "prom" and metric.unit in ("seconds", "ratio", "bytes"):
            shown = units[metric.unit][0]
            word += {
                "s": "_seconds",
                "ms": "_ms",
                "ratio": "_ratio",
                "%": "_percent",
                "bytes": "_bytes",
                "MiB": "_mib",
            }[shown]
        words[metric.name] = plain.spell(prefix, word)
    return Dialect(key, tenant, style, words, units, plain.zone, plain.severities, plain.owner_style)
