"""The reference on trial before its own detector: whatever it did by itself must not alarm.

Each window of the reference is weighed against the rest of it; where the evidence exceeds what chance gives, the
design effect of that length (and longer ones) is raised until it does not.
"""

from __future__ import annotations

import numpy as np

from detectors.dispersion import LEVELS, windows

ALLOWED = 5.0
"""Log evidence the reference may hold against itself: the alarm stands three times as high."""


def _rising(a: np.ndarray, c: np.ndarray) -> np.ndarray:
    from scipy.special import gammaln

    return gammaln(a + c) - gammaln(a)


def evidence(counts: np.ndarray, share: np.ndarray, scale: float, m: float) -> np.ndarray:
    """Log evidence of every window, [N]; the same formula as `evidence.log_evidence`, for many windows at once."""
    c = counts * scale
    n, size = c.sum(axis=1), counts.shape[1]
    base = _rising(share * m + 0.5, c).sum(axis=1) - _rising(np.full(len(c), m + 0.5 * size), n)
    parts = [_rising(k * share, c).sum(axis=1) - _rising(np.full(len(c), k), n) for k in (8.0, 40.0, 200.0)]
    parts.append(_rising(np.full_like(c, 0.5), c).sum(axis=1) - _rising(np.full(len(c), 0.5 * size), n))
    return np.logaddexp.reduce(parts, axis=0) - np.log(4.0) - base


def made_quiet(
    blocks: np.ndarray, counts: np.ndarray, deff: np.ndarray, whole: float, expected: np.ndarray | None
) -> np.ndarray:
    """The design effects, raised where the reference would have alarmed at itself."""
    deff = deff.copy()
    rows = counts.sum()
    for k in range(LEVELS):
        if len(blocks) < 4 << k:
            break
        every = max((1 << k) >> 2, 1)
        seen = windows(blocks, k)[::every]
        if expected is None:
            rest = np.maximum(counts - seen, 0.0)
            share = (rest + 0.5) / (rest + 0.5).sum(axis=1, keepdims=True)
        else:
            usual = windows(expected, k)[::every]
            share = np.maximum(usual / usual.sum(axis=1, keepdims=True), 1e-3 * (counts + 0.5) / rows)
        left = max((rows - seen[0].sum()) / whole, 1.0) / (4.0 if expected is not None else 1.0)
        half = (seen * np.log(np.maximum(seen, 1e-9) / (seen.sum(axis=1, keepdims=True) * share))).sum(axis=1)
        allowed = ALLOWED
        for _ in range(24):
            loud = half / deff[k] >= 4.0
            if not loud.any() or evidence(seen[loud], share[loud], 1.0 / deff[k], left).max() <= allowed:
                break
            deff[k:] = np.maximum(deff[k:], deff[k] * 1.25)
    return deff
