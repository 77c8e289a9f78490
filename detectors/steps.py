"""How far the mean of a block usually is from what the block before it predicts.

A series that wanders (weather, prices, load) visits every level by itself, slowly. It does not jump. Autoregression of
the mean of two blocks on the block before, errors as Student's t: see Box and Jenkins (1970) for the model, Lange,
Little and Taylor (1989) for the t.
"""

from __future__ import annotations

import math

import numpy as np

FREEDOMS = (2.5, 3.0, 4.0, 6.0, 10.0)
REACH = 30.0
OFF = [0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0]
BOUND = 1.5
"""A step must be larger than this many times the largest error of the reference."""


def winsor(values: np.ndarray) -> list[float]:
    """Bounds that keep one wild value from moving a block's mean: thirty interquartile ranges beyond the 1% and 99%."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [0.0, 0.0]
    low, q1, q3, high = np.quantile(finite, [0.01, 0.25, 0.75, 0.99])
    reach = REACH * max(q3 - q1, (high - low) / 4, 1e-12)
    return [float(low - reach), float(high + reach)]


def fit_t(errors: np.ndarray) -> tuple[float, float]:
    """(scale, degrees of freedom) of Student's t by likelihood over a grid; the scale a fifth wider to be safe."""
    base = max(1.4826 * float(np.median(np.abs(errors))), float(errors.std()) / 4, 1e-12)
    best, chosen = -math.inf, (base, 4.0)
    for freedom in FREEDOMS:
        for factor in np.geomspace(0.5, 2.5, 12):
            z = errors / (base * factor)
            h = (freedom + 1) / 2
            constant = math.lgamma(h) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi)
            fit = float(len(errors) * (constant - math.log(base * factor)) - h * np.log1p(z * z / freedom).sum())
            if fit > best:
                best, chosen = fit, (base * float(factor), freedom)
    return 1.2 * chosen[0], chosen[1]


def block_means(values: np.ndarray, clip: list[float], block: int) -> np.ndarray:
    """Clipped mean of every block; NaN where half of it or more is null."""
    count = len(values) // block
    cut = values[: count * block].reshape(count, block)
    finite = np.isfinite(cut)
    seen = finite.sum(axis=1)
    total = np.where(finite, np.clip(np.where(finite, cut, 0.0), *clip), 0.0).sum(axis=1)
    return np.where(2 * seen >= block, total / np.maximum(seen, 1), np.nan)


def learn_step(values: np.ndarray, at: np.ndarray, gap: list[float], block: int) -> tuple[list[float], list[float]]:
    """(bounds for block means, [intercept, slope, scale, the same after a gap, freedom, bound, after a gap, spread]).

    All zeros (no test) with fewer than 40 triples of blocks, or for a column that never varies.
    """
    clip = winsor(values)
    means = block_means(values, clip, block)
    if len(means) < 42:
        return clip, OFF
    before, after = means[:-2], (means[1:-1] + means[2:]) / 2
    good = np.isfinite(before) & np.isfinite(after)
    if good.sum() < 40 or np.nanstd(means) == 0:
        return clip, OFF
    first, last = at[: len(means) * block : block], at[block - 1 : len(means) * block : block]
    wait = np.append(first[1:] - last[:-1], 0.0)
    late = np.maximum(wait[:-2], wait[1:-1]) > gap[0]
    design = np.stack([np.ones(good.sum()), before[good]], axis=1)
    intercept, slope = np.linalg.lstsq(design, after[good], rcond=None)[0]
    slope = float(np.clip(slope, 0.0, 1.0))
    intercept = float(np.mean(after[good] - slope * before[good]))
    errors, late = after[good] - intercept - slope * before[good], late[good]
    usual = errors[~late] if (~late).sum() >= 40 else errors
    scale, freedom = fit_t(usual)
    step = [
        float(intercept),
        slope,
        scale,
        0.0,
        freedom,
        BOUND * float(np.abs(usual).max()),
        0.0,
        float(np.std(values[np.isfinite(values)])),
    ]
    if late.sum() >= 10:
        step[3] = max(2 * scale, 1.5 * float(errors[late].std()))
        step[6] = max(2 * float(np.abs(errors[late]).max()), step[5])
    return clip, step
