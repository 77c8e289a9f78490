"""Silence: events that the season expects and that do not come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.findings import Detection, Summary
from detectors.watch import BLOCK, Calm

if TYPE_CHECKING:
    from detectors.model import Model, Version
    from detectors.reaction import Reaction


def longest_usual(at: np.ndarray) -> list[float]:
    """Longest gap in seconds that began in each hour of day (UTC), 24 of them, smoothed over the neighbours.

    An hour in which nothing ever came has the longest gap of all. Empty when there are fewer than 50 gaps.
    """
    gaps = np.diff(at)
    if len(gaps) < 50:
        return []
    hours = ((at[:-1] // 3600) % 24).astype(np.int64)
    longest = np.full(24, -1.0)
    np.maximum.at(longest, hours, gaps)
    longest[longest < 0] = gaps.max()
    return np.max([np.roll(longest, -1), longest, np.roll(longest, 1)], axis=0).tolist()


def patience(quiet: list[float], last: float, factor: float) -> float:
    """Seconds of silence after an event at `last` beyond which it is not usual any more."""
    if not quiet:
        return float("inf")
    usual = quiet[int(last // 3600) % 24]
    typical = sorted(quiet)[len(quiet) // 2]
    return max(usual * 2.0, min(typical * factor, usual * factor), 60.0)


def told(model: Model, at: float, reaction: Reaction) -> None:
    """A detection when nothing has come for longer than is usual at this hour; once."""
    version = model.versions.get(model.serving)
    if version is None or model.reference is None or model.silent_since or not model.reference.quiet:
        return
    wait = patience(model.reference.quiet, model.clock.watermark, model.options.silence_after)
    quiet = at - model.clock.watermark
    if quiet <= wait or quiet > 30 * 86_400:
        return
    model.silent_since, model.changed = model.clock.watermark, True
    usual = model.reference.rows / max(model.reference.end - model.reference.start, 1.0)
    reaction.detections.append((model.key(version), Detection(
        detector="silence", signal="silence", kind="silence", at=at, onset=model.clock.watermark, row=version.rows,
        onset_row=version.rows, statistic=quiet, threshold=wait, effect=None, direction="down",
        reference=Summary(rows=model.reference.rows, mean=usual), current=Summary(rows=0, mean=0.0),
        window_start=model.clock.watermark, window_end=at,
        detail=f"nothing for {quiet / 60:.0f} min, where at most {wait / 60:.0f} min is usual at this hour",
    )))  # fmt: skip


def broken(model: Model, version: Version, reaction: Reaction) -> None:
    """Events have come again."""
    if not model.silent_since:
        return
    model.silent_since = 0.0
    reaction.calms.append(
        (model.key(version), Calm(kind="silence", signals=["silence"], at=version.last_at, rows=BLOCK))
    )
