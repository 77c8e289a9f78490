"""Recovery, judged by the test that was written down at approval: is the signal healthy again, or as in the incident?

Wald's sequential probability ratio test between two known shapes, the healthy one (reference and the last windows
before the onset) and the faulty one (what alerted), over fresh rows. Dependent rows are counted down by the design
effect. Source: Wald (1945), "Sequential tests of statistical hypotheses".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from core.approval import SuccessTest
from core.events import WindowClosed
from core.findings import Detection, Histogram
from core.incidents import Incident, Outcome
from core.statistics import corrected_psi, shares

ENOUGH = 50
"""Rows before the onset from which a shape can be told."""


class Verdict(Struct, frozen=True, kw_only=True):
    """`healthy`, `faulty` or `undecided`, with what it rests on. `llr` is in nats, positive for healthy."""

    verdict: str
    llr: float
    bound: float
    rows: int
    after: float | None = None
    """Bias-corrected PSI of the fresh rows against the reference, or their mean where there are no bins."""
    usual: float | None = None
    """The same PSI of the last windows before the trouble: few hours of weather are never quite a whole winter's."""
    mean: float | None = None
    """Mean of the signal over the fresh rows, where it has bins and is a number."""
    usual_mean: float | None = None
    """The same before the trouble."""


def lead(incident: Incident) -> Detection:
    """The detection that the success test watches: the one with the largest effect."""
    detections = [d for alert in incident.alerts for d in alert.detections]
    return max(detections, key=lambda d: (d.reference_histogram is not None, d.effect or 0.0))


def detection_of(incident: Incident, signal: str) -> Detection:
    """The incident's detection on `signal`, or its leading one."""
    matching = [d for a in incident.alerts for d in a.detections if d.signal == signal]
    return max(matching, key=lambda d: d.effect or 0.0) if matching else lead(incident)


def merged(windows: Sequence[WindowClosed], signal: str) -> list[float] | None:
    """Summed bin counts of `signal` over `windows`; None when none carries a histogram."""
    total: list[float] | None = None
    for window in windows:
        shown = window.signals.get(signal)
        if shown is None or shown.histogram is None:
            continue
        counts = shown.histogram.counts
        if total is None or len(total) != len(counts):
            total = [0.0] * len(counts)
        total = [a + b for a, b in zip(total, counts, strict=True)]
    return total


def judge(
    test: SuccessTest, found: Detection, before: Sequence[WindowClosed], fresh: Sequence[WindowClosed]
) -> Verdict:
    """Compare `fresh` windows with the healthy shape (reference and `before`) and the faulty shape (`found`)."""
    bound = math.log((1 - test.alpha) / test.alpha)
    rows = sum(w.rows for w in fresh if test.signal in w.signals)
    if found.reference_histogram and found.current_histogram:
        llr, after = _binned(test.signal, found.reference_histogram, found.current_histogram, before, fresh)
        usual = _usual(test.signal, found.reference_histogram, before)
        mean, usual_mean = _mean_over(test.signal, fresh), _mean_over(test.signal, before)
    else:
        llr, after = _means(test.signal, found, fresh)
        usual = mean = usual_mean = None
    verdict = "undecided"
    if rows >= test.min_rows and abs(llr) >= bound:
        verdict = "healthy" if llr > 0 else "faulty"
    elif rows >= test.max_rows:
        verdict = "faulty"
    return Verdict(
        verdict=verdict, llr=llr, bound=bound, rows=rows, after=after, usual=usual, mean=mean, usual_mean=usual_mean
    )


