"""How much less dependent rows count: design effects per window length, measured on the reference in time order.

The variance of block counts over its multinomial value (Kish 1965, "Survey Sampling"). Rows of a session, of an hour of
weather or of a batch say nearly the same thing many times; a window's counts are divided by this before they are
weighed, so that such rows neither alarm by themselves nor hide a change for long.
"""

from __future__ import annotations

import numpy as np

MARGIN = 1.3
UNKNOWN = 3.0
LEVELS = 11


def windows(blocks: np.ndarray, k: int) -> np.ndarray:
    """Sums over every run of 2**k consecutive blocks; `blocks` is [N, bins]."""
    total = np.vstack([np.zeros((1, blocks.shape[1])), np.cumsum(blocks, axis=0, dtype=np.float64)])
    length = 1 << k
    return total[length:] - total[:-length]


def growing(raw: list[float], levels: int, rows: float, block: float) -> tuple[np.ndarray, float]:
    """Design effects for all levels from those measured, and that of the whole reference; never falling, >= 1.

    Beyond what could be measured the growth last seen goes on.
    """
    known = [max(d, 1e-3) for d in raw] or [1.0]
    growth = min(max(known[-1] / known[-2], 1.0), 2.0) if len(known) > 1 else 1.0
    full = known + [known[-1] * growth ** (i + 1) for i in range(levels - len(known))]
    whole = full[-1] * growth ** max(np.log2(max(rows, 1.0) / (block * 2 ** (levels - 1))), 0.0)
    return np.maximum.accumulate(np.maximum(np.array(full) * MARGIN, 1.0)), float(max(whole * MARGIN, 1.0))


def pooled(blocks: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both [N, bins] with the bins that hold fewer than five rows or one in 500 as one (gone where that holds none)."""
    total = blocks.sum(axis=0)
    held = total >= max(5.0, total.sum() / 500)
    pair = [np.column_stack([a[:, held], a[:, ~held].sum(axis=1)]) for a in (blocks, expected)]
    return (pair[0], pair[1]) if total[~held].sum() >= 5 else (pair[0][:, :-1], pair[1][:, :-1])


def design_effects(blocks: np.ndarray, expected: np.ndarray, block: float) -> tuple[np.ndarray, float]:
    """(design effect per level, design effect of the whole reference) of block counts against their expectation.

    `blocks` and `expected` are [N, bins]. What cannot be told from one (three standard errors) counts as one.
    """
    rows = float(blocks.sum())
    blocks, expected = pooled(blocks, expected)
    free = blocks.shape[1] - 1
    if free < 1 or len(blocks) < 8:
        return np.full(LEVELS, 1.0 if len(blocks) >= 8 else MARGIN), 1.0
    raw = []
    for k in range(LEVELS):
        share = len(blocks) / (1 << k)
        if share < 8:
            break
        seen, usual = windows(blocks, k), np.maximum(windows(expected, k), 1e-9)
        noise = np.sqrt(2 / (share * free))
        one = spread(seen, usual, share) / (1 - 1 / share)
        raw.append(float(one * (1 + noise)) if one > 1 + 3 * noise else min(float(one), 1.0))
    return growing(raw, LEVELS, rows, block)


def spread(seen: np.ndarray, usual: np.ndarray, share: float) -> float:
    """Variance over its multinomial value: the mean over all directions, and a quarter of the mean weighted by it.

    Evidence gathers where dependence is strongest (the level of a wandering series), so the plain mean is too small;
    a change rarely lies there alone, so the strongest is too much. Source: Rao and Scott (1984), "On chi-squared tests
    for multiway contingency tables", first and second order; the square is freed of its bias.
    """
    residual = (seen - usual) / np.sqrt(usual)
    matrix = residual.T @ residual / len(residual)
    trace, free = float(np.trace(matrix)), residual.shape[1] - 1
    square = float((matrix**2).sum()) - trace**2 / share
    return 0.75 * trace / free + 0.25 * max(trace / free, square / max(trace, 1e-12))


def rate_effects(hits: np.ndarray, rows: np.ndarray, default: np.ndarray) -> np.ndarray:
    """The same for the count of one thing per block; `default` where the reference shows it too seldom to measure."""
    if hits.sum() < 5 or len(hits) < 8:
        return default
    p = hits.sum() / rows.sum()
    pair = np.stack([hits, rows - hits], axis=1)
    usual = np.stack([rows * p, rows * (1 - p)], axis=1)
    return design_effects(pair, usual, float(rows.mean()))[0]


def flag_effect(hits: np.ndarray) -> float:
    """Design effect of one series of 0 and 1 in event-time order: the largest over window lengths, with its margin.

    Windows of 2 to an eighth of the rows overlap, so that runs of a few rows are seen in few rows. What is within one
    standard error of chance counts as none, what is beyond three in full. Fewer than five hits cannot say: 3.
    """
    rows, total = len(hits), float(hits.sum())
    least = UNKNOWN if total < 5 else 1.0
    if total in (0.0, float(rows)):
        return least
    p, sums = total / rows, np.concatenate([[0.0], np.cumsum(hits)])
    largest, before, length = least, 1.0, 2
    while 8 * length <= rows:
        seen = sums[length:] - sums[:-length]
        ratio = float(((seen - length * p) ** 2).mean() / (length * p * (1 - p)) / (1 - length / rows))
        spread = 4 * length / (3 * rows)
        rare = (1.0 if p < 0.1 else 0.3) / (rows * p * (1 - p))
        certain = float(np.clip(((ratio - 1) / np.sqrt(spread + rare) - 1) / 2, 0, 1))
        # Beyond the longest window what is still to come is as much as came last: correlations that die out.
        whole = ratio if 16 * length <= rows else max(ratio, 2 * ratio - before)
        largest = max(largest, 1 + certain * (whole * (1 + np.sqrt(spread + ratio / total)) * MARGIN - 1))
        before, length = ratio, 2 * length
    return float(largest)
