"""Whether rows came about in the order of their times, as nearly all batches do; compiled. Imported lazily (numba)."""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True)
def newest(at, start, behind, ahead):
    """The newest of the times f8[n] and `start`; NaN where one lies too far behind the newest before it, or ahead."""
    found = start
    for i in range(at.shape[0]):
        if not found - behind <= at[i] <= found + ahead:
            return math.nan
        found = max(found, at[i])
    return found
