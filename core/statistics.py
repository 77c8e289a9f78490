"""The few statistics that detection, the claim gate and recovery must all compute the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence


def shares(counts: Sequence[float], prior: float = 0.5) -> list[float]:
    """Shares of each bin with `prior` pseudo-rows added to every bin (Jeffreys' prior for 0.5)."""
    total = sum(counts) + prior * len(counts)
    return [(c + prior) / total for c in counts]


def psi(reference: Sequence[float], current: Sequence[float], prior: float = 0.5) -> float:
    """Population stability index, sum (q-p) ln(q/p), of two lists of bin counts of equal length.

    Raises ValueError when the lengths differ. Source: Yurdakul & Naranjo (2020), "Statistical properties of the
    population stability index".
    """
    if len(reference) != len(current):
        raise ValueError(f"psi needs equal bins, got {len(reference)} and {len(current)}")
    return sum((q - p) * math.log(q / p) for p, q in zip(shares(reference, prior), shares(current, prior), strict=True))


def corrected_psi(reference: Sequence[float], current: Sequence[float], design_effect: float = 1.0) -> float:
    """PSI less its expected value under no change, `(B-1)(1/m + deff/n)`, never below 0.

    `design_effect` >= 1 says by how much dependent rows count less than independent ones. B counts bins that hold
    anything. Source: the chi-squared limit in Yurdakul & Naranjo (2020).
    """
    m, n = sum(reference), sum(current)
    if m <= 0 or n <= 0:
        return 0.0
    bins = sum(1 for p, q in zip(reference, current, strict=True) if p or q)
    bias = max(bins - 1, 0) * (1 / m + max(design_effect, 1.0) / n)
    return max(psi(reference, current) - bias, 0.0)
