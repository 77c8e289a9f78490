"""What a closed window says of each signal: counts in the reference's bins, plain numbers, corrected PSI."""

from __future__ import annotations

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


def corrected(
    reference: np.ndarray, counts: np.ndarray, sizes: np.ndarray, off: np.ndarray, deff: np.ndarray
) -> np.ndarray:
    """`core.statistics.corrected_psi` of every column at once (flat counts, [C] design effects)."""
    m, n = np.add.reduceat(reference, off), np.add.reduceat(counts, off).astype(float)
    wide = np.repeat
    p = (reference + 0.5) / wide(m + 0.5 * sizes, sizes)
    q = (counts + 0.5) / wide(n + 0.5 * sizes, sizes)
    raw = np.add.reduceat((q - p) * np.log(q / p), off)
    held = np.add.reduceat(((reference > 0) | (counts > 0)).astype(float), off)
    bias = np.maximum(held - 1, 0) * (1 / np.maximum(m, 1) + np.maximum(deff, 1) / np.maximum(n, 1))
    return np.where((m > 0) & (n > 0), np.maximum(raw - bias, 0.0), 0.0)


def content(watch: Watch) -> Content:
    """The open window of `watch`, every signal of it."""
    compiled, state = watch.compiled, watch.state
    rows = watch.window_rows
    level = np.clip(np.log2(max(rows, 1) / 25), 0, len(compiled.deff) - 1)
    low = int(level)
    high = min(low + 1, len(compiled.deff) - 1)
    deff = compiled.deff[low] + (level - low) * (compiled.deff[high] - compiled.deff[low])
    shown = compiled.joined(state.window)
    psi = corrected(compiled.shown_counts, shown, compiled.shown_sizes, compiled.shown_off[:-1], deff)
    summaries = _summaries(watch)
    signals: dict[str, SignalWindow] = {}
    for c, column in enumerate(compiled.columns):
        if column.family == "relation":
            continue
        counts = shown[compiled.shown_off[c] : compiled.shown_off[c + 1]]
        v = compiled.row.get(column.signal)
        nulls = int(counts[-2])
        if v is None:
            levels = counts[:-2]
            top = column.bins.levels[int(levels.argmax())] if column.bins.levels and levels.any() else None
            summary = Summary(rows=rows, nulls=nulls, distinct=int((levels > 0).sum()), top=top)
        else:
            summary = Summary(rows=rows, nulls=nulls, **summaries[v])
        signals[column.signal] = SignalWindow(
            summary=summary,
            psi=float(psi[c]),
            histogram=Histogram(counts=counts.tolist(), cuts=compiled.shown_cuts[c], levels=column.bins.levels),
        )
    effects = {
        column.signal: round(float(d), 3)
        for column, d in zip(compiled.columns, deff, strict=True)
        if column.signal in signals
    }
    return Content(
        start=watch.window_start, end=watch.window_end, rows=rows, signals=signals, design_effect=effects, psi=psi
    )


def _summaries(watch: Watch) -> list[dict[str, float | None]]:
    """Mean, spread, range and quantiles of every number column; quantiles from at most 256 evenly spaced rows."""
    state = watch.state
    n, total, squares, least, greatest = state.moments
    taken = int(min(-(-state.sampled[0] // state.sampled[1]), state.sample.shape[1]))
    found = []
    with np.errstate(all="ignore"):
        mean = total / n
        std = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    sample = np.sort(np.where(np.isfinite(state.sample[:, :taken]), state.sample[:, :taken], np.inf), axis=1)
    seen = np.isfinite(sample).sum(axis=1)
    for v in range(len(n)):
        if not n[v]:
            found.append({})
            continue
        one: dict[str, float | None] = {
            "mean": plain(mean[v]),
            "std": plain(std[v]),
            "minimum": plain(least[v]),
            "maximum": plain(greatest[v]),
        }
        for name, q in zip(("p05", "p25", "p50", "p75", "p95"), QUANTILES, strict=True):
            one[name] = plain(sample[v, min(int(q * seen[v]), seen[v] - 1)]) if seen[v] else None
        found.append(one)
    return found
