"""The compiled core: binning, counting, and the evidence of the binned e-detector over every column at block ends.

Imported lazily (numba). The arrays are those of `arrays.Ref` and `arrays.State`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from detectors.arrays import CELLS, COARSE, FINE, GROUPS, LEVELS, LONG, QUIET, RING, SAMPLE, SPECIALS
from detectors.borrowed import borrowed
from detectors.evidence import log_evidence, log_evidence_rate, step_evidence

LEAST = 5.0
"""Windows whose best alternative gains fewer nats than this, beyond what chance gives its bins, are not weighed."""


@njit(cache=True, nogil=True)
def scale_of(deff, k, c, rows, usual, block_rows):
    """Effective rows per row of a window at level k, in whose time `usual` rows are usual: faster ones count less."""
    blocks = max(usual / block_rows, 1.0)
    level = min(int(math.log2(blocks)), k)
    return min(1.0 / deff[k, c], usual / (rows * deff[level, c]))


@njit(cache=True, nogil=True)
def season_share(ref, state, k, c, share):
    """Expected shares of the window at level k given its own hours."""
    first, bins, at = ref.off[c], ref.off[c + 1] - ref.off[c], ref.season[c]
    rows = state.sum_rows[k]
    for b in range(bins):
        share[b] = 0.0
    for cell in range(CELLS):
        n = state.sum_cell[k, cell]
        if n:
            for b in range(bins):
                share[b] += n * ref.cell[cell, at + b]
    for b in range(bins):
        share[b] = max(share[b] / rows, 1e-3 * ref.p[first + b])


@njit(cache=True, nogil=True)
def column_evidence(ref, state, k, c, scale, share):
    """Log evidence of one column's window at level k that passed the screen, or that has a season."""
    first, bins = ref.off[c], ref.off[c + 1] - ref.off[c]
    rows = state.sum_rows[k]
    if ref.season[c] < 0:
        for b in range(bins):
            share[b] = ref.p[first + b]
        return log_evidence(state.sums[k], share, first, bins, rows, scale, ref.m[c])
    season_share(ref, state, k, c, share)
    return log_evidence(state.sums[k], share, first, bins, rows, scale, ref.m[c] / 4.0)


@njit(cache=True, nogil=True)
def special_evidence(ref, kind, k, c, hits, rows, scale):
    """Log evidence that nulls, unseen values, or values out of range or far off it became more frequent."""
    by = min(1.0 / ref.deff_special[kind, k, c], scale * ref.deff[k, c])
    return log_evidence_rate(float(hits), float(rows), ref.p_special[kind, c], by, ref.m_special[kind, c])


@njit(cache=True, nogil=True)
def test_level(ref, state, k, span, share, block_rows):
    """Evidence of every column at level k. Most windows are told from their counts not to be worth weighing."""
    sums, rows, off, season = state.sums[k], state.sum_rows[k], ref.off, ref.season
    log_p, logs, uses, ranged, deff = ref.log_p, ref.logs, ref.uses, ref.ranged, ref.deff
    evidence, special = state.evidence[k], state.special
    usual = ref.rate[0] * span
    faster = 0.0 < usual < rows
    log_rows = rows * logs[rows]
    for c in range(off.shape[0] - 1):
        first, last = off[c], off[c + 1]
        scale = 1.0 / deff[k, c]
        if faster and deff[k, c] > 2.0:
            scale = scale_of(deff, k, c, rows, usual, block_rows)
        if uses[0, c]:
            evidence[c] = QUIET
            if season[c] >= 0:
                evidence[c] = column_evidence(ref, state, k, c, scale, share)
            else:
                half, held = -log_rows, 0
                for t in range(first, last):  # an empty bin adds nothing: logs[0] is 0
                    count = np.uint32(sums[t])
                    held += count > 0
                    half += count * (logs[count] - log_p[t])
                if half * scale >= LEAST + 0.5 * held:
                    evidence[c] = column_evidence(ref, state, k, c, scale, share)
        far = sums[first] + sums[last - 3] if ranged[c] else 0
        outside = far + (sums[first + 1] + sums[last - 4] if ranged[c] else 0)
        for kind in range(SPECIALS):
            hits = sums[last - 2 + kind] if kind < 2 else outside if kind == 2 else far
            special[kind, k, c] = QUIET
            if hits > 0:
                special[kind, k, c] = special_evidence(ref, kind, k, c, hits, rows, scale)


