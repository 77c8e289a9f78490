"""How long a model is usually silent, by hour of day, so that silence can be told from night."""

from __future__ import annotations

import numpy as np


def longest_usual(at: np.ndarray) -> list[float]:
    """Longest gap in seconds that began in each hour of day (UTC), 24 of them, smoothed over the neighbours.

    An hour in which nothing ever came has the longest gap of all. Empty when there are fewer than 50 gaps.
    """
    gaps = np.diff(at)
    if len(gaps) < 50:
        return []
    hours = ((at[:-1] // 3600) % 24).astype(np.int64)
    longest = np.full(24, -1.0)
    np.maximum.at(longest, hours, gaps)
    longest[longest < 0] = gaps.max()
    return np.max([np.roll(longest, -1), longest, np.roll(longest, 1)], axis=0).tolist()


def patience(quiet: list[float], last: float, factor: float) -> float:
    """Seconds of silence after an event at `last` beyond which it is not usual any more."""
    if not quiet:
        return float("inf")
    usual = quiet[int(last // 3600) % 24]
    typical = sorted(quiet)[len(quiet) // 2]
    return max(usual * 2.0, min(typical * factor, usual * factor), 60.0)
