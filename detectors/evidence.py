"""The evidence that one window's counts come from some other distribution than the reference's, compiled.

Imported lazily (numba). Source of the method: Shin, Ramdas & Rinaldo, "E-detectors".
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from detectors.arrays import QUIET

FEW_CUTS = 24
LEAST = 5.0
"""Windows whose best alternative gains fewer nats than this, beyond what chance gives its bins, are not weighed."""


@njit(cache=True)
def bin_numbers(values, cuts, cut_off, null, row, out):
    """`values` f8[V, n] -> bin numbers in `out[row[v]]` i2[n]; cuts of column v are `cuts[cut_off[v]:cut_off[v+1]]`."""
    below = np.empty(values.shape[1])
    for v in range(values.shape[0]):
        first, last = cut_off[v], cut_off[v + 1]
        if last - first <= FEW_CUTS:  # comparing a column with each cut in turn has no branches: many rows at a time
            below[:] = 0.0
            for c in range(first, last):
                cut = cuts[c]
                for i in range(values.shape[1]):
                    below[i] += 1.0 if cut < values[v, i] else 0.0
            for i in range(values.shape[1]):
                out[row[v], i] = null[v] if values[v, i] != values[v, i] else np.int16(below[i])
            continue
        for i in range(values.shape[1]):
            x = values[v, i]
            if math.isnan(x):
                out[row[v], i] = null[v]
                continue
            low, high = first, last
            while low < high:
                middle = (low + high) >> 1
                if cuts[middle] < x:
                    low = middle + 1
                else:
                    high = middle
            out[row[v], i] = low - first


@njit(cache=True, nogil=True)
def rising(a, c):
    """log of Gamma(a + c) / Gamma(a)."""
    return math.lgamma(a + c) - math.lgamma(a)


@njit(cache=True, nogil=True)
def log_evidence(counts, share, first, bins, rows, scale, m):
    """Log evidence that `counts` (times `scale`) come from some other distribution than the reference.

    The Dirichlet-multinomial mixture of alternatives around `share` (concentrations 8, 40, 200) and anywhere (1/2),
    against the posterior predictive of the reference, which is worth `m` rows. Source: Shin, Ramdas and Rinaldo
    (2023), "E-detectors: a nonparametric framework for sequential change detection", with a Bayes-factor increment.
    """
    half, held = 0.0, 0
    for b in range(bins):
        c = counts[first + b]
        if c > 0:
            held += 1
            half += c * math.log(c / (rows * share[b]))
    if half * scale < LEAST + 0.5 * held:
        return QUIET
    n = rows * scale
    base = -rising(m + 0.5 * bins, n)
    a8, a40, a200, flat = -rising(8.0, n), -rising(40.0, n), -rising(200.0, n), -rising(0.5 * bins, n)
    for b in range(bins):
        c = counts[first + b] * scale
        if c > 0:
            p = share[b]
            base += rising(p * m + 0.5, c)
            a8 += rising(8.0 * p, c)
            a40 += rising(40.0 * p, c)
            a200 += rising(200.0 * p, c)
            flat += rising(0.5, c)
    top = max(max(a8, a40), max(a200, flat))
    mix = math.exp(a8 - top) + math.exp(a40 - top) + math.exp(a200 - top) + math.exp(flat - top)
    return max(top + math.log(mix / 4.0) - base, QUIET)


@njit(cache=True, nogil=True)
def log_evidence_rate(hits, rows, p, scale, m):
    """Log evidence that the rate of something is above `p` (a reference worth `m` rows); one-sided."""
    if hits <= rows * p:
        return QUIET
    q = hits / rows
    half = hits * math.log(q / p)
    if hits < rows:
        half += (rows - hits) * math.log((1 - q) / (1 - p))
    if half * scale < 4.0:
        return QUIET
    n, c = rows * scale, hits * scale
    a, b = max(p * m, 0.5), max((1 - p) * m, 0.5)
    base = rising(a, c) + rising(b, n - c) - rising(a + b, n)
    other = rising(0.5, c) + rising(0.5, n - c) - rising(1.0, n)
    near = rising(20.0 * p, c) + rising(20.0 * (1 - p), n - c) - rising(20.0, n)
    top = max(other, near)
    return max(top + math.log((math.exp(other - top) + math.exp(near - top)) / 2.0) - base, QUIET)


@njit(cache=True, nogil=True)
def step_evidence(error, scale, freedom):
    """Log evidence of a step: a Student t five to 20,000 times as wide against the reference's own prediction error."""
    z = abs(error) / scale
    h = (freedom + 1) / 2.0
    own = -h * math.log1p(z * z / freedom)
    mix = 0.0
    for width in (5.0, 20.0, 80.0, 320.0, 1_280.0, 5_120.0, 20_480.0):
        x = z / width
        mix += math.exp(-h * math.log1p(x * x / freedom)) / width
    return max(math.log(mix / 7.0) - own, QUIET)
