"""Since when: the start of the window that speaks most clearly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.trial import evidence

if TYPE_CHECKING:
    from detectors.watch import Watch

BLOCK = 25


def onset(watch: Watch, c: int, level: int) -> tuple[int, float]:
    """(row, event time) at which the change most likely began: the start of the window with the most evidence."""
    compiled, state = watch.compiled, watch.state
    ring = len(state.ring_rows)
    blocks = int(min(state.blocks[0], ring))
    first, last = compiled.off[c], compiled.off[c + 1]
    order = (int(state.blocks[0]) - 1 - np.arange(blocks)) % ring
    counts = np.cumsum(state.ring[order, first:last].astype(float), axis=0)
    share = np.tile(compiled.ref.p[first:last], (blocks, 1))
    rows = np.cumsum(state.ring_rows[order])
    deff = np.interp(np.log2(np.arange(1, blocks + 1)), np.arange(len(compiled.deff)), compiled.deff[:, c])
    scaled = counts / deff[:, None]
    found = evidence(scaled, share, 1.0, float(compiled.ref.m[c]))
    back = int(found.argmax())
    if level >= 9 and back == blocks - 1:
        runs = min((1 << level) // 16, int(state.blocks[0]) // 16)
        slot = (int(state.blocks[0]) // 16 - runs) % len(state.long_rows)
        return max(watch.row - int(state.sum_rows[level]), 0), float(state.long_time[slot])
    if watch.boundary and watch.row - rows[back] <= 2 * BLOCK:
        return 0, watch.first_at
    return max(watch.row - int(rows[back]), 0), float(state.ring_time[0, order[back]])
