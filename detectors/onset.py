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
    rows = np.cumsum(state.ring_rows[order])
    share, worth = _expected(watch, c, order), float(compiled.ref.m[c])
    deff = np.interp(np.log2(np.arange(1, blocks + 1)), np.arange(len(compiled.deff)), compiled.deff[:, c])
    scaled = counts / deff[:, None]
    found = evidence(scaled, share, 1.0, worth / 4.0 if compiled.ref.season[c] >= 0 else worth)
    back = int(found.argmax())
    if level >= 9 and back == blocks - 1:
        runs = min((1 << level) // 16, int(state.blocks[0]) // 16)
        slot = (int(state.blocks[0]) // 16 - runs) % len(state.long_rows)
        return max(watch.row - int(state.sum_rows[level]), 0), float(state.long_time[slot])
    if watch.boundary and watch.row - rows[back] <= 2 * BLOCK:
        return 0, watch.first_at
    return max(watch.row - int(rows[back]), 0), float(state.ring_time[0, order[back]])


def _expected(watch: Watch, c: int, order: np.ndarray) -> np.ndarray:
    """Shares the reference expects of the windows of 1, 2, ... blocks back, each in its own hours, [windows, bins]."""
    ref, state = watch.compiled.ref, watch.state
    usual, at = ref.p[ref.off[c] : ref.off[c + 1]], int(ref.season[c])
    if at < 0:
        return np.tile(usual, (len(order), 1))
    hours = np.cumsum(state.ring_cell[order].astype(float), axis=0)
    mixed = hours @ ref.cell[:, at : at + len(usual)]
    return np.maximum(mixed / hours.sum(axis=1, keepdims=True), 1e-3 * usual)
