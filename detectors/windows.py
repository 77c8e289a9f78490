"""What a closed window says of each signal: counts in the reference's bins, plain numbers, corrected PSI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from core.events import Signals, SignalWindow
from core.findings import Summary
from detectors.readers import Found

if TYPE_CHECKING:
    from detectors.watch import Watch


class Content(Struct, kw_only=True):
    """A closed window before it is given its name."""

    start: float
    end: float
    rows: int
    signals: Signals
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
    text = compiled.wording.told(rows, shown, _summaries(watch), psi)
    return Content(
        start=watch.window_start, end=watch.window_end, rows=rows, signals=_with_estimates(watch, text),
        design_effect=dict(zip(compiled.wording.signals, deff[compiled.wording.column].tolist(), strict=True)), psi=psi,
    )  # fmt: skip


def _with_estimates(watch: Watch, text: bytes) -> Signals:
    """The told signals, and with them the error to expect before labels come and the business value, where there is
    one."""
    more: dict[str, SignalWindow] = {}
    if watch.estimated is not None:
        first, last, by_bin = watch.estimated
        counts = watch.state.window[first:last]
        value = float((counts * by_bin).sum() / max(counts.sum(), 1))
        more["quality:estimated_error"] = SignalWindow(summary=Summary(rows=watch.window_rows, mean=value), value=value)
    business = Signals(text).get(f"feature:{watch.options.business}") if watch.options.business else None
    if business is not None:
        more["quality:business"] = SignalWindow(summary=business.summary, value=business.summary.mean)
    if not more:
        return Signals(text)
    between = b"," if len(text) > len(b"{}") else b""
    return Signals(text[:-1] + between + msgspec.json.encode(more)[1:])


def _summaries(watch: Watch) -> np.ndarray:
    """`closing.summaries` of the open window; quantiles from at most 256 evenly spaced rows."""
    from detectors.closing import summaries

    state = watch.state
    taken = int(min(-(-state.sampled[0] // state.sampled[1]), state.sample.shape[1]))
    return summaries(state.moments, np.sort(state.sample[:, :taken], axis=1))
