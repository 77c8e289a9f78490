"""Beyond the baseline: most rows of a long window lie outside everything it ever held.

A series that wanders slowly (weather, prices) gives a baseline of a few weeks that is worth a handful of independent
rows; no test can call spring improbable from two months of winter. But a model that mostly answers for inputs it never
saw is worth a word whatever the cause, so this asks for no probability: half of 6,400 rows that are worth five
independent ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.base import Finding

if TYPE_CHECKING:
    from detectors.readers import Found
    from detectors.watch import Watch

LEVEL = 8
SHARE = 0.5
WORTH = 5.0


def beyond(watch: Watch) -> list[Found]:
    """(column, "range", finding) of every number feature of which it is so, most of it first."""
    state, compiled = watch.state, watch.compiled
    rows = int(state.sum_rows[LEVEL])
    if state.blocks[0] < 1 << LEVEL or not rows:
        return []
    ref = compiled.ref
    outside = state.sums[LEVEL][compiled.outside].sum(axis=0)
    if not (compiled.ranged & (outside >= SHARE * rows)).any():
        return []
    watched = compiled.ranged & (ref.deff[LEVEL] * WORTH <= rows)
    share = np.where(watched, outside, 0) / rows
    if not (share >= SHARE).any():
        return []
    return [
        (int(c), "range", Finding(statistic=float(share[c]), threshold=SHARE, effect=float(share[c]),
                                  onset=max(watch.row - rows, 0)))
        for c in np.argsort(-share, kind="stable") if share[c] >= SHARE
    ]  # fmt: skip
