"""The stream itself: late events, duplicates, and values that stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.findings import Detection, Summary
from detectors.watch import Calm

if TYPE_CHECKING:
    from detectors.model import Model, Version
    from detectors.reaction import Reaction

ROWS = 500
"""Shares are judged over at least so many events."""
SHARE, CALM = 0.05, 0.02
"""A share this far above the usual is told; this near to it again is calm."""
FROZEN_ROWS, FROZEN_TIMES = 300, 3.0
"""A feature stands still after so many equal rows, and so many times its longest usual run."""


class Flow:
    """Shares of late and duplicate events of one model, against their own slow average."""

    def __init__(self) -> None:
        self.seen = {"late": 0, "duplicates": 0}
        self.rows = 0
        self.usual = {"late": 0.0, "duplicates": 0.0}
        self.open: list[str] = []

    def judge(self, model: Model, version: Version, reaction: Reaction) -> None:
        """Called after each batch; speaks once enough events have come."""
        counts = {"late": model.clock.late, "duplicates": model.duplicates}
        fresh = {name: counts[name] - self.seen[name] for name in counts}
        total = model.rows - self.rows + sum(fresh.values())
        if total < ROWS:
            return
        self.rows, self.seen = model.rows, counts
        for name, count in fresh.items():
            share, usual = count / total, self.usual[name]
            if name not in self.open and share >= usual + SHARE:
                self.open.append(name)
                reaction.detections.append((model.key(version), _told(model, version, name, share, usual, total)))
            elif name in self.open and share <= usual + CALM:
                self.open.remove(name)
                calm = Calm(kind="quality", signals=[name], at=version.last_at, rows=total)
                reaction.calms.append((model.key(version), calm))
            if name not in self.open:
                self.usual[name] += 0.1 * (share - usual)

    def snapshot(self) -> list:
        return [self.seen, self.rows, self.usual, self.open]

    def restore(self, state: list) -> None:
        self.seen, self.rows, self.usual, self.open = state


def _told(model: Model, version: Version, name: str, share: float, usual: float, total: int) -> Detection:
    what = {"late": "came later than the lateness allowed and were left out", "duplicates": "had come before"}[name]
    return Detection(
        detector="flow", signal=name, kind="quality", at=version.last_at, onset=version.last_at, row=version.rows,
        onset_row=max(version.rows - total, 0), statistic=share, threshold=usual + SHARE, effect=share - usual,
        direction="up", reference=Summary(rows=model.rows, mean=usual), current=Summary(rows=total, mean=share),
        detail=f"{100 * share:.0f}% of the last {total} events {what} (usually {100 * usual:.1f}%)",
    )  # fmt: skip


def frozen(model: Model, version: Version, reaction: Reaction) -> None:
    """Features whose value has not changed for much longer than it ever did in the baseline; told once, and its end."""
    watch = version.watch
    if watch is None:
        return
    lasted = watch.state.runs[1].tolist()
    if not version.flow and max(lasted, default=0.0) < FROZEN_ROWS:
        return
    for v, column, signal in watch.compiled.longest:
        limit = max(FROZEN_ROWS, FROZEN_TIMES * column.longest)
        still = lasted[v] >= limit
        if still and signal not in version.flow:
            version.flow[signal] = version.last_at
            name = signal.partition(":")[2]
            reaction.detections.append(
                (
                    model.key(version),
                    Detection(
                        detector="flow",
                        signal=signal,
                        kind="staleness",
                        at=version.last_at,
                        onset=version.last_at,
                        row=watch.row,
                        onset_row=max(watch.row - int(lasted[v]), 0),
                        statistic=lasted[v],
                        threshold=limit,
                        reference=column.summary,
                        current=Summary(rows=int(lasted[v]), mean=float(watch.state.runs[0, v])),
                        importance=float(watch.options.importance.get(name, 0.0)),
                        detail=f"{name} has been {watch.state.runs[0, v]:.6g} for {int(lasted[v])} rows "
                        f"(at most {column.longest:.0f} in the baseline)",
                    ),
                )
            )
        elif not still and signal in version.flow and lasted[v] < limit:
            del version.flow[signal]
            calm = Calm(kind="staleness", signals=[signal], at=version.last_at, rows=int(lasted[v]) + 1)
            reaction.calms.append((model.key(version), calm))
