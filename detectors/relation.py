"""What each number usually is given the others: a broken relation shows a fault that every value by itself could hide.

Celsius in place of Fahrenheit is an ordinary cold day to `temp` alone, and impossible beside the dew point and the
humidity. The standardised conditional residual of feature i is (P x)_i / sqrt(P_ii), P the precision matrix of the
standardised numbers (Lauritzen 1996, "Graphical Models"). A fault of size d in j shifts residual i by P_ij d /
sqrt(P_ii): never more, in its own spread, than residual j, because partial correlations are at most one. So the largest
shift names the feature at fault.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

RIDGE = 1e-3
EXPLAINED = 0.5
"""Only features of which the others explain at least this share of the variance are watched so."""
MOST = 12
REACH = 30.0
"""Inputs are held within this many standard deviations."""


class Relation(Struct, kw_only=True):
    """`weights` [R][V]: residual r of the standardised numbers; `named[r]` is the feature it is about."""

    inputs: list[str]
    named: list[str]
    mean: list[float]
    spread: list[float]
    weights: list[list[float]]


def learn_relation(values: dict[str, np.ndarray]) -> Relation | None:
    """From number columns of the reference (NaN for null); None when no feature is explained by the others."""
    names = [
        n for n, v in values.items() if np.isfinite(v).mean() > 0.95 and len(np.unique(v[np.isfinite(v)][:2000])) > 5
    ]
    names = names[:100]
    if len(names) < 2:
        return None
    table = np.stack([np.where(np.isfinite(values[n]), values[n], np.nan) for n in names])
    low, mid, high = np.nanquantile(table, [0.1, 0.5, 0.9], axis=1)
    spread = np.nanstd(
        np.clip(table, (mid - 10 * (high - low + 1e-9))[:, None], (mid + 10 * (high - low + 1e-9))[:, None]), axis=1
    )
    mean = np.nanmean(table, axis=1)
    use = np.isfinite(spread) & (spread > 0) & np.isfinite(mean)
    names, table, mean, spread = [n for n, u in zip(names, use, strict=True) if u], table[use], mean[use], spread[use]
    whole = np.isfinite(table).all(axis=0)
    if len(names) < 2 or whole.sum() < max(200, 5 * len(names)):
        return None
    z = np.clip((table[:, whole] - mean[:, None]) / spread[:, None], -REACH, REACH)
    precision = np.linalg.inv(np.cov(z) + RIDGE * np.eye(len(names)))
    explained = 1 - 1 / (np.diag(precision) * z.var(axis=1))
    chosen = [int(i) for i in np.argsort(-explained)[:MOST] if explained[i] >= EXPLAINED]
    if not chosen:
        return None
    weights = precision[chosen] / np.sqrt(np.diag(precision)[chosen])[:, None]
    return Relation(
        inputs=names,
        named=[names[i] for i in chosen],
        mean=mean.tolist(),
        spread=spread.tolist(),
        weights=weights.tolist(),
    )


def residuals(relation: Relation, values: np.ndarray) -> np.ndarray:
    """[R, n] standardised conditional residuals of `values` [inputs, n]; NaN where any input is null."""
    mean, spread = np.array(relation.mean)[:, None], np.array(relation.spread)[:, None]
    return np.array(relation.weights) @ np.clip((values - mean) / spread, -REACH, REACH)
