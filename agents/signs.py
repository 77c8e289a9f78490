"""What each node shows, by role: its clearest sign there, when it began to move, and the change that fits that time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agents.cases import Case
from agents.faults import Fault
from agents.readings import Reading

HOUR = 3600.0
CHANGE_DECAY, NEAR, LOGGED_LATE = 3 * HOUR, 12 * HOUR, 1.5 * HOUR


class Sign(NamedTuple):
    """What a node shows in one role: nats, direction, size, and the reading that shows it most."""

    nats: float
    sign: int
    s: float
    reading: Reading


def collect(readings: Sequence[Reading]) -> dict[str, dict[str, Sign]]:
    """node -> role -> its evidence, over all features: the best one, less the price of having chosen it."""
    grouped: dict[tuple[str, str], list[Reading]] = {}
    for r in readings:
        grouped.setdefault((r.series.node, r.series.role.name), []).append(r)
    found: dict[str, dict[str, Sign]] = {}
    for (node, role), several in grouped.items():
        best = max(several, key=lambda r: r.nats)
        nats = best.nats - (0.5 * math.log(len(several)) if best.nats > 0 else 0.0)
        found.setdefault(node, {})[role] = Sign(nats, best.sign, best.s, best)
    return found


def evidence(shown: Mapping[str, Sign], roles: Sequence[str]) -> list[float]:
    """Nats of the roles that can be seen; a role that went the other way is calm."""
    found = []
    for wanted in roles:
        name, way = (wanted[:-1], wanted[-1]) if wanted[-1] in "+-" else (wanted, "")
        sign = shown.get(name)
        if sign is not None:
            against = (way == "+" and sign.sign < 0) or (way == "-" and sign.sign > 0)
            found.append(min(sign.nats, -1.0) if against else sign.nats)
    return found


def pooled(nats: Sequence[float]) -> float:
    """One log Bayes factor of several signs, of which not all need to show."""
    top = max(nats)
    return top + math.log(sum(math.exp(n - top) for n in nats)) - 0.5 * math.log(len(nats))


def held(shown: Mapping[str, Sign], calm: Sequence[str]) -> float:
    """Evidence of signs that should be calm."""
    return min(sum(max(n, 0.0) for n in evidence(shown, calm)), 6.0)


def onset(shown: Mapping[str, Sign], fault: Fault | None) -> float | None:
    """When the node began to move in the roles that tell of the fault (in any, without one): its clearest sign's."""
    roles = {r.rstrip("+-") for r in fault.own} if fault is not None and fault.own else set(shown)
    moved = [s for name, s in shown.items() if name in roles and s.nats > 0 and s.reading.onset is not None]
    return max(moved, key=lambda s: s.nats).reading.onset if moved else None


def changed(case: Case, node: str, began: float) -> tuple[dict[str, object], float] | None:
    """The change on `node` that fits an onset at `began` best, and how well (0..1); None when none does.

    A change may be logged up to an hour and a half after it took effect.
    """
    best: tuple[dict[str, object], float] | None = None
    for change in case.changes:
        age = began - change["at"]
        if change["target"] != node or not -LOGGED_LATE <= age <= NEAR:
            continue
        fit = math.exp(-age / CHANGE_DECAY) if age >= 0 else 0.6
        if best is None or fit > best[1]:
            best = (change, fit)
    return best
