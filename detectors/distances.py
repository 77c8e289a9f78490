"""Distances between two lists of bin counts, for the reader: KL, Jensen-Shannon, KS, chi-squared, PSI."""

from __future__ import annotations

import numpy as np

from core.statistics import psi


def smooth(counts: np.ndarray) -> np.ndarray:
    """Shares with half a row added to every bin."""
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))


def kullback_leibler(reference: np.ndarray, counts: np.ndarray) -> float:
    """Sum q ln(q/p) in nats, of the current shares q against the reference's p."""
    p, q = smooth(reference), smooth(counts)
    return float((q * np.log(q / p)).sum())


def jensen_shannon(reference: np.ndarray, counts: np.ndarray) -> float:
    """Jensen-Shannon distance (square root of the divergence, base 2), between 0 and 1."""
    p, q = smooth(reference), smooth(counts)
    m = (p + q) / 2
    divergence = 0.5 * (p * np.log2(p / m)).sum() + 0.5 * (q * np.log2(q / m)).sum()
    return float(np.sqrt(max(divergence, 0.0)))


def kolmogorov_smirnov(reference: np.ndarray, counts: np.ndarray) -> float:
    """Largest difference of the cumulated shares; nulls and unseen values are left out."""
    p, q = reference[:-2], counts[:-2]
    if p.sum() <= 0 or q.sum() <= 0:
        return 0.0
    return float(np.abs(np.cumsum(p) / p.sum() - np.cumsum(q) / q.sum()).max())


def chi_squared(reference: np.ndarray, counts: np.ndarray) -> float:
    """Pearson's statistic of the counts against the reference's shares."""
    expected = smooth(reference) * counts.sum()
    return float(((counts - expected) ** 2 / np.maximum(expected, 1e-9)).sum())


def scores(reference: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """All of them from the same counts, by name."""
    return {
        "kl": kullback_leibler(reference, counts), "js": jensen_shannon(reference, counts),
        "ks": kolmogorov_smirnov(reference, counts), "chi_squared": chi_squared(reference, counts),
        "psi_raw": psi(reference.tolist(), counts.tolist()),
    }  # fmt: skip
