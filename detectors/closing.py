"""A window's counts in the shown bins, and its corrected PSI, of every column in one pass; compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def shown_psi(window, join, off, share, log_share, known, inverse, deff):
    """(counts f8[S] in the shown bins, `core.statistics.corrected_psi` f8[C]) of flat counts i8[T].

    `join` i8[T] is the shown bin of each flat one, `off` i8[C+1] the columns' first shown bins; `share`, `log_share`
    f8[S] are the reference's, `known` whether it ever saw the bin; `inverse` f8[C] is one over its rows.
    """
    flat = np.zeros(share.shape[0])
    for t in range(window.shape[0]):
        flat[join[t]] += window[t]
    psi = np.zeros(off.shape[0] - 1)
    for c in range(psi.shape[0]):
        first, last = off[c], off[c + 1]
        rows = 0.0
        for b in range(first, last):
            rows += flat[b]
        if rows <= 0.0 or inverse[c] <= 0.0:
            continue
        total, held = 0.0, 0
        smoothed = rows + 0.5 * (last - first)
        for b in range(first, last):
            q = (flat[b] + 0.5) / smoothed
            total += (q - share[b]) * (math.log(q) - log_share[b])
            if known[b] or flat[b] > 0.0:
                held += 1
        bias = max(held - 1, 0) * (inverse[c] + max(deff[c], 1.0) / rows)
        psi[c] = max(total - bias, 0.0)
    return flat, psi
