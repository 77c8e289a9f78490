"""What each node shows, by role: how far it moved up or down, since when, and the reading that shows it most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agents.metrics import words_of
from agents.readings import Reading

FREE, CLEAR, PLAIN = 2.0, 5.0, 10.0
"""Up to so many scales nothing has moved; from so many it clearly has; from so many on more says nothing more."""
CHOSEN = 0.35
"""Scales that a role of k features must stray further, times ln k, for the best of them was chosen."""
WORSE_IS_DOWN = frozenset({"quality", "business"})
"""Roles whose numbers are better high for one metric and low for another: down is worse, whatever the metric."""
SLICE = "slice "
"""Before a role: as seen in the slice that alerted."""
TRAFFIC = frozenset({"rows", "traffic"})
"""Roles that say how much there is, of all or of a slice."""
COUNTS = frozenset({"cnt", "count", "counts", "sum", "num", "total", "clicks", "tries"})
"""Words in the names of features that more rows raise, as means do not."""


class Sign(NamedTuple):
    """`up`, `down`: how clearly it moved so, 0 (not at all) to 2; `many_up`, `many_down`: the same as a mean over the
    node's features, 0 where it has one; onset of the clearest reading."""

    up: float
    down: float
    many_up: float
    many_down: float
    onset: float | None
    reading: Reading

    @property
    def moved(self) -> float:
        """How clearly it moved, either way."""
        return max(self.up, self.down)

    @property
    def calm(self) -> float:
        """1 when it did not move, 0 when it clearly did."""
        return 1.0 - min(self.moved, 1.0)


Signs = Mapping[str, Mapping[str, Sign]]
Slices = Mapping[str, Mapping[str, tuple[float, float]]]


def moved(z: float) -> float:
    """How clearly a value of z scales has moved.

    >>> moved(1.5), moved(-5.0), moved(12.0)
    (0.0, 1.0, 2.0)
    """
    size = abs(z)
    return min(max((size - FREE) / (CLEAR - FREE), 0.0), 1.0) + min(max((size - CLEAR) / (PLAIN - CLEAR), 0.0), 1.0)


def collect(readings: Sequence[Reading], told: str = "") -> dict[str, dict[str, Sign]]:
    """node -> role -> what it shows over all traffic, or in the slice that alerted (`told`) where that shows more; how
    much traffic the slice has is a role of its own (`slice ROLE`)."""
    grouped: dict[tuple[str, str], dict[str, Reading]] = {}
    for r in readings:
        if not r.series.segment or r.series.segment == told:
            for role in _roles(r):
                of = f"{SLICE}{role}" if r.series.segment and role in TRAFFIC else role
                same = grouped.setdefault((r.series.node, of), {})
                key = f"{r.series.metric} {r.series.feature}"
                if key not in same or abs(r.z) > abs(same[key].z):
                    same[key] = r
    found: dict[str, dict[str, Sign]] = {}
    for (node, role), several in grouped.items():
        found.setdefault(node, {})[role] = _sign(list(several.values()))
    return found


def _roles(r: Reading) -> tuple[str, ...]:
    """A mean of something counted is also that: rows that come twice raise counts and leave other means alone."""
    role = r.series.role.name
    if role == "mean" and r.series.feature and COUNTS & set(words_of(r.series.feature)):
        return role, "counted"
    return (role,)


def _sign(several: Sequence[Reading]) -> Sign:
    price, up, down = CHOSEN * math.log(len(several)), [], []
    for r in several:
        z = -r.z if r.series.role.name in WORSE_IS_DOWN and r.series.role.direction > 0 else r.z
        strays = math.copysign(max(abs(z) - price, 0.0), z)
        (up if strays > 0 else down).append(moved(strays))
    best = max(several, key=lambda r: abs(r.z))
    share = 0.0 if len(several) == 1 else 1 / len(several)
    return Sign(max(up, default=0.0), max(down, default=0.0), share * sum(up), share * sum(down), best.onset, best)


def slices(readings: Sequence[Reading]) -> dict[str, dict[str, tuple[float, float]]]:
    """node -> role -> how clearly the most and the least moved of its slices did (0..1 each)."""
    by_slice: dict[tuple[str, str], dict[str, float]] = {}
    for r in readings:
        if r.series.segment:
            seen = by_slice.setdefault((r.series.node, r.series.role.name), {})
            seen[r.series.segment] = max(seen.get(r.series.segment, 0.0), min(moved(r.z), 1.0))
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for (node, role), seen in by_slice.items():
        found.setdefault(node, {})[role] = (max(seen.values()), min(seen.values()) if len(seen) > 1 else 0.0)
    return found
