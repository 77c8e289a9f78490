"""The detectors policy names beside the kernel: on values (score, confidence, latency) and on windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.base import BLOCK, Detector, Finding, Learned, load
from detectors.windowed import WindowRule

if TYPE_CHECKING:
    from detectors.compiled import Compiled
    from detectors.options import Options

Found = tuple[int, str, Finding]
"""column, detector, finding"""
IN_KERNEL = frozenset({"e_detector", "quality"})


class Readers:
    """All of one model version. `values[c]` read every row of a number column, `rules[c]` every closed window."""

    def __init__(self, compiled: Compiled, options: Options):
        self.compiled = compiled
        self.values: list[tuple[int, int, str, Detector, np.ndarray | None]] = []
        self.rules: dict[int, list[tuple[str, Detector]]] = {}
        for c, column in enumerate(compiled.columns):
            if column.family in ("relation", "lattice"):
                continue
            for name in options.watches(column.family):
                if name in IN_KERNEL:
                    continue
                made = load(name)
                if issubclass(made, WindowRule):
                    first, last = compiled.off[c], compiled.off[c + 1]
                    learned = Learned(counts=compiled.counts[first:last], values=np.zeros(0),
                                      deff=np.array(column.deff), worth=float(compiled.ref.m[c]))  # fmt: skip
                    self.rules.setdefault(c, []).append((name, made(learned, options.arl_blocks)))
                elif made.reads == "values" and column.signal in compiled.row and column.family != "feature":
                    self._read(c, name, made, options)

    @property
    def seasonal(self) -> bool:
        """Whether a season is taken off any of the values."""
        return any(hourly is not None for *_, hourly in self.values)

    def _read(self, c: int, name: str, made: type[Detector], options: Options) -> None:
        column = self.compiled.columns[c]
        mean, std = column.summary.mean or 0.0, column.summary.std or 0.0
        hourly = np.array(column.hourly) - mean if column.hourly else None
        if std > 0:
            learned = Learned(counts=np.zeros(0), values=np.array([mean - std, mean + std]), deff=np.array(column.deff),
                              worth=float(self.compiled.ref.m[c]), least=BLOCK)  # fmt: skip
            row = self.compiled.row[column.signal]
            self.values.append((c, row, name, made(learned, options.arl_blocks), hourly))

    def read(self, numbers: np.ndarray, cell: np.ndarray) -> list[Found]:
        """Rows of the number columns, f8[V, n]; a season is taken off first."""
        found = []
        for c, row, name, detector, hourly in self.values:
            series = numbers[row] if hourly is None else numbers[row] - hourly[cell]
            finding = detector.update(series)
            if finding is not None:
                found.append((c, name, finding))
        return found

    def judge(self, window: np.ndarray, psi: np.ndarray, least: float) -> list[Found]:
        """A closed window's flat counts: columns with a corrected PSI under `least` begin anew, others are tested."""
        found = []
        for c, rules in self.rules.items():
            material = psi[c] >= least
            for name, rule in rules:
                if not material:
                    if rule.rows:
                        rule.reset()
                    continue
                finding = rule.update(window[self.compiled.off[c] : self.compiled.off[c + 1]].astype(float))
                if finding is not None:
                    found.append((c, name, finding))
        return found

    def snapshot(self) -> dict[str, Any]:
        return {
            "values": [detector.snapshot() for _, _, _, detector, _ in self.values],
            "rules": {str(c): [rule.snapshot() for _, rule in rules] for c, rules in self.rules.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        for (_, _, _, detector, _), kept in zip(self.values, state["values"], strict=True):
            detector.restore(kept)
        for c, rules in self.rules.items():
            for (_, rule), kept in zip(rules, state["rules"][str(c)], strict=True):
                rule.restore(kept)
