"""Plain numbers of one signal over some rows."""

from __future__ import annotations

import math

import numpy as np

from core.findings import Summary
from detectors.bins import Bins


def plain(value: float) -> float | None:
    """A float that can be sent as JSON, or None."""
    value = float(value)
    return value if math.isfinite(value) else None


def number_summary(values: np.ndarray, rows: int, nulls: int) -> Summary:
    """Of finite `values`; quantiles are exact."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Summary(rows=rows, nulls=nulls)
    with np.errstate(over="ignore", invalid="ignore"):
        q = np.quantile(finite, [0.05, 0.25, 0.5, 0.75, 0.95])
        mean, std = finite.mean(), finite.std()
    return Summary(
        rows=rows, nulls=nulls, mean=plain(mean), std=plain(std), minimum=plain(finite.min()), p05=plain(q[0]),
        p25=plain(q[1]), p50=plain(q[2]), p75=plain(q[3]), p95=plain(q[4]), maximum=plain(finite.max()),
    )  # fmt: skip


def level_summary(bins: Bins, counts: np.ndarray) -> Summary:
    """Of counted levels."""
    levels = counts[: bins.null]
    top = bins.levels[int(levels.argmax())] if len(bins.levels) and levels.sum() else None
    return Summary(rows=int(counts.sum()), nulls=int(counts[bins.null]), distinct=int((levels > 0).sum()), top=top)
