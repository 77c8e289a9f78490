"""Rows that cannot be what a well model looks like, whatever the model: a fault lies within them."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.bins import numbers
from detectors.rows import Coded, Rows

HALF = 0.5
"""A share that differs by so much between the two halves is no chance."""
ODD = 0.05
"""Infinite values beyond this share are a fault of the producer."""
VARIED = 20


def poisoned(rows: Rows) -> str:
    """Why these rows are refused as a baseline, with the remedy; "" when nothing speaks against them.

    A feature that is null, text or frozen in one half and not in the other, or often infinite: such a period was not
    well, and a model would be held against its fault. Slow changes are no ground: there are seasons.
    """
    half = len(rows) // 2
    for name, values in rows.columns.items():
        if name.startswith("feature:") and half:
            why = _why(values.listed() if isinstance(values, Coded) else values, half)
            if why:
                return f"{name.partition(':')[2]} {why}: this is not one healthy period; give the rows of one"
    return ""


def _why(values: Any, half: int) -> str:
    if isinstance(values, np.ndarray):
        null, text, floats = np.isnan(values), np.zeros(len(values), bool), values
    else:
        null = np.array([v is None for v in values])
        text = np.array([isinstance(v, str) for v in values])
        floats = numbers(values)[0]
    if np.isinf(floats).mean() > ODD:
        return f"is infinite in {100 * np.isinf(floats).mean():.0f}% of the rows"
    for words, mask in (("is null", null), ("is text", text)):
        first, second = mask[:half].mean(), mask[half:].mean()
        if abs(first - second) >= HALF:
            return f"{words} in {100 * first:.0f}% of the first half of the rows and {100 * second:.0f}% of the second"
    kinds = [len(np.unique(part[np.isfinite(part)])) for part in (floats[:half], floats[half:])]
    if min(kinds) == 1 and max(kinds) >= VARIED:
        return f"never changes in the {'first' if kinds[0] == 1 else 'second'} half of the rows"
    return ""
