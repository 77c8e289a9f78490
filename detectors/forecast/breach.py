"""From quantiles of the coming hours to a breach of the target: the mean of the last 24 hours above it.

A breach is dated at its first hour, and only the hours not yet known are forecast. Hours that follow one another err
together, so paths are drawn with a Gaussian copula whose correlation is that of past errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, erf, sqrt

import numpy as np

from detectors.forecast.panel import HORIZON, QUANTILES, Cases, budget

PATHS = 200
LEVELS = {"warning": 0.95, "watch": 0.80}
"""Which share of the times that a level spoke must have been right."""
LEAST_SPOKEN = 8
"""Fewer warnings than this on past data prove nothing."""
CONFIDENCE = 0.1
"""Chance of taking a threshold that is worse than the promise less a tenth."""
_Q = np.array(QUANTILES)
_PHI = np.vectorize(lambda z: 0.5 * (1 + erf(z / sqrt(2))), otypes=[float])


def correlation(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Lag-one correlation, within a case, of where the truth fell between the quantiles; 0..0.98."""
    if len(actual) < 2:
        return 0.5
    below = (actual[:, :, None] > predicted).mean(axis=2) - 0.5
    spread = float((below**2).mean())
    return float(np.clip((below[:, 1:] * below[:, :-1]).mean() / max(spread, 1e-9), 0.0, 0.98))


def chances(predicted: np.ndarray, asked: Cases, rho: float, seed: int = 0) -> np.ndarray:
    """(N, HORIZON): the chance that the target is breached within 1..24 hours; rising. `rho`: see `correlation`."""
    first = first_hours(predicted, asked, rho, seed)
    return np.stack([(first <= h).mean(axis=1) for h in range(1, HORIZON + 1)], axis=1)


def first_hours(predicted: np.ndarray, asked: Cases, rho: float, seed: int = 0) -> np.ndarray:
    """(N, PATHS) first hour of the breach on drawn paths, 25 where there is none."""
    steps = np.random.default_rng(seed).standard_normal((PATHS, HORIZON))
    for h in range(1, HORIZON):
        steps[:, h] = rho * steps[:, h - 1] + sqrt(1 - rho * rho) * steps[:, h]
    mixed = _mix(_PHI(steps))
    known = budget(asked)
    out = np.full((len(asked), PATHS), HORIZON + 1, np.int8)
    total = np.zeros((len(asked), PATHS))
    for h in range(HORIZON):  # the same shares for every case: one product an hour
        total += predicted[:, h] @ mixed[:, h].T
        now = (known[:, h, None] + total / 24 > 1) & (out > HORIZON)
        out[now] = h + 1
    return out


def _mix(share: np.ndarray) -> np.ndarray:
    """(PATHS, HORIZON, quantiles) weights that make of quantiles the values at `share` (PATHS, HORIZON): linear between
    two quantiles, and beyond the outer ones as steep as they end."""
    left = np.clip(np.searchsorted(_Q, share, side="right") - 1, 0, len(_Q) - 2)
    part = (share - _Q[left]) / (_Q[left + 1] - _Q[left])
    eye = np.eye(len(_Q))
    return (1 - part)[..., None] * eye[left] + part[..., None] * eye[left + 1]


@dataclass(frozen=True)
class Record:
    """What a level is worth: from `threshold` on it spoke `spoken` times and was right `right` times."""

    threshold: float
    spoken: int
    right: int
    precision: float
    recall: float
    lead: float
    """Mean hours from the first word of an episode to its breach."""


def proven(chance: np.ndarray, hours: np.ndarray, episode: np.ndarray, precision: float) -> Record | None:
    """The lowest threshold on the chance of a breach within 24 h that kept the promised precision on past cases.

    `hours` (N,) until the breach (25: none). Cases of one `episode` (one breach, or one day without) count once, with
    their loudest word, because they are no independent proof. Learn then test (Angelopoulos 2021), fixed order: from
    the highest threshold down, each is tested against "worse than promised less a tenth" and the first refusal ends it.
    None: nothing is proven.
    """
    live = hours > 0
    chance, hours, episode = chance[live], hours[live], episode[live]
    names, index = np.unique(episode, return_inverse=True)
    loudest = np.zeros(len(names))
    np.maximum.at(loudest, index, chance)
    hit = np.zeros(len(names), bool)
    hit[index] = hours <= HORIZON
    order = np.argsort(-loudest, kind="stable")
    best = None
    for n in range(LEAST_SPOKEN, len(names) + 1):
        threshold = loudest[order[n - 1]]
        if n < len(names) and loudest[order[n]] == threshold:
            continue
        right = int(hit[order[:n]].sum())
        if threshold <= 0 or right / n < precision or _chance_of(right, n, 0.9 * precision) > CONFIDENCE:
            if best is not None:
                break
            continue
        best = (float(threshold), n, right)
    if best is None:
        return None
    threshold, n, right = best
    lead = np.zeros(len(names))
    said = (chance >= threshold) & (hours <= HORIZON)
    np.maximum.at(lead, index[said], hours[said])
    return Record(threshold, n, right, right / n, right / max(int(hit.sum()), 1), float(lead[lead > 0].mean()))


def _chance_of(right: int, n: int, precision: float) -> float:
    """Chance of `right` or more of `n`, were the true share `precision`."""
    return sum(comb(n, k) * precision**k * (1 - precision) ** (n - k) for k in range(right, n + 1))


def episodes(asked: Cases, hours: np.ndarray) -> np.ndarray:
    """(N,) the same number for cases that speak of the same breach, or of the same day without one."""
    when = np.where(hours <= HORIZON, asked.hour + hours, (asked.hour // 24) * 24)
    kind = (hours <= HORIZON).astype(np.int64)
    return np.unique(np.stack([asked.series, when, kind]), axis=1, return_inverse=True)[1].ravel()
