"""What a closed window says of each signal: counts in the reference's bins, plain numbers, corrected PSI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from core.events import SignalWindow
from core.findings import Histogram, Summary
from detectors.readers import Found

if TYPE_CHECKING:
    from detectors.watch import Watch


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

    compiled, rows = watch.compiled, watch.window_rows
    shown, psi, deff = shown_psi(
        watch.state.window, compiled.join, compiled.shown_off, compiled.shown_share, compiled.shown_log,
        compiled.shown_held, compiled.shown_inverse, compiled.deff, rows,
    )  # fmt: skip
    summaries = _summaries(watch)
    flat, psis, effects = shown.tolist(), psi.tolist(), deff.tolist()
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
            mean, std, least, most, p05, p25, p50, p75, p95 = summaries[v]
            summary = Summary(
                rows=rows, nulls=int(counts[-2]), mean=mean, std=std, minimum=least, maximum=most, p05=p05, p25=p25,
                p50=p50, p75=p75, p95=p95,
            )  # fmt: skip
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


def _summaries(watch: Watch) -> list[list[float | None]]:
    """Mean, spread, range and quantiles of every number column, None for what is not finite; quantiles from at most 256
    evenly spaced rows."""
    from detectors.closing import summaries

    state = watch.state
    taken = int(min(-(-state.sampled[0] // state.sampled[1]), state.sample.shape[1]))
    found = summaries(state.moments, np.sort(state.sample[:, :taken], axis=1))
    listed: list[list[float | None]] = found.tolist()
    if np.isnan(found).any():
        return [[None if value != value else value for value in row] for row in listed]
    return listed
