"""How likely it is that nothing is broken: a season, another mix of traffic, a planned change.

What comes back or is planned moves many things a little, volumes among them, breaks nothing and hurts no label; a fault
leaves a telling sign somewhere upstream. How much each counts is fitted (`weights`) on simulated incidents of which one
in five is benign, as in a channel that pages on everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.signs import Sign

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

AT = 0.5
"""From this probability on, "nothing is broken" is said first."""


def traits(
    signs: Mapping[str, Mapping[str, Sign]], upstream: Iterable[str], target: str, alert: str
) -> dict[str, float]:
    """What speaks for and against a healthy world, by name. `upstream`: the candidates' nodes; `alert`: its role."""
    told = max((s.nats for n in {*upstream, target} for r, s in signs.get(n, {}).items() if r in TELLING), default=-1.0)
    moved = sum(s.nats > 0.5 for shown in signs.values() for r, s in shown.items() if r in VOLUMES)
    levels = sum(any(s.nats > 1 for r, s in shown.items() if r in LEVELS) for shown in signs.values())
    return {
        "always": 1.0,
        "telling": max(told, -1.0),
        "volumes": min(moved, 10) / 5,
        "levels": min(levels, 20) / 10,
        "hurt": float(alert in HURT),
        "decisions": float(alert == "action_rate"),
        "scores": float(alert in ("score_mean", "score_high", "psi")),
        "traffic": float(alert in ("traffic", "rows")),
    }