def _binned(
    signal: str, reference: Histogram, faulty: Histogram, before: Sequence[WindowClosed], fresh: Sequence[WindowClosed]
) -> tuple[float, float | None]:
    counts = merged(fresh, signal)
    if counts is None or len(counts) != len(reference.counts):
        return 0.0, None
    recent = merged(before, signal)
    healthy = shares(reference.counts)
    if recent is not None and len(recent) == len(healthy) and sum(recent) >= ENOUGH:
        # Half each: the reference alone knows nothing of today's season, yesterday alone knows nothing of the rest.
        healthy = [(a + b) / 2 for a, b in zip(healthy, shares(recent), strict=True)]
    deff = max((w.design_effect.get(signal, 1.0) for w in fresh), default=1.0)
    sick = shares(faulty.counts)
    llr = sum(c * math.log(h / s) for c, h, s in zip(counts, healthy, sick, strict=True)) / deff
    return llr, corrected_psi(reference.counts, counts, deff)


def _usual(signal: str, reference: Histogram, before: Sequence[WindowClosed]) -> float | None:
    counts = merged(before, signal)
    if counts is None or len(counts) != len(reference.counts) or sum(counts) < ENOUGH:
        return None
    return corrected_psi(reference.counts, counts, max((w.design_effect.get(signal, 1.0) for w in before), default=1.0))


def _mean_over(signal: str, windows: Sequence[WindowClosed]) -> float | None:
    seen = [(rows, mean) for rows, mean in (_mean_of(w, signal) for w in windows) if rows and mean is not None]
    rows = sum(r for r, _ in seen)
    return sum(r * m for r, m in seen) / rows if rows else None


def _means(signal: str, found: Detection, fresh: Sequence[WindowClosed]) -> tuple[float, float | None]:
    """Gaussian ratio for signals that have no bins (rates, latencies): two known means, the healthy spread."""
    reference, current = found.reference, found.current
    mean = _mean_over(signal, fresh)
    rows = sum(rows for rows, seen in (_mean_of(w, signal) for w in fresh) if seen is not None)
    if mean is None or reference is None or current is None or reference.mean is None or current.mean is None:
        return 0.0, None
    spread = reference.std or math.sqrt(max(reference.mean * (1 - reference.mean), 1e-4))
    llr = rows * (current.mean - reference.mean) * ((current.mean + reference.mean) / 2 - mean) / spread**2
    deff = max((w.design_effect.get(signal, 1.0) for w in fresh), default=1.0)
    return llr / deff, mean


def _mean_of(window: WindowClosed, signal: str) -> tuple[int, float | None]:
    shown = window.signals.get(signal)
    if shown is None:
        return 0, None
    return shown.summary.rows, shown.summary.mean if shown.summary.mean is not None else shown.value


def outcome(test: SuccessTest, found: Detection, verdict: Verdict, elapsed: float) -> Outcome | None:
    """What came of it, or None while undecided. `elapsed` is event time in seconds since the action."""
    if verdict.verdict == "undecided" and elapsed < test.within_seconds:
        return None
    binned = found.reference_histogram is not None
    faulty = found.current.mean if found.current else None
    before = found.effect if binned else faulty
    changes = [
        _change("mean", faulty, verdict.mean, verdict.usual_mean),
        _change("PSI" if binned else "mean", before, verdict.after, verdict.usual),
    ]
    said = ", ".join(change for change in changes if change)
    numbers = f"{test.signal} {said} over {verdict.rows} fresh rows" if said else ""
    if verdict.verdict == "healthy":
        text, word = f"Confirmed: {numbers or f'{verdict.rows} fresh rows look healthy'}", "confirmed"
    else:
        why = "still looks as in the incident" if verdict.verdict == "faulty" else "undecided within the time allowed"
        text, word = f"Not recovered: {test.signal} {why} ({numbers or f'{verdict.rows} fresh rows'})", "not_recovered"
    return Outcome(
        verdict=word, text=text, rows=verdict.rows, before=before, after=verdict.after,
        statistic=verdict.llr, threshold=verdict.bound,
    )  # fmt: skip


def _change(name: str, faulty: float | None, fresh: float | None, usual: float | None) -> str:
    if faulty is None or fresh is None:
        return ""
    return f"{name} {faulty:.2f} -> {fresh:.2f}" + (f" ({usual:.2f} before the trouble)" if usual is not None else "")
