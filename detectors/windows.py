"""What a closed window says of each signal: counts in the reference's bins, plain numbers, corrected PSI."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from core.events import SignalWindow
from core.findings import Histogram, Summary
from detectors.readers import Found
from detectors.summary import plain

if TYPE_CHECKING:
    from detectors.watch import Watch

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NAMES = ("mean", "std", "minimum", "maximum", "p05", "p25", "p50", "p75", "p95")


class Content(Struct, kw_only=True):
    """A closed window before it is given its name."""

    start: float
    end: float
    rows: int
    signals: dict[str, SignalWindow]
    design_effect: dict[str, float]
    psi: np.ndarray
    """Corrected PSI per column of the kernel."""
    found: list[Found] = []
    """What the window rules found in it."""


def content(watch: Watch) -> Content:
    """The open window of `watch`, every signal of it."""
    from detectors.closing import shown_psi

    compiled, state = watch.compiled, watch.state
    rows = watch.window_rows
    most = len(compiled.deff) - 1
    level = min(max(math.log2(max(rows, 1) / 25), 0.0), float(most))
    low = int(level)
    deff = compiled.deff[low] + (level - low) * (compiled.deff[min(low + 1, most)] - compiled.deff[low])
    shown, psi = shown_psi(
        state.window, compiled.join, compiled.shown_off, compiled.shown_share, compiled.shown_log, compiled.shown_held,
        compiled.shown_inverse, deff,
    )  # fmt: skip
    summaries = _summaries(watch)
    flat, psis, effects = shown.tolist(), psi.tolist(), np.round(deff, 3).tolist()
    signals: dict[str, SignalWindow] = {}
    effect: dict[str, float] = {}
    for c, signal, first, last, v, cuts, levels in compiled.told:
        counts = flat[first:last]
        if v < 0:
            seen = counts[:-2]
            greatest = max(seen, default=0)
            top = levels[seen.index(greatest)] if greatest and levels else None
            summary = Summary(rows=rows, nulls=int(counts[-2]), distinct=len(seen) - seen.count(0), top=top)
        else:
            summary = Summary(rows=rows, nulls=int(counts[-2]), **summaries[v])
        histogram = Histogram(counts=counts, cuts=cuts, levels=levels)
        signals[signal] = SignalWindow(summary=summary, psi=psis[c], histogram=histogram)
        effect[signal] = effects[c]
    _add_estimates(watch, signals, rows)
    return Content(
        start=watch.window_start, end=watch.window_end, rows=rows, signals=signals, design_effect=effect, psi=psi
    )


def _add_estimates(watch: Watch, signals: dict[str, SignalWindow], rows: int) -> None:
    """The error to expect before labels come, and the business value, where there is one."""
    if watch.estimated is not None:
        first, last, by_bin = watch.estimated
        counts = watch.state.window[first:last]
        value = float((counts * by_bin).sum() / max(counts.sum(), 1))
        signals["quality:estimated_error"] = SignalWindow(summary=Summary(rows=rows, mean=value), value=value)
    business = signals.get(f"feature:{watch.options.business}") if watch.options.business else None
    if business is not None:
        signals["quality:business"] = SignalWindow(summary=business.summary, value=business.summary.mean)


def _summaries(watch: Watch) -> list[dict[str, float | None]]:
    """Mean, spread, range and quantiles of every number column; quantiles from at most 256 evenly spaced rows."""
    state = watch.state
    n, total, squares, least, greatest = state.moments
    taken = int(min(-(-state.sampled[0] // state.sampled[1]), state.sample.shape[1]))
    with np.errstate(all="ignore"):
        mean = total / n
        std = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    sample = state.sample[:, :taken]
    finite = np.isfinite(sample)
    if finite.all():
        sample, seen = np.sort(sample, axis=1), np.full(len(n), taken)
    else:
        sample, seen = np.sort(np.where(finite, sample, np.inf), axis=1), finite.sum(axis=1)
    at = np.minimum((np.array(QUANTILES)[:, None] * seen).astype(np.int64), np.maximum(seen - 1, 0))
    quantiles = sample[np.arange(len(n)), at] if taken else np.full((len(QUANTILES), len(n)), np.inf)
    table = np.vstack([mean, std, least, greatest, quantiles])
    whole = np.isfinite(table).all(axis=0).tolist()
    return [
        dict(zip(NAMES, row if plainly else map(plain, row), strict=True)) if count else {}
        for row, plainly, count in zip(table.T.tolist(), whole, n.tolist(), strict=True)
    ]
