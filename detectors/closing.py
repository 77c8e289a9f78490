"""The numbers of a closed window, every column in one pass; compiled. Imported lazily (numba)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from detectors.wording import COUNTS, DISTINCT, NULLS, NUMBER, ROWS

COMMA, BRACKET, DOT, ZERO = np.frombuffer(b",].0", np.uint8)
DIGITS = 24
"""Room for a whole number and what stands behind it."""
NULL = np.frombuffer(b"null", np.uint8)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@njit(cache=True)
def shown_psi(window, join, off, share, log_share, known, inverse, effects, rows):
    """(counts f8[S] in the shown bins, `core.statistics.corrected_psi` f8[C], design effects f8[C]) of counts i4[T].

    `join` i4[T] is the shown bin of each flat one, `off` i8[C+1] are the columns' first shown bins; `share` and
    `log_share` f8[S] are the reference's, `known` whether it ever saw the bin; `inverse` f8[C] is one over its rows;
    `effects` f8[L, C] are the design effects of 25 * 2**k rows.
    """
    flat = np.zeros(share.shape[0])
    for t in range(window.shape[0]):
        flat[join[t]] += window[t]
    most = effects.shape[0] - 1
    level = min(max(math.log2(max(rows, 1) / 25), 0.0), float(most))
    low = int(level)
    psi, told = np.zeros(off.shape[0] - 1), np.zeros(off.shape[0] - 1)
    for c in range(psi.shape[0]):
        effect = effects[low, c] + (level - low) * (effects[min(low + 1, most), c] - effects[low, c])
        told[c] = np.rint(effect * 1000.0) / 1000.0
        first, last = off[c], off[c + 1]
        total = 0.0
        for b in range(first, last):
            total += flat[b]
        if total <= 0.0 or inverse[c] <= 0.0:
            continue
        found, held = 0.0, 0
        smoothed = total + 0.5 * (last - first)
        for b in range(first, last):
            q = (flat[b] + 0.5) / smoothed
            found += (q - share[b]) * (math.log(q) - log_share[b])
            if known[b] or flat[b] > 0.0:
                held += 1
        bias = max(held - 1, 0) * (inverse[c] + max(effect, 1.0) / total)
        psi[c] = max(found - bias, 0.0)
    return flat, psi, told


@njit(cache=True)
def summaries(moments, sample):
    """f8[V, 9]: mean, spread, least, five quantiles and greatest of every number column, NaN for what is not finite.

    `moments` f8[5, V] are `arrays.State.moments`; `sample` f4[V, n] some rows of each column, sorted (NaN last).
    """
    found = np.full((moments.shape[1], 9), np.nan)
    for v in range(found.shape[0]):
        n = moments[0, v]
        if n <= 0.0:
            continue
        mean = moments[1, v] / n
        found[v, 0], found[v, 1] = mean, math.sqrt(max(moments[2, v] / n - mean * mean, 0.0))
        found[v, 2], found[v, 8] = moments[3, v], moments[4, v]
        first, last = 0, sample.shape[1]
        while first < last and sample[v, first] == -np.inf:
            first += 1
        while last > first and not math.isfinite(sample[v, last - 1]):
            last -= 1
        for q in range(len(QUANTILES)):
            if last > first:
                found[v, 3 + q] = sample[v, first + min(int(QUANTILES[q] * (last - first)), last - first - 1)]
        for k in range(9):
            if not math.isfinite(found[v, k]):
                found[v, k] = np.nan
    return found


@njit(cache=True)
def in_order(summaries, psi, column, row):
    """The numbers that may have a fraction as `wording` tells them: nine of a number column, then the PSI of each."""
    found, at = np.empty(9 * column.shape[0] + column.shape[0]), 0
    for k in range(column.shape[0]):
        if row[k] >= 0:
            found[at : at + 9] = summaries[row[k]]
            at += 9
        found[at] = psi[column[k]]
        at += 1
    return found[:at]


@njit(cache=True)
def written(text, ends, gaps, rows, counts, bins, levels, level_ends, first_level, numbers):
    """u1: the parts of a `wording.Wording` with a window's numbers between them.

    `counts` f8[S] are whole numbers; `numbers` u1 are the others, a JSON array of them in their order.
    """
    out = np.empty(
        text.shape[0] + 24 * (gaps.shape[0] + counts.shape[0]) + levels.shape[0] + numbers.shape[0], np.uint8
    )
    size, at = 0, 1
    for part in range(gaps.shape[0]):
        size = _put(out, size, text, ends[part], ends[part + 1])
        gap, k = gaps[part]
        first, last = bins[k]
        if gap == NUMBER:
            begun = at
            while numbers[at] != COMMA and numbers[at] != BRACKET:
                at += 1
            size = _put(out, size, numbers, begun, at)
            at += 1
        elif gap == COUNTS:
            for b in range(first, last):
                size = _put_whole(out, size, int(counts[b]))
                out[size], out[size + 1], out[size + 2] = DOT, ZERO, COMMA
                size += 3
            size -= 1
        elif gap == NULLS:
            size = _put_whole(out, size, int(counts[last - 2]))
        elif gap == ROWS:
            size = _put_whole(out, size, rows)
        elif gap == DISTINCT:
            size = _put_whole(out, size, np.count_nonzero(counts[first : last - 2]))
        elif first_level[k] < first_level[k + 1] and counts[first : last - 2].max() > 0.0:
            level = first_level[k] + np.argmax(counts[first : last - 2])
            size = _put(out, size, levels, level_ends[level], level_ends[level + 1])
        else:
            size = _put(out, size, NULL, 0, len(NULL))
    size = _put(out, size, text, ends[-2], ends[-1])
    return out[:size]


@njit(cache=True)
def _put(out, size, text, first, last):
    """Copy `text[first:last]` behind the `size` bytes of `out`; how many there are then."""
    for i in range(first, last):
        out[size + i - first] = text[i]
    return size + last - first


@njit(cache=True)
def _put_whole(out, size, number):
    """The same with the digits of a whole number >= 0."""
    last = size + 1
    rest = number // 10
    while rest:
        last, rest = last + 1, rest // 10
    for i in range(last - 1, size - 1, -1):
        out[i] = ZERO + number % 10
        number //= 10
    return last
