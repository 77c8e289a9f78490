"""A ring of keys and the table that finds one in it; compiled. Imported lazily (numba).

`ring` u8 holds the key of every slot, 0 for none; `table` i4[2**k] the slot of a key near the place its last bits name
(linear probing), -1 where there is none.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_SEED, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_HALF, _EIGHT, _NONE, _ONE = np.uint64(32), np.uint64(8), np.uint64(0), np.uint64(1)


@njit(cache=True)
def _mixed(h):
    h ^= h >> _HALF
    h *= _MIX
    h ^= h >> _HALF
    h *= _MIX
    return h ^ (h >> _HALF)


@njit(cache=True)
def hashed(data, ends):
    """Keys u8[n] of the texts `data[ends[i]:ends[i + 1]]`: eight bytes at a time through a multiply-xorshift mixer."""
    out = np.empty(len(ends) - 1, np.uint64)
    for i in range(len(out)):
        at, last = ends[i], ends[i + 1]
        if at == last:
            out[i] = _NONE
            continue
        h = _SEED ^ np.uint64(last - at)
        while at < last:
            word, shift = _NONE, _NONE
            for b in range(at, min(at + 8, last)):
                word |= np.uint64(data[b]) << shift
                shift += _EIGHT
            h = _mixed(h ^ word)
            at += 8
        out[i] = max(h, _ONE)
    return out


@njit(cache=True)
def place(table, ring, key):
    """Where `key` stands in `table`, or the free place where it would."""
    mask = np.uint64(len(table) - 1)
    at = key & mask
    while table[at] >= 0 and ring[table[at]] != key:
        at = (at + _ONE) & mask
    return at


@njit(cache=True)
def slot_of(table, ring, key):
    """The slot that holds `key`, -1 when none does."""
    return table[place(table, ring, key)] if key else np.int32(-1)


@njit(cache=True)
def known(table, ring, some):
    """Positions i8 of keys that are in the ring, or twice among `some`."""
    size = 4
    while size < 2 * len(some):
        size *= 2
    seen, out, count = np.full(size, np.int32(-1)), np.empty(len(some), np.int64), 0
    for i in range(len(some)):
        if not some[i]:
            continue
        at = place(seen, some, some[i])
        if seen[at] >= 0 or table[place(table, ring, some[i])] >= 0:
            out[count] = i
            count += 1
        else:
            seen[at] = i
    return out[:count]


@njit(cache=True)
def fill(table, ring):
    """Make the table of a ring anew; of one key twice the later slot counts."""
    table[:] = -1
    for slot in range(len(ring)):
        if ring[slot]:
            table[place(table, ring, ring[slot])] = slot


@njit(cache=True)
def put(table, ring, waits, head, some):
    """Write keys into the ring from slot `head` on, over the oldest. `waits` u1: whether a label may still come."""
    size = len(ring)
    for i in range(len(some)):
        slot = (head + i) % size
        if ring[slot]:
            _forget(table, ring, slot)
        ring[slot] = some[i]
        waits[slot] = 1 if some[i] else 0
        if some[i]:
            table[place(table, ring, some[i])] = slot


@njit(cache=True)
def _forget(table, ring, slot):
    """Take a slot's key out of the table, and close the gap in its run (Knuth, volume 3, algorithm 6.4R)."""
    mask = np.uint64(len(table) - 1)
    gap = place(table, ring, ring[slot])
    if table[gap] != slot:
        return  # a later slot holds the same key
    at = gap
    while True:
        table[gap] = -1
        while True:
            at = (at + _ONE) & mask
            if table[at] < 0:
                return
            home = ring[table[at]] & mask
            if (at - home) & mask >= (at - gap) & mask:
                break
        table[gap] = table[at]
        gap = at
