"""The flat arrays the kernel works on: `Ref` never changes, `State` is all that changes, so a snapshot copies `State`.

Column `c` owns the bins `off[c]:off[c+1]`; its last two are null and unseen.
"""

from __future__ import annotations

import math
from itertools import accumulate
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import NamedTuple

import numpy as np

RING = 256
LEVELS = 11
FINE = 9
"""Windows of up to 256 blocks slide block by block; the two longest, of 512 and 1,024, by 16 blocks."""
COARSE = 16
LONG = 64
CELLS = 48
SPECIALS = 4
GROUPS = 4
"""data_drift, quality, prediction_drift, latency"""
SAMPLE = 256
QUIET = -9.0
"""Log evidence of a window that did not pass the screen: it adds nothing to the sum."""


LOGS = np.log(np.maximum(np.arange(255 * (1 << (LEVELS - 1)) + 1), 1))


class Ref(NamedTuple):
    """What the reference says. T bins, C columns, V of them numbers, K seasonal bins."""

    off: np.ndarray  # i8[C+1]
    group: np.ndarray  # i8[C]
    weight: np.ndarray  # f8[C] sums to one within each group
    special_weight: np.ndarray  # f8[C] sums to 1/2 over features
    ranged: np.ndarray  # u1[C] whether first and last proper bin lie outside the reference's range
    value_row: np.ndarray  # i8[C] row of the column in X, or -1
    p: np.ndarray  # f8[T] shares of the reference
    log_p: np.ndarray  # f8[T]
    logs: np.ndarray  # f8 logarithms of all counts a window can hold
    season: np.ndarray  # i8[C] offset of the column's bins in `cell`, or -1
    cell: np.ndarray  # f4[CELLS, K] shares per hour of day and day type; f4[1, 1] where nothing has a season
    deff: np.ndarray  # f8[LEVELS, C] design effect of a window of 2**k blocks
    deff_special: np.ndarray  # f4[SPECIALS, LEVELS, C] the same of null, unseen, out-of-range and far-off counts
    p_special: np.ndarray  # f8[SPECIALS, C]
    m_special: np.ndarray  # f8[SPECIALS, C] effective rows of the reference for them
    m: np.ndarray  # f8[C] effective rows of the reference
    rate: np.ndarray  # f8[1] rows per second of the reference while busy; 0 unknown
    clip: np.ndarray  # f8[2, V] values are held within these for block means
    step: (
        np.ndarray
    )  # f8[8, C] intercept, slope, scale, scale after a gap, degrees of freedom, bound, bound after a gap, spread
    gap: np.ndarray  # f8[3] seconds: from here it is a gap, beyond this unknown, longest usual three blocks
    uses: np.ndarray  # u1[2, C] whether e_detector, step watch the column
    clock: np.ndarray  # i8[<=4] columns that tell the hour best


class State(NamedTuple):
    ring: np.ndarray  # u1[RING, T] counts of the last blocks
    ring_cell: np.ndarray  # u1[RING, H] H hours: CELLS, or one where nothing has a season
    ring_rows: np.ndarray  # i2[RING]
    long: np.ndarray  # u1[LONG, T] counts of the last runs of 16 blocks, which are 400 at most: their lower eight bits
    long_more: np.ndarray  # u1[LONG / 8, T] their ninth bits, eight runs to a byte
    long_cell: np.ndarray  # u2[LONG, H]
    long_rows: np.ndarray  # i8[LONG]
    long_time: np.ndarray  # f8[LONG] first event time
    ring_time: np.ndarray  # f8[2, RING] first and last event time
    sums: np.ndarray  # i2[LEVELS, T] counts of the last 2**k blocks: 25,600 rows at most
    sum_cell: np.ndarray  # i2[LEVELS, H]
    sum_rows: np.ndarray  # i8[LEVELS]
    evidence: np.ndarray  # f8[LEVELS, C] log evidence, as last computed
    special: np.ndarray  # f8[SPECIALS, LEVELS, C]
    jump: np.ndarray  # f8[C] log evidence of a step in the last two blocks
    means: np.ndarray  # f8[3, C] of the last three blocks
    total: np.ndarray  # f8[GROUPS]
    blocks: np.ndarray  # i8[4] blocks since reset; blocks since the means were cut; blocks ever; hours the clock is off
    window: np.ndarray  # i4[T] counts since the window opened
    moments: np.ndarray  # f8[5, V] finite values of the window: n, sum, sum of squares, least, greatest
    sample: np.ndarray  # f4[V, SAMPLE]
    runs: np.ndarray  # f8[2, V] last value of each number column, and for how many rows it has stood
    sampled: np.ndarray  # i8[2] rows since the window opened, stride


def new_state(bins: int, columns: int, values: int, hours: int = CELLS) -> State:
    """An empty state for T bins, C columns, V number columns, H hours.

    One mapping of memory holds all of it (`whole`): a page of it takes room once something is counted there.
    """
    shapes = (
        (np.uint8, (RING, bins)), (np.uint8, (RING, hours)), (np.int16, (RING,)), (np.uint8, (LONG, bins)),
        (np.uint8, (LONG // 8, bins)),
        (np.uint16, (LONG, hours)), (np.int64, (LONG,)), (np.float64, (LONG,)), (np.float64, (2, RING)),
        (np.int16, (LEVELS, bins)), (np.int16, (LEVELS, hours)), (np.int64, (LEVELS,)), (np.float64, (LEVELS, columns)),
        (np.float64, (SPECIALS, LEVELS, columns)), (np.float64, (columns,)), (np.float64, (3, columns)),
        (np.float64, (GROUPS,)), (np.int64, (4,)), (np.int32, (bins,)), (np.float64, (5, values)),
        (np.float32, (values, SAMPLE)), (np.float64, (2, values)), (np.int64, (2,)),
    )  # fmt: skip
    sizes = [math.prod(shape) * np.dtype(kind).itemsize for kind, shape in shapes]
    starts = [0, *accumulate(-(-size // 8) * 8 for size in sizes)]
    block = np.frombuffer(mmap(-1, starts[-1], flags=MAP_PRIVATE | MAP_ANONYMOUS), np.uint8)
    state = State(*(
        block[start : start + size].view(kind).reshape(shape)
        for start, size, (kind, shape) in zip(starts, sizes, shapes, strict=False)
    ))  # fmt: skip
    state.evidence[:] = state.special[:] = state.jump[:] = QUIET
    state.means[:] = np.nan
    open_window(state)
    return state


def whole(state: State) -> np.ndarray:
    """All of a state as the bytes u1[n] it is made of."""
    return state.ring.base


def open_window(state: State) -> None:
    """Start a new window: counts, moments and sample."""
    state.window[:] = 0
    state.moments[:] = 0
    state.moments[3], state.moments[4] = np.inf, -np.inf
    state.sampled[0], state.sampled[1] = 0, 1


def reset(state: State, keep_means: bool = True) -> None:
    """Forget every count of the sliding windows; the open window stays."""
    for array in (
        state.ring,
        state.ring_cell,
        state.ring_rows,
        state.long,
        state.long_more,
        state.long_cell,
        state.long_rows,
        state.sums,
        state.sum_cell,
        state.sum_rows,
    ):
        array[:] = 0
    for array in (state.evidence, state.special, state.jump):
        array[:] = QUIET
    state.total[:] = 0
    state.blocks[0] = 0
    if not keep_means:
        state.blocks[1] = 0
        state.means[:] = np.nan
