"""How likely it is that nothing is broken: a season, another mix of traffic, a planned change.

What comes back or is planned moves many things a little, volumes among them, breaks nothing and hurts no label; a fault
leaves a telling sign somewhere upstream. Logistic regression over these signs, fitted on simulated
incidents and shifted so that one alert in five is benign, as in a channel that pages on everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.cases import Case
    from agents.diagnose import Sign

TELLING = frozenset(
    {
        "nulls",
        "top_share",
        "unseen",
        "duplicates",
        "schema",
        "staleness",
        "status",
        "store_miss",
        "late_rows",
        "label_count",
        "skew",
        "pool_gap",
        "version_mix",
        "latency",
        "errors",
        "fallback",
        "lag",
        "reference_age",
        "checks",
    }
)
"""Roles that a healthy world does not move."""
VOLUMES = frozenset({"rows", "traffic", "rows_in", "rows_out"})
LEVELS = frozenset({"mean", "psi", "median"})
HURT = frozenset({"quality", "calibration", "errors", "latency", "fallback", "staleness", "nulls", "business"})

WEIGHTS = {
    "bias": -1.6,
    "telling": -0.5,
    "volumes": 0.7,
    "levels": 2.4,
    "hurt": -1.8,
    "decisions": 2.2,
    "scores": 0.5,
    "explained": -1.2,
}
AT = 0.5
"""From this probability on, "nothing is broken" is said first."""


def probability(case: Case, signs: Mapping[str, Mapping[str, Sign]], upstream: Iterable[str], best: float) -> float:
    """Chance that nothing is broken. `upstream`: the candidates' nodes; `best`: posterior of the likeliest cause."""
    target = case.alert["node"]
    role = next((s.role.name for s in case.series if s.node == target and s.metric == case.alert.get("metric")), "")
    told = max((s.nats for n in {*upstream, target} for r, s in signs.get(n, {}).items() if r in TELLING), default=-1.0)
    moved = sum(s.nats > 0.5 for shown in signs.values() for r, s in shown.items() if r in VOLUMES)
    levels = sum(any(s.nats > 1 for r, s in shown.items() if r in LEVELS) for shown in signs.values())
    values = {
        "bias": 1.0,
        "telling": max(told, -1.0),
        "volumes": min(moved, 10) / 5,
        "levels": min(levels, 20) / 10,
        "hurt": float(role in HURT),
        "decisions": float(role == "action_rate"),
        "scores": float(role in ("score_mean", "score_high", "psi")),
        "explained": best,
    }
    return 1 / (1 + math.exp(-sum(WEIGHTS[name] * value for name, value in values.items())))
