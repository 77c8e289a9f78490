"""Masked features: what is told of them says how much moved, never what their values are."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from core.events import SignalWindow, WindowClosed
from core.findings import Detection, Histogram, Summary
from core.ports import Baseline


class Mask:
    """Hides the values of features whose names match one of `patterns` (globs).

    Counts, shares, rates of null and unseen values and every statistic stay. Levels become "level 1", "level 2", bounds
    of bins become 1, 2, ...; means, quantiles, extremes, texts and a segment's value are left out.

    >>> mask = Mask(["inc*"])
    >>> mask.signal("feature:income", SignalWindow(summary=Summary(rows=9, mean=5.0))).summary.mean is None
    True
    >>> mask.hides("feature:age"), mask.hides("nulls:income")
    (False, True)
    """

    def __init__(self, patterns: Sequence[str] = ()):
        self.patterns = tuple(patterns)

    def hides(self, signal: str) -> bool:
        """Whether the signal speaks of a masked feature."""
        name = signal.partition(":")[2]
        return bool(name) and any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)

    def signal(self, name: str, shown: SignalWindow) -> SignalWindow:
        """One signal of a window or a baseline."""
        if not self.hides(name):
            return shown
        return replace(shown, summary=_summary(shown.summary), histogram=_histogram(shown.histogram), value=None)

    def signals(self, shown: dict[str, Any]) -> dict[str, Any]:
        return {name: self.signal(name, one) for name, one in shown.items()}

    def window(self, window: WindowClosed) -> WindowClosed:
        if not self.patterns:
            return window
        return replace(window, signals=self.signals(window.signals), segment=self.segment(window.segment))

    def baseline(self, baseline: Baseline) -> Baseline:
        return replace(baseline, signals=self.signals(baseline.signals)) if self.patterns else baseline

    def segment(self, segment: str) -> str:
        """`column=value` of a masked column as `column=masked`."""
        column, equals, _ = segment.partition("=")
        return f"{column}=masked" if equals and self.hides(f"feature:{column}") else segment

    def detection(self, found: Detection) -> Detection:
        if not self.patterns:
            return found
        found = replace(found, segment=self.segment(found.segment))
        if not self.hides(found.signal):
            return found
        before, after = found.reference_histogram, _histogram(found.reference_histogram)
        labels = dict(zip(before.labels(), after.labels(), strict=True)) if before and after else {}
        return replace(
            found, reference=_summary(found.reference), current=_summary(found.current), reference_histogram=after,
            current_histogram=_histogram(found.current_histogram), detail="",
            moved=[replace(one, label=labels[one.label]) for one in found.moved if one.label in labels],
        )  # fmt: skip


def _summary(shown: Summary | None) -> Any:
    return None if shown is None else Summary(rows=shown.rows, nulls=shown.nulls, distinct=shown.distinct)


def _histogram(shown: Histogram | None) -> Histogram | None:
    if shown is None:
        return None
    levels = [f"level {n}" for n in range(1, len(shown.levels) + 1)]
    return replace(shown, cuts=[float(n) for n in range(1, len(shown.cuts) + 1)], levels=levels)
