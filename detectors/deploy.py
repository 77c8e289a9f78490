"""A change of version is a moment of its own: its first rows are held against the last ones of the version before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from detectors.compiled import FEATURES
from detectors.explain import detail, detection
from detectors.fault import MOST, Told, at_fault

if TYPE_CHECKING:
    from detectors.watch import Watch

DEPLOY_CHANCE = 1e-3
"""Chance of a false alarm by the step test at one deployment, over all columns (Bonferroni)."""


def boundary(watch: Watch) -> list[Told]:
    """The step test at a change of version: first two blocks against the last one of the version before."""
    ref, state = watch.compiled.ref, watch.state
    tested = [c for c in range(len(watch.compiled.columns)) if ref.uses[1, c] and ref.step[2, c] > 0
              and watch.compiled.columns[c].family in FEATURES]  # fmt: skip
    told = []
    newest = (state.blocks[0] - 1) % len(state.ring_rows)
    if state.ring_time[1, newest] - watch.first_at > ref.gap[2]:
        return []
    for c in tested:
        a, b, d = state.means[:, c]
        usual = ref.step[0, c] + ref.step[1, c] * a
        error = (b + d) / 2 - usual
        if (
            not math.isfinite(error)
            or min(abs(b - usual), abs(d - usual)) < 0.5 * abs(error)
            or (b - usual) * (d - usual) <= 0
        ):
            continue
        z = abs(error) / ref.step[2, c]
        chance = tail(z, float(ref.step[4, c]))
        if abs(error) <= ref.step[5, c] or chance * len(tested) > DEPLOY_CHANCE:
            continue
        told.append(_stepped(watch, c, z, error, chance))
    return at_fault(watch, sorted(told, key=lambda t: -t.log_e))[:MOST]


def tail(z: float, freedom: float) -> float:
    """Two-sided tail of Student's t, an upper bound good to a few percent for large z."""
    h = (freedom + 1) / 2
    front = math.exp(math.lgamma(h) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    return min(2 * front * freedom**h / freedom * z**-freedom, 1.0) if z > 0 else 1.0


def _stepped(watch: Watch, c: int, z: float, error: float, chance: float) -> Told:
    column = watch.compiled.columns[c]
    first, last = watch.compiled.off[c], watch.compiled.off[c + 1]
    counts = watch.state.sums[1, first:last].astype(float)
    effect = watch.compiled.effect(c, counts, float(watch.compiled.deff[1, c]))
    name = column.signal.partition(":")[2]
    words = detail(watch, c, counts) or f"{name} moved by {error:+.3g} from one block to the next"
    made = detection(
        watch,
        c,
        f"feature:{name}",
        "data_drift",
        "step",
        z,
        float(watch.compiled.ref.step[5, c] / watch.compiled.ref.step[2, c]),
        max(effect, watch.options.min_effect),
        counts,
        0,
        watch.first_at,
        detail=words,
    )
    return Told(detection=made, column=c, level=1, log_e=-math.log(max(chance, 1e-300)))
