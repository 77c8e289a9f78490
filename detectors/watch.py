"""One model version under watch: its rows go through the kernel block by block, its windows close, its troubles open.

A trouble is one kind of change (`compiled.KINDS`) that lasts: it is told once when it begins, again only when it gets
worse or reaches other signals, and its end is told when as many calm rows have come as it took to see it.
"""

from __future__ import annotations

from operator import lt
from typing import Any

import numpy as np
from msgspec import Struct

from core.findings import Detection
from detectors import deploy, explain
from detectors.beyond import beyond
from detectors.compiled import GROUP, KINDS, Compiled
from detectors.fault import Told, touched
from detectors.options import Options
from detectors.readers import Found, Readers
from detectors.rows import Rows, cells

BLOCK = 25
PAUSE = 3_600.0
EVERY = 16
"""Blocks after which it is asked whether most rows lie beyond the baseline."""
AGAIN = 16
"""Blocks after which it is asked anew whether a trouble reached other signals, when the last answer was no."""
MIN_CALM = 4
"""Level of the shortest window that is asked whether a trouble is over: 16 blocks, 400 rows."""


class Trouble(Struct, kw_only=True):
    """One kind of change that goes on."""

    kind: int
    signals: dict[str, float]
    """signal -> the largest effect told so far."""
    level: int
    """Windows of 2**level blocks were needed to see it, and are to see its end."""
    since: float
    row: int
    blocks: int = 0
    """Blocks seen since it was told."""
    columns: list[int] = []
    kinds: list[str] = []
    """Kinds of the detections told (nulls are `quality` even where the whole distribution gave the alarm)."""
    asked: int = 0
    """Row at which it was last asked whether the trouble has reached other signals."""


class Calm(Struct, frozen=True, kw_only=True):
    """A trouble that is over."""

    kind: str
    signals: list[str]
    at: float
    rows: int


def block_ends(at: np.ndarray) -> np.ndarray:
    """Ends of the blocks of rows at these times: every 25 rows, and before every wait of an hour or more.

    Rows of two days are not one block: the night, or a moved clock, lies between them.
    """
    cuts = np.flatnonzero(np.diff(at) >= PAUSE) + 1
    ends: list[int] = []
    start = 0
    for stop in [*cuts.tolist(), len(at)]:
        ends += [*range(start + BLOCK, stop, BLOCK), stop]
        start = stop
    return np.array(ends, np.int64)


