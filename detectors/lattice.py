"""Numbers that only ever take certain values: a new value between them says that the unit or the rounding changed.

Sensors report whole degrees, prices end in 9, speeds come in knots. After a change of unit nearly every value is new,
though all may lie well within the usual range. Values beyond that are not counted here: they may be the weather.
"""

from __future__ import annotations

import numpy as np

MOST = 500
ROWS_PER_VALUE = 20
USUAL = 0.01
"""A number that brings a new value in more than one row of a hundred is no lattice."""
LEVELS = ["known", "new"]


def learn_lattice(values: np.ndarray) -> np.ndarray | None:
    """The sorted values of a number column, when they are few and new ones are rare; None otherwise."""
    finite = values[np.isfinite(values)]
    known = np.unique(finite)
    if len(known) < 3 or len(known) > min(MOST, len(finite) // ROWS_PER_VALUE):
        return None
    return middle(finite) if usual_codes(values).mean() <= USUAL else None


def middle(finite: np.ndarray) -> np.ndarray:
    """The sorted values between the 5% and the 95%: farther out a value may be new because it is rare."""
    low, high = np.quantile(finite, [0.05, 0.95], method="inverted_cdf")
    known = np.unique(finite)
    return known[(known >= low) & (known <= high)]


def usual_codes(values: np.ndarray) -> np.ndarray:
    """bool[n]: values that would have been new to the other half of the reference."""
    half = len(values) // 2
    first, second = values[:half], values[half:]
    parts = []
    for mine, other in ((first, second), (second, first)):
        finite = other[np.isfinite(other)]
        parts.append(new(mine, middle(finite)) if len(finite) else np.zeros(len(mine), bool))
    return np.concatenate(parts)


def new(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """bool[n]: values within the range of `known` (sorted) that are none of them."""
    if not len(known):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return (values > known[0]) & (values < known[-1]) & (known[at] != values)


def codes(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Bin numbers int16: 1 new, 0 everything else (nulls too: they are told as nulls)."""
    return new(values, known).astype(np.int16)
