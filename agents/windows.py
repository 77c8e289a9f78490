"""Closed windows condensed into one piece of evidence: what each signal looked like while healthy, and now.

"Healthy" are the last windows before the onset (of the previous version when a new one had just taken over, of the same
version otherwise); "current" are the windows of the alerting version since. Both are pooled: counts are added,
quantiles come from the mixture of the windows' own quantile curves, weighted by rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.surprise import Constants, combine, pool, robust_scale
from agents.units import QUANTILES
from core.events import SignalWindow, WindowClosed
from core.findings import Histogram, Summary
from core.statistics import corrected_psi

RECENT = 24
"""How many windows are pooled on each side."""
TAKEOVER = 6 * 3600.0
"""A version whose first window starts at most this long before the onset took over at about the onset (seconds)."""
LATEST = 1
"""Windows of what is seen last: the first one since the onset may hold rows from before it."""
DETAILED = 24
"""Signals kept with all their numbers; the others keep their size only (500 features must fit into one event)."""
_CURVE = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def condense(windows: Sequence[WindowClosed], version: str, onset: float, at: float) -> dict[str, Any]:
    """The result of the telemetry evidence. `windows` in any order, of any versions; without segments.

    {"onset", "versions": [{name, rows, windows, since, until, rows_after}], "healthy_version", "current_version",
     "takeover": bool, "partial": bool, "signals": [...]} with each signal as `_signal` gives it, most anomalous first.
    `partial`: no window has begun since the onset, so that what is current holds rows from before it.
    """
    whole = sorted((w for w in windows if not w.segment and w.rows > 0), key=lambda w: (w.end, w.start, w.id))
    healthy, current, takeover = split(whole, version, onset)
    names = sorted({name for w in (*healthy, *current) for name in w.signals})
    signals = [_signal(name, healthy, current) for name in names]
    signals.sort(key=lambda s: (-(s["s"] or 0.0), -(s["psi"] or 0.0), s["name"]))
    others = [w for w in whole if w.version != version and w.start >= onset]
    for place, signal in enumerate(signals):
        if place < DETAILED:
            beside = [w for w in others if signal["name"] in w.signals]
            if beside and signal["healthy"]:
                signal["other_versions"] = [_side(signal["name"], beside)]
            signal["series"] = _series(signal["name"], whole, onset)
            if signal["healthy"] and signal["healthy"].get("p50") is not None:
                signal["just_before"] = _side(signal["name"], [w for w in healthy if signal["name"] in w.signals][-4:])
                signal["just_before"].pop("counts", None), signal["just_before"].pop("cuts", None)
                latest = [w for w in current if signal["name"] in w.signals][-LATEST:]
                if signal["current"] and 0 < len(latest) < signal["current"]["windows"]:
                    signal["latest"] = _side(signal["name"], latest)
                    signal["latest"].pop("counts", None), signal["latest"].pop("cuts", None)
        else:
            signal["healthy"] = signal["current"] = None
            signal.pop("bins", None)
    return {
        "onset": onset,
        "at": max([at, *(w.end for w in current)]),
        "versions": _versions(whole, onset),
        "healthy_version": healthy[-1].version if healthy else "",
        "current_version": version,
        "takeover": takeover,
        "partial": not any(w.start >= onset - 1 for w in current),
        "signals": signals,
    }


def split(
    windows: Sequence[WindowClosed], version: str, onset: float
) -> tuple[list[WindowClosed], list[WindowClosed], bool]:
    """Healthy windows, current windows, and whether `version` took over at about the onset."""
    mine = [w for w in windows if w.version == version]
    earlier = [w for w in windows if w.version != version and w.end <= onset + 60]
    takeover = bool(earlier) and (not mine or mine[0].start >= onset - TAKEOVER)
    if takeover:
        return earlier[-RECENT:], mine[-RECENT:], True
    healthy = [w for w in mine if w.end <= onset + 1] or earlier
    current = [w for w in mine if w.start >= onset - 1] or [w for w in mine if w.end > onset + 1]
    return healthy[-RECENT:], current[-RECENT:], False


def _versions(windows: Sequence[WindowClosed], onset: float) -> list[dict[str, Any]]:
    found: dict[str, list[WindowClosed]] = {}
    for window in windows:
        found.setdefault(window.version, []).append(window)
    return [
        {
            "name": name,
            "windows": len(own),
            "rows": sum(w.rows for w in own),
            "rows_after": sum(w.rows for w in own if w.start >= onset),
            "since": own[0].start,
            "until": own[-1].end,
        }
        for name, own in list(found.items())[-6:]
    ]


def _signal(name: str, healthy: Sequence[WindowClosed], current: Sequence[WindowClosed]) -> dict[str, Any]:
    """One signal: {name, label, family, s, psi, healthy, current, bins}. `s` is None without both sides."""
    before = [w for w in healthy if name in w.signals]
    now = [w for w in current if name in w.signals]
    family, _, rest = name.partition(":")
    row: dict[str, Any] = {
        "name": name,
        "label": rest or family,
        "family": family,
        "s": None,
        "psi": None,
        "healthy": _side(name, before) if before else None,
        "current": _side(name, now) if now else None,
    }
    if not before or not now:
        return row
    then, since = [w.signals[name] for w in before], [w.signals[name] for w in now]
    row["s"] = _rounded(anomaly(then, since))
    row["swings"] = _rounded(swings(then, since))
    if "counts" in row["healthy"] and row["healthy"].get("cuts") == row["current"].get("cuts"):
        a, b = row["healthy"]["counts"], row["current"]["counts"]
        if len(a) == len(b):
            deff = max((w.design_effect.get(name, 1.0) for w in now), default=1.0)
            row["psi"] = _rounded(corrected_psi(a, b, deff))
            row["bins"] = now[-1].signals[name].histogram.labels()  # type: ignore[union-attr]
    return row


def _side(name: str, windows: Sequence[WindowClosed]) -> dict[str, Any]:
    """Pooled numbers of one signal over some windows."""
    shares = [w.signals[name] for w in windows]
    side: dict[str, Any] = {
        "version": windows[-1].version,
        "windows": len(windows),
        "since": windows[0].start,
        "until": windows[-1].end,
        **pooled([s.summary for s in shares]),
    }
    values = [s.value for s in shares if s.value is not None and math.isfinite(s.value)]
    if values:
        side["value"] = _rounded(float(np.average(values)))
    counts = merged([s.histogram for s in shares if s.histogram is not None])
    if counts is not None:
        side["counts"], side["cuts"] = counts.counts, [_rounded(c) for c in counts.cuts]
    return side


def pooled(summaries: Sequence[Summary]) -> dict[str, Any]:
    """Rows, nulls, mean, std and the quantiles p05..p95 of several summaries taken together."""
    rows = sum(s.rows for s in summaries)
    out: dict[str, Any] = {"rows": rows, "nulls": sum(s.nulls for s in summaries)}
    numeric = [s for s in summaries if s.mean is not None and s.rows > s.nulls]
    if numeric:
        weights = np.array([s.rows - s.nulls for s in numeric], float)
        means = np.array([s.mean for s in numeric], float)
        spread = np.array([s.std or 0.0 for s in numeric], float)
        mean = float(np.average(means, weights=weights))
        out["mean"] = _rounded(mean)
        out["std"] = _rounded(float(np.sqrt(np.average(spread**2 + (means - mean) ** 2, weights=weights))))
    curves = [s for s in summaries if None not in (s.p05, s.p25, s.p50, s.p75, s.p95) and s.rows > s.nulls]
    if curves:
        for key, value in zip(QUANTILES, _mixture(curves), strict=True):
            out[key] = _rounded(value)
    ends = [(s.minimum, s.maximum) for s in summaries if s.minimum is not None and s.maximum is not None]
    if ends:
        out["minimum"], out["maximum"] = _rounded(min(a for a, _ in ends)), _rounded(max(b for _, b in ends))
    top = next((s.top for s in reversed(summaries) if s.top), None)
    if top:
        out["top"] = top
    distinct = [s.distinct for s in summaries if s.distinct is not None]
    if distinct:
        out["distinct"] = max(distinct)
    return out


def _mixture(curves: Sequence[Summary]) -> list[float]:
    """Quantiles of the mixture of piecewise linear distributions through each summary's quantiles."""
    knots = []
    for s in curves:
        low = s.minimum if s.minimum is not None else s.p05
        high = s.maximum if s.maximum is not None else s.p95
        knots.append(np.maximum.accumulate([low, s.p05, s.p25, s.p50, s.p75, s.p95, high]))
    weights = np.array([s.rows - s.nulls for s in curves], float)
    grid = np.unique(np.concatenate(knots))
    if len(grid) == 1:
        return [float(grid[0])] * len(QUANTILES)
    share = np.zeros(len(grid))
    for knot, weight in zip(knots, weights / weights.sum(), strict=True):
        x, last = np.unique(knot[::-1], return_index=True)
        share += weight * np.interp(grid, x, np.array(_CURVE)[::-1][last], left=0.0, right=1.0)
    share = np.maximum.accumulate(share)
    return [float(np.interp(q, share, grid)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]


def merged(histograms: Sequence[Histogram]) -> Histogram | None:
    """Counts added up, of those with the newest one's bins; None when there are none."""
    if not histograms:
        return None
    last = histograms[-1]
    same = [
        h for h in histograms if h.cuts == last.cuts and h.levels == last.levels and len(h.counts) == len(last.counts)
    ]
    counts = np.sum([h.counts for h in same], axis=0)
    return Histogram(counts=[_rounded(float(c)) for c in counts], cuts=last.cuts, levels=last.levels)


def anomaly(healthy: Sequence[SignalWindow], current: Sequence[SignalWindow]) -> float | None:
    """The ranker's s of a signal: its most anomalous aspect (level, width, nulls, PSI), against history and before."""
    c = Constants()
    best: float | None = None
    for aspect, sign in (("level", 0), ("width", 0), ("nulls", 1), ("psi", 1)):
        past = np.array([_aspect(w, aspect) for w in healthy], float)
        now = np.array([_aspect(w, aspect) for w in current], float)
        past = past[np.isfinite(past)]
        if not len(past) or not np.isfinite(now).any():
            continue
        location, scale = robust_scale(past)
        scale = max(scale, _floor(healthy, aspect, len(past)))
        recent = float(np.median(past[-3:]))
        z = combine((now - location) / scale, (now - recent) / scale, sign)
        s = pool(z, np.full(len(z), 1 / len(z)), c)
        if math.isfinite(s):
            best = s if best is None else max(best, s)
    return best


def swings(healthy: Sequence[SignalWindow], current: Sequence[SignalWindow]) -> float | None:
    """How far the level now is from the healthy one, in usual swings of it between windows; slow changes included."""
    past = np.array([_aspect(w, "level") for w in healthy], float)
    now = np.array([_aspect(w, "level") for w in current[-6:]], float)
    past, now = past[np.isfinite(past)], now[np.isfinite(now)]
    if len(past) < 3 or not len(now):
        return None
    location, scale = robust_scale(past)
    return float((np.median(now) - location) / max(scale, 1e-12))


def _aspect(window: SignalWindow, aspect: str) -> float:
    s = window.summary
    match aspect:
        case "level":
            found = window.value if window.value is not None else s.p50 if s.p50 is not None else s.mean
        case "width":
            found = s.p95 - s.p05 if s.p95 is not None and s.p05 is not None else s.std
        case "nulls":
            found = s.nulls / s.rows if s.rows else None
        case _:
            found = window.psi
    return math.nan if found is None else found


def _floor(healthy: Sequence[SignalWindow], aspect: str, windows: int) -> float:
    """What a difference must at least be measured in: half a window's own spread while little history is known."""
    if aspect == "nulls":
        rows = np.median([max(w.summary.rows, 1) for w in healthy])
        return max(0.01, 1 / float(rows))
    if aspect == "psi":
        return 0.02
    spreads = [w.summary.std for w in healthy if w.summary.std is not None]
    return (0.5 if windows < 8 else 0.1) * float(np.median(spreads)) if spreads else 1e-9


def _series(name: str, windows: Sequence[WindowClosed], onset: float) -> list[list[Any]]:
    """[window end, level, rows]: the signal's way around the onset and until now, in at most 36 points.

    All of the last windows before the onset and of the first after it; what came then, thinned.
    """
    points = [(w.end, _aspect(w.signals[name], "level"), w.rows) for w in windows if name in w.signals]
    points = [p for p in points if math.isfinite(p[1])]
    before, after = [p for p in points if p[0] <= onset][-18:], [p for p in points if p[0] > onset]
    later = after[8:]
    thinned = [later[round(i * (len(later) - 1) / 9)] for i in range(10)] if len(later) > 10 else later
    return [[end, _rounded(level), rows] for end, level, rows in (*before, *after[:8], *thinned)]


def _rounded(value: float | None) -> float | None:
    """Six significant digits: evidence is shown to four at most, and travels in the audit log."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")