@njit(cache=True, nogil=True)
def move_clock(ref, state, slot):
    """Count the block under the hour that explains it best, one either way: clocks are moved twice a year."""
    best, chosen = -1e300, 0
    for shift in (0, 1, -1):
        likely = 3.0 if shift == state.blocks[3] else 0.0
        for i in range(ref.clock.shape[0]):
            c = ref.clock[i]
            first, at = ref.off[c], ref.season[c]
            for b in range(ref.off[c + 1] - first):
                count = state.ring[slot, first + b]
                if count:
                    share = 0.0
                    for cell in range(CELLS):
                        n = state.ring_cell[slot, cell]
                        if n:
                            share += n * ref.cell[cell - cell % 24 + (cell % 24 + shift) % 24, at + b]
                    likely += count * math.log(max(share / state.ring_rows[slot], 1e-6)) / ref.deff[0, c]
        if likely > best:
            best, chosen = likely, shift
    state.blocks[3] = chosen
    if chosen:
        for day in (0, 24):
            hours = state.ring_cell[slot, day : day + 24].copy()
            for hour in range(24):
                state.ring_cell[slot, day + (hour + chosen) % 24] = hours[hour]


@njit(cache=True, nogil=True)
def count_block(ref, state, codes, cells, at, X, start, end):
    """Put the rows start..end into the ring, the sliding sums, the open window and the block means."""
    slot = state.blocks[0] % RING
    columns = ref.off.shape[0] - 1
    for k in range(FINE):
        length = 1 << k
        if state.blocks[0] >= length:
            old = (state.blocks[0] - length) % RING
            state.sum_rows[k] -= state.ring_rows[old]
            for t in range(state.ring.shape[1]):
                state.sums[k, t] -= state.ring[old, t]
            for h in range(state.sum_cell.shape[1]):
                state.sum_cell[k, h] -= state.ring_cell[old, h]
    state.ring[slot] = 0
    state.ring_cell[slot] = 0
    state.ring_rows[slot] = end - start
    hours = state.ring_cell.shape[1]
    low, high = at[start], at[start]
    for i in range(start, end):
        state.ring_cell[slot, cells[i] % hours] += 1
        low, high = min(low, at[i]), max(high, at[i])
    state.ring_time[0, slot], state.ring_time[1, slot] = low, high
    for c in range(columns):
        first = ref.off[c]
        for i in range(start, end):
            state.ring[slot, first + codes[c, i]] += 1
    if ref.clock.shape[0]:
        move_clock(ref, state, slot)
    for t in range(state.ring.shape[1]):
        state.window[t] += state.ring[slot, t]
    for k in range(FINE):
        state.sum_rows[k] += end - start
        for t in range(state.ring.shape[1]):
            state.sums[k, t] += state.ring[slot, t]
        for h in range(state.sum_cell.shape[1]):
            state.sum_cell[k, h] += state.ring_cell[slot, h]
    state.blocks[0] += 1
    state.blocks[1] += 1
    state.blocks[2] += 1
    if state.blocks[0] % COARSE == 0:
        count_long(state)
    count_values(ref, state, X, start, end)


@njit(cache=True, nogil=True)
def count_long(state):
    """Put the last 16 blocks (the sums at level 4) into the long ring and the sums of the two longest windows."""
    runs = state.blocks[0] // COARSE
    slot = (runs - 1) % LONG
    for k in range(FINE, LEVELS):
        length = (1 << k) // COARSE
        less = 1 if runs > length else 0
        old = (runs - 1 - length) % LONG
        state.sum_rows[k] += state.sum_rows[4] - less * state.long_rows[old]
        for t in range(state.long.shape[1]):
            more = state.long_more[old >> 3, t] >> (old & 7) & 1
            state.sums[k, t] += state.sums[4, t] - less * (state.long[old, t] + 256 * more)
        for h in range(state.sum_cell.shape[1]):
            state.sum_cell[k, h] += state.sum_cell[4, h] - less * state.long_cell[old, h]
    for t in range(state.long.shape[1]):
        count, bit = state.sums[4, t], slot & 7
        state.long[slot, t] = count & 255
        state.long_more[slot >> 3, t] = state.long_more[slot >> 3, t] & ~(1 << bit) | count >> 8 << bit
    state.long_cell[slot], state.long_rows[slot] = state.sum_cell[4], state.sum_rows[4]
    state.long_time[slot] = state.ring_time[0, (state.blocks[0] - COARSE) % RING]


