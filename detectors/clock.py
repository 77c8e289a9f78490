"""Event time of one model: what is late, what is wild, and when the clock itself moved. Nothing plausible is lost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

JUMP = 86_400.0
"""An event this far from all others does not move the clock alone: it is held until others agree with it."""
SOON = 30 * 86_400.0
AGREE_SOON, AGREE_FAR, AGREE_BACK = 2, 5, 20
"""Events in a row that agree: within a month ahead (a weekly batch), farther ahead, or back in time."""


class Clock:
    """`watermark` is the newest event time believed. Held events are given back when the clock turns out right."""

    def __init__(self, lateness: float):
        self.lateness = lateness
        self.watermark = 0.0
        self.held: list[tuple[float, Any]] = []
        self.late = 0
        self.wild = 0
        self.moves: list[tuple[float, float]] = []
        """(from, to) of moves not told yet."""

    def admit(self, at: float, event: Any) -> list[Any]:
        """The events that may be counted now: usually just this one, none while it is held or late."""
        mark = self.watermark
        if mark == 0.0:
            self.watermark = at
            return [event]
        if mark - self.lateness <= at <= mark + JUMP:
            if self.held:
                self._forget()
            if at > mark:
                self.watermark = at
            return [event]
        if mark - JUMP <= at < mark:
            self.late += 1
            return []
        return self._strange(at, event)

    def _strange(self, at: float, event: Any) -> list[Any]:
        ahead = at > self.watermark
        if self.held and (self.held[0][0] > self.watermark) != ahead:
            self._forget()
        if self.held and at < self.held[-1][0] - JUMP:
            self._forget()
        self.held.append((at, event))
        need = AGREE_BACK if not ahead else AGREE_SOON if at - self.watermark <= SOON else AGREE_FAR
        if len(self.held) < need:
            return []
        if at - self.watermark > SOON or not ahead:
            self.moves.append((self.watermark, at))
        self.watermark = at if not ahead else max(t for t, _ in self.held)
        events, self.held = [e for _, e in self.held], []
        return events

    def _forget(self) -> None:
        """Held events with which no other agreed: wild if ahead, late if behind."""
        wild = sum(1 for at, _ in self.held if at > self.watermark)
        self.wild += wild
        self.late += len(self.held) - wild
        self.held = []

    def admit_rows(self, at: np.ndarray) -> np.ndarray:
        """The same for many rows at once, bool[n]; a jump is believed when the row after it agrees."""
        from detectors import orderly

        if not len(at):
            return np.zeros(0, bool)
        self._forget()
        start = self.watermark or float(at[0])
        reached = orderly.newest(at, start, min(self.lateness, JUMP), JUMP)
        if not math.isnan(reached):
            self.watermark = reached
            return np.ones(len(at), bool)
        newest = np.maximum.accumulate(np.concatenate([[start], at]))
        keep = at >= newest[:-1] - self.lateness
        leaps = np.flatnonzero(at > newest[:-1] + JUMP)
        for i in leaps:
            if i + 1 < len(at) and at[i + 1] < at[i] - JUMP:
                self.wild += 1
                self._leapt(at, newest, leaps[leaps < i])
                rest = self.admit_rows_after(at, int(i), newest, keep)
                return rest
        back = np.flatnonzero(at < newest[:-1] - JUMP)
        if len(back) >= AGREE_BACK and (np.diff(back[:AGREE_BACK]) == 1).all():
            first = int(back[0])
            self._leapt(at, newest, leaps[leaps < first])
            self.moves.append((float(newest[first]), float(at[first])))
            self.watermark = float(at[first])
            return np.concatenate([keep[:first], self.admit_rows(at[first:])])
        self._leapt(at, newest, leaps)
        self.late += int((~keep).sum())
        self.watermark = float(newest[-1])
        return keep

    def _leapt(self, at: np.ndarray, newest: np.ndarray, leaps: np.ndarray) -> None:
        """Note the jumps ahead that were believed and are no pause of a quiet model."""
        self.moves += [(float(newest[i]), float(at[i])) for i in leaps.tolist() if at[i] - newest[i] > SOON]

    def admit_rows_after(self, at: np.ndarray, wild: int, newest: np.ndarray, keep: np.ndarray) -> np.ndarray:
        """Go on behind a wild row as if it had not come."""
        self.late += int((~keep[:wild]).sum())
        self.watermark = float(newest[wild])
        return np.concatenate([keep[:wild], [False], self.admit_rows(at[wild + 1 :])])

    def snapshot(self, plain: Any) -> list[Any]:
        """`plain` turns a held event into plain data."""
        return [self.watermark, [[at, plain(event)] for at, event in self.held], self.late, self.wild]

    def restore(self, state: list[Any], made: Any) -> None:
        self.watermark, held, self.late, self.wild = state
        self.held = [(at, made(event)) for at, event in held]