class Watch:
    """`compiled` is shared by all versions with one reference; everything else is this version's own."""

    def __init__(self, compiled: Compiled, options: Options):
        from detectors.arrays import new_state

        self.compiled, self.options = compiled, options
        bins, hours = int(compiled.off[-1]), len(compiled.ref.cell)
        self.state = new_state(bins, len(compiled.columns), len(compiled.number), hours)
        self.row = 0
        self.estimated = self._estimated()
        self.first_at = self.last_at = 0.0
        self.window_start = self.window_end = 0.0
        self.window_rows = 0
        self.troubles: dict[int, Trouble] = {}
        self.readers = Readers(compiled, options)
        self.seasonal = hours > 1 or self.readers.seasonal
        self.hush = np.zeros(4)
        """A group whose total passed the limit but showed no effect is asked again above it, or eight blocks later."""
        self.hushed = 0
        self.usual = np.full(4, options.arl_blocks)
        """The limits while nothing is open, hushed or newly deployed."""
        self.boundary = False
        """Whether the block means of the version before lead into this version's first ones."""

    def _estimated(self) -> tuple[int, int, np.ndarray] | None:
        """(first bin, last bin, mean error per bin) of the score, where the reference had labels."""
        error = self.compiled.reference.error
        at = next((c for c, column in enumerate(self.compiled.columns) if column.signal == "score"), None)
        if error is None or at is None or not error.by_bin:
            return None
        return int(self.compiled.off[at]), int(self.compiled.off[at + 1]), np.array(error.by_bin)

    def follow(self, before: Watch, at: float) -> None:
        """Begin where `before` (the version that served until now) leaves off, so that a step at the change is seen."""
        newest = (before.state.blocks[0] - 1) % len(before.state.ring_rows)
        gap = self.compiled.ref.gap
        if before.compiled.reference.id != self.compiled.reference.id or before.state.blocks[0] < 1:
            return
        if at - before.state.ring_time[1, newest] > gap[0]:
            return
        self.state.means[:] = before.state.means
        self.state.blocks[1] = min(before.state.blocks[1], 1)
        self.state.blocks[3] = before.state.blocks[3]
        self.boundary = True

    def limits(self) -> np.ndarray:
        """What each group's total must reach: the mean time between false alarms, less just after a deployment."""
        young = self.boundary and self.row <= self.options.deploy_rows
        if not (young or self.troubles or any(self.hush.tolist())):
            return self.usual
        limit = np.full(4, self.options.arl_blocks / (self.options.deploy_prior if young else 1.0))
        if self.row >= self.hushed + 8 * BLOCK:
            self.hush[:] = 0.0
        limit = np.maximum(limit, self.hush)
        for kind in self.troubles:
            limit[kind] = np.inf
        return limit

    def add(self, rows: Rows) -> tuple[list[Detection], list[Calm], list[Any]]:
        """Take whole blocks of rows (or a last shorter one): (detections, ended troubles, closed windows)."""
        from detectors import kernel

        if not self.row:
            self.first_at = float(rows.at[0])
        codes, numbers = self.compiled.encode(rows, self.row)
        cell = cells(rows.at) if self.seasonal else np.zeros(len(rows), np.uint8)
        ends = block_ends(rows.at)
        bounds = np.concatenate([[0], ends])
        found: list[Detection] = []
        calms: list[Calm] = []
        closed: list[Any] = []
        done = 0
        while done < len(ends):
            count = self._ahead(rows.at, ends, done)
            before = int(self.state.blocks[0])
            passed = kernel.advance(
                self.compiled.ref, self.state, codes, cell, rows.at, numbers, bounds[done : done + count + 1],
                self.limits(), BLOCK,
            )  # fmt: skip
            start, end = int(bounds[done]), int(bounds[done + passed])
            self.row += end - start
            self.window_rows += end - start
            if self.window_start == 0.0:
                self.window_start = float(rows.at[start])
            self.window_end = self.last_at = max(self.last_at, float(rows.at[start:end].max()))
            done += passed
            found += self._judge()
            if 0 not in self.troubles and (before + passed) // EVERY > before // EVERY:
                found += self._tell(0, [t for one in beyond(self) for t in explain.reported(self, *one)])
            found += self._read(self.readers.read(numbers[:, start:end], cell[start:end]))
            calms += self._calm(passed)
            found += self._worse()
            if self.due():
                content = self.close()
                closed.append(content)
                found += self._read(content.found)
        return found, calms, closed

    def _ahead(self, at: np.ndarray, ends: np.ndarray, done: int) -> int:
        """How many blocks may run before somebody must look: until the window closes, or four while in trouble."""
        most = 4 if self.troubles or self.boundary else len(ends) - done
        if self.boundary and self.row < 2 * BLOCK:
            most = 1
        first = int(ends[done - 1]) if done else 0
        start = self.window_start or float(at[first])
        last = ends[done : done + most]
        for count, (end, when) in enumerate(zip(last.tolist(), at[last - 1].tolist(), strict=True), 1):
            if self.full(self.window_rows + end - first, when - start):
                return count
        return len(last)

    def full(self, rows: int, seconds: float) -> bool:
        """Whether a window of so many rows and seconds closes."""
        o = self.options
        return (rows >= o.window_rows and seconds >= o.min_window_seconds) or seconds >= o.window_seconds

    def due(self) -> bool:
        return self.window_rows > 0 and self.full(self.window_rows, self.window_end - self.window_start)

    def close(self) -> Any:
        """The open window's content (`windows.Content`), and a new window opened."""
        from detectors import arrays, windows

        content = windows.content(self)
        content.found = self.readers.judge(self.state.window, content.psi, self.options.min_effect)
        arrays.open_window(self.state)
        self.window_rows, self.window_start = 0, 0.0
        return content

    def _judge(self) -> list[Detection]:
        """Detections of the groups whose totals are at their limits, with their troubles opened."""
        found: list[Detection] = []
        if self.boundary and self.state.blocks[0] == 2 and 0 not in self.troubles:
            found += self._tell(0, deploy.boundary(self))
        limit = self.limits().tolist()
        if not self.troubles and all(map(lt, self.state.total.tolist(), limit)):
            return found
        for group in range(4):
            if group in self.troubles:
                found += self._reached(group)
                continue
            total = float(self.state.total[group])
            if total < limit[group]:
                continue
            told = self._tell(group, explain.alarm(self, group, total, limit[group]))
            if not told:
                self.hush[group], self.hushed = total * 10, self.row
            found += told
        return found

    def _reached(self, group: int) -> list[Detection]:
        """Detections of signals that an open trouble had spared until now: by their own evidence, without its."""
        trouble = self.troubles[group]
        if self.row < trouble.asked + AGAIN * BLOCK:
            return []
        spoilt = touched(self, trouble.columns)
        total = explain.total(self, group, spoilt)
        if total < self.options.arl_blocks:
            return []
        trouble.asked = self.row
        told = explain.alarm(self, group, total, self.options.arl_blocks)
        return self._tell(group, [t for t in told if t.column not in spoilt])

    def _tell(self, group: int, told: list[Told]) -> list[Detection]:
        known = {signal for trouble in self.troubles.values() for signal in trouble.signals}
        told = [t for t in told if t.detection.signal not in known]
        if not told:
            return []
        level = max(MIN_CALM, max(t.level for t in told[:1]))
        trouble = self.troubles.get(group)
        if trouble is not None:
            trouble.signals |= {t.detection.signal: t.detection.effect or 0.0 for t in told}
            trouble.columns += [t.column for t in told]
            trouble.kinds = sorted({*trouble.kinds, *(t.detection.kind for t in told)})
            trouble.level, trouble.asked = max(trouble.level, level), 0
            return [t.detection for t in told]
        self.troubles[group] = Trouble(
            kind=group, signals={t.detection.signal: t.detection.effect or 0.0 for t in told}, level=level,
            since=told[0].detection.at, row=self.row, columns=[t.column for t in told],
            kinds=sorted({t.detection.kind for t in told}),
        )  # fmt: skip
        return [t.detection for t in told]

    def _read(self, findings: list[Found]) -> list[Detection]:
        """Detections of the other detectors, where their kind of trouble is not open already."""
        found: list[Detection] = []
        for column, name, finding in findings:
            group = GROUP[self.compiled.columns[column].family]
            if group not in self.troubles:
                found += self._tell(group, explain.reported(self, column, name, finding))
        return found

    def _calm(self, blocks: int) -> list[Calm]:
        """Troubles whose signals look like the reference again, over as many rows as it took to see them."""
        over: list[Calm] = []
        for group, trouble in list(self.troubles.items()):
            trouble.blocks += blocks
            wait = max(1 << trouble.level, -(-self.options.calm_rows // BLOCK))
            if trouble.blocks < wait or not self._looks_well(trouble):
                continue
            for kind in trouble.kinds or [KINDS[group]]:
                over.append(Calm(kind=kind, signals=list(trouble.signals), at=self.last_at, rows=wait * BLOCK))
            del self.troubles[group]
            self.hush[group] = 0.0
            self._forget()
        return over

    def _worse(self) -> list[Detection]:
        """Signals of open troubles whose effect has since passed the warning or the critical mark: told again."""
        found: list[Detection] = []
        for group, trouble in self.troubles.items():
            if trouble.blocks < 1 << MIN_CALM or trouble.blocks % 16 >= 4:
                continue
            for told in explain.grown(self, group, trouble):
                trouble.signals[told.detection.signal] = told.detection.effect or 0.0
                trouble.kinds = sorted({*trouble.kinds, told.detection.kind})
                found.append(told.detection)
        return found

    def _looks_well(self, trouble: Trouble) -> bool:
        pairs = zip(trouble.columns, trouble.signals.items(), strict=True)
        return all(
            self._size(c, signal, trouble.level) < max(min(0.5 * told, 0.1), 0.02) for c, (signal, told) in pairs
        )

    def _size(self, column: int, signal: str, level: int) -> float:
        """How far a signal is from the reference: the rise of a share for nulls and the like, corrected PSI else."""
        kind = {"nulls": 0, "unseen": 1, "type": 1}.get(signal.partition(":")[0])
        if kind is None:
            return self.effect(column, level)
        first, last = self.compiled.off[column], self.compiled.off[column + 1]
        counts = self.state.sums[level, first:last]
        return float(counts[kind - 2] / max(counts.sum(), 1)) - self.compiled.columns[column].expected_special[kind]

    def _forget(self) -> None:
        """Drop the counts in which the trouble still lies, unless another trouble needs them."""
        from detectors import arrays

        if not self.troubles:
            arrays.reset(self.state)

    def effect(self, column: int, level: int) -> float:
        """Corrected PSI of the window of 2**level blocks of this column."""
        first, last = self.compiled.off[column], self.compiled.off[column + 1]
        counts = self.state.sums[level, first:last]
        if not counts.sum():
            return 0.0
        deff = float(self.compiled.deff[level, column])
        return self.compiled.effect(column, counts, deff)