@njit(cache=True, nogil=True)
def count_values(ref, state, X, start, end):
    """Moments and sample of the open window, and the clipped mean of the block."""
    for c in range(ref.off.shape[0] - 1):
        state.means[0, c], state.means[1, c] = state.means[1, c], state.means[2, c]
        v = ref.value_row[c]
        if v < 0:
            continue
        total, seen = 0.0, 0
        for i in range(start, end):
            x = X[v, i]
            if x == state.runs[0, v]:
                state.runs[1, v] += 1
            else:
                state.runs[0, v], state.runs[1, v] = x, 1
            if math.isfinite(x):
                state.moments[0, v] += 1
                state.moments[1, v] += x
                state.moments[2, v] += x * x
                state.moments[3, v] = min(state.moments[3, v], x)
                state.moments[4, v] = max(state.moments[4, v], x)
                total += min(max(x, ref.clip[0, v]), ref.clip[1, v])
                seen += 1
        state.means[2, c] = total / seen if 2 * seen >= end - start and seen > 0 else math.nan
    stride = state.sampled[1]
    for i in range(start, end):
        q = state.sampled[0]
        state.sampled[0] += 1
        if q % stride:
            continue
        slot = q // stride
        if slot >= SAMPLE:
            for j in range(SAMPLE // 2):
                for v in range(X.shape[0]):
                    state.sample[v, j] = state.sample[v, 2 * j]
            stride *= 2
            state.sampled[1] = stride
            if q % stride:
                continue
            slot = q // stride
        for v in range(X.shape[0]):
            state.sample[v, slot] = X[v, i]


@njit(cache=True, nogil=True)
def test_steps(ref, state):
    """Log evidence of a step between the block before last two and the mean of those two, per column."""
    newest = (state.blocks[0] - 1) % RING
    state.jump[:] = QUIET
    if state.blocks[1] < 3 or state.blocks[0] < 1:
        return
    wait, span = 0.0, 0.0
    for back in range(2):
        one = (newest - back) % RING
        before = (one - 1) % RING
        if state.blocks[0] > back + 1:
            wait = max(wait, state.ring_time[0, one] - state.ring_time[1, before])
            span = state.ring_time[1, newest] - state.ring_time[0, before]
        else:  # the block before belongs to the version before: judged as adjoining
            span = state.ring_time[1, newest] - state.ring_time[0, one]
    if wait > ref.gap[1] or span > ref.gap[2]:
        return
    late = 1 if wait > ref.gap[0] else 0
    for c in range(ref.off.shape[0] - 1):
        if ref.value_row[c] < 0 or not ref.uses[1, c]:
            continue
        a, b, d = state.means[0, c], state.means[1, c], state.means[2, c]
        scale = ref.step[2 + late, c]
        if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(d)) or scale <= 0.0:
            continue
        usual = ref.step[0, c] + ref.step[1, c] * a
        error = (b + d) / 2.0 - usual
        if (b - usual) * (d - usual) <= 0 or min(abs(b - usual), abs(d - usual)) < 0.5 * abs(error):
            continue
        if abs(error) > ref.step[5 + late, c]:
            state.jump[c] = step_evidence(error, scale, ref.step[4, c])


@njit(cache=True, nogil=True)
def sum_evidence(ref, state):
    """Total evidence per group of columns: over levels summed, over columns averaged by weight."""
    state.total[:] = 0.0
    levels = 0
    while levels < LEVELS and (1 << levels) <= state.blocks[0]:
        levels += 1
    for c in range(ref.off.shape[0] - 1):
        found = math.exp(min(state.jump[c], 600.0)) if state.jump[c] > QUIET else 0.0
        quality = 0.0
        for k in range(levels):
            if state.evidence[k, c] > QUIET:
                found += math.exp(min(state.evidence[k, c], 600.0))
            for kind in range(SPECIALS):
                if state.special[kind, k, c] > QUIET:
                    one = math.exp(min(state.special[kind, k, c], 600.0))
                    if kind < 2:
                        quality += one
                    else:
                        found += one
        state.total[ref.group[c]] += ref.weight[c] * found
        state.total[1] += ref.special_weight[c] * quality


@njit(cache=True, nogil=True)
def test_block(ref, state, share, block_rows):
    """Evaluate the windows that are due: short ones at every block, one of 2**k blocks every 2**(k-2)."""
    newest = (state.blocks[0] - 1) % RING
    for k in range(LEVELS):
        length = 1 << k
        if state.blocks[0] < length or state.blocks[0] % min(max(length >> 2, 1), 64):
            continue
        if k < FINE:
            begin = state.ring_time[0, (state.blocks[0] - length) % RING]
        else:
            begin = state.long_time[(state.blocks[0] // COARSE - length // COARSE) % LONG]
        span = state.ring_time[1, newest] - begin
        test_level(ref, state, k, span, share, block_rows)
    test_steps(ref, state)
    sum_evidence(ref, state)


@njit(cache=True, nogil=True)
def advance(ref, state, codes, cells, at, X, bounds, limit, block_rows):
    """Run whole blocks (`bounds` are their first rows and the end) until one raises a total to its limit.

    Returns the number of blocks done; when it is fewer than given, or the last total is at its limit, look at `total`.
    """
    ref, state = borrowed(ref), borrowed(state)
    widest = 0
    for c in range(ref.off.shape[0] - 1):
        widest = max(widest, ref.off[c + 1] - ref.off[c])
    share = np.empty(widest)
    for block in range(bounds.shape[0] - 1):
        count_block(ref, state, codes, cells, at, X, bounds[block], bounds[block + 1])
        test_block(ref, state, share, block_rows)
        for g in range(GROUPS):
            if state.total[g] >= limit[g]:
                return block + 1
    return bounds.shape[0] - 1
