"""Small counts in half a byte each: what the counts of blocks are stored as; compiled. Imported lazily (numba).

LZ4 takes four times as long and leaves more.
"""

from __future__ import annotations

import numpy as np
from numba import njit

MOST = 15
"""What half a byte holds; counts from here on have their rest beside it."""


@njit(cache=True)
def halved(counts):
    """(u1[(n + 1) // 2], u1[m]) of counts u1[n]: two to a byte, and by how much each of 15 or more exceeds 15."""
    size = counts.shape[0] // 2
    packed, more = np.empty((counts.shape[0] + 1) // 2, np.uint8), 0
    for i in range(size):
        packed[i] = min(counts[2 * i], np.uint8(MOST)) | (min(counts[2 * i + 1], np.uint8(MOST)) << np.uint8(4))
    if counts.shape[0] > 2 * size:
        packed[size] = min(counts[2 * size], np.uint8(MOST))
    for i in range(counts.shape[0]):
        more += counts[i] >= MOST
    rest, k = np.empty(more, np.uint8), 0
    for i in range(counts.shape[0]):
        if counts[i] >= MOST:
            rest[k] = counts[i] - MOST
            k += 1
    return packed, rest


@njit(cache=True)
def doubled(packed, rest, counts):
    """Write the counts that `halved` made these of into `counts` u1[n], which is all 0."""
    k = 0
    for i in range(counts.shape[0]):
        half = packed[i // 2]
        count = half >> 4 if i % 2 else half & MOST
        if count == MOST:
            count += rest[k]
            k += 1
        if count:  # memory that stays untouched takes no room
            counts[i] = count
