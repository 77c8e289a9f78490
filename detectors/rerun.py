"""The Monitor fed with a table of the past, chunk by chunk, and what it said, in rows of that table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from core.alert_stages import Context, Draft, Rules, severity
from core.events import LabelArrived, WindowClosed
from core.findings import Detection
from core.statistics import psi
from detectors.backtest import Alarm, Series
from detectors.baseline import Reference
from detectors.explain import WEEK
from detectors.learn import texts_of
from detectors.monitor import Monitor
from detectors.options import Options
from detectors.rows import Rows
from detectors.table import Table, listed
from detectors.watch import BLOCK

CHUNK = 500
NAIVE_ROWS, NAIVE_PSI = 500, 0.2
POINTS = 1_500
"""Points kept of a signal's series for its picture."""
PAUSES = 2_000
"""So many of the longest waits between rows are looked at for silence."""
TENANT = "backtest"
LABELLED = ("error", "quality:")


class Rerun:
    """One run. `where[i]` is the row in the file of the i-th row to watch."""

    def __init__(self, table: Table, where: np.ndarray, reference: Reference, options: Options, model: str):
        self.table, self.where, self.model, self.reference, self.options = table, where, model, reference, options
        self.monitor = Monitor(msgspec.to_builtins(options), lambda *_: reference)
        self.alarms: list[Alarm] = []
        self.detections: list[Detection] = []
        self.series: dict[str, Series] = {}
        self.notes: list[str] = []
        self.naive_windows = 0
        self.gathered: dict[str, np.ndarray] = {}
        self.counted: dict[str, list[np.ndarray]] = {}
        """version -> positions of the rows that were counted, in order."""
        self.labelled: dict[str, list[np.ndarray]] = {}
        self.seen = 0
        self.rules = Rules(warn_effect=options.warn_effect, critical_effect=options.critical_effect)
        self.known = {c.signal: np.array(c.bins.shown(c.counts)) for c in reference.columns}
        self.segments: dict[str, list[Any]] = {}
        self.answered = self._answered()

    def go(self, progress: Callable[[int, int], None]) -> None:
        """Read all rows; `alarms` and `detections` are in order of the rows then."""
        rows, total = self.table.rows, len(self.table.rows)
        labels = self.table.labels
        if labels is not None and not any(rows.ids[:100]):
            rows.ids = [f"r{i}" for i in range(total)]
        for begin, end in pairwise(self._cuts()):
            for version, at in self._versions(begin, end):
                part, kept = rows.take(at), np.ones(len(at), bool)
                if self.reference.columns:
                    told = self.monitor.on_rows(TENANT, self.model, version, part)
                    kept = self.monitor.model(TENANT, self.model).kept
                    self.counted.setdefault(version, []).append(at[kept])
                    self._said(told)
                if labels is not None:
                    self._label(version, part.take(np.flatnonzero(kept)), at[kept])
                if self.table.wrong is not None:
                    self._errors(version, at)
            if end < total:
                self._said(self.monitor.on_tick(float(rows.at[end]) - 1e-3))
            progress(end, total)
        order = sorted(range(len(self.alarms)), key=lambda i: self.alarms[i].row)
        self.alarms, self.detections = [self.alarms[i] for i in order], [self.detections[i] for i in order]
        self._thin()

    def per_week(self) -> float | None:
        """Expected false alarms a week at the pace of these rows."""
        at = self.table.rows.at
        span = float(at[-1] - at[0])
        return len(at) / span * WEEK / BLOCK / self.options.arl_blocks if span > 0 else None

    def _cuts(self) -> list[int]:
        """Where to stop reading: every CHUNK rows, and at the longest waits, in which somebody may miss the rows."""
        total = len(self.table.rows)
        cuts = {*range(0, total, CHUNK), total}
        if self.table.timed:
            waits = np.diff(self.table.rows.at)
            longest = np.argsort(-waits, kind="stable")[:PAUSES]
            cuts |= {int(i) + 1 for i in longest if waits[i] > 60 and waits[i] > 8 * np.median(waits)}
        return sorted(cuts)

    def _versions(self, begin: int, end: int) -> Iterator[tuple[str, np.ndarray]]:
        """(version, its positions) of a chunk, in order: stretches of one version each."""
        versions = self.table.versions
        if versions is None:
            yield "1", np.arange(begin, end)
            return
        cuts = [begin, *(i for i in range(begin + 1, end) if versions[i] != versions[i - 1]), end]
        for first, last in pairwise(cuts):
            yield versions[first] or "1", np.arange(first, last)

    def _answered(self) -> np.ndarray:
        """bool[n]: rows for which the model said something that a label can be held against."""
        found = np.zeros(len(self.table.rows), bool)
        for name in ("score", "prediction"):
            column = self.table.rows.columns.get(name)
            if column is not None:
                found |= np.array([v is not None for v in listed(column)], bool)
        return found

    def _label(self, version: str, part: Rows, at: np.ndarray) -> None:
        labels = self.table.labels
        arrived = [
            LabelArrived(id=name, at=max(when, 0.0), label=labels[i])
            for name, when, i in zip(part.ids, part.at.tolist(), at.tolist(), strict=True) if labels[i] is not None
        ]  # fmt: skip
        given = np.array([labels[i] is not None for i in at.tolist()], bool)
        self.labelled.setdefault(version, []).append(at[given & self.answered[at]])
        self._said(self.monitor.on_labels(TENANT, self.model, arrived))

    def _errors(self, version: str, at: np.ndarray) -> None:
        wrong = self.table.wrong[at]
        at = at[np.isfinite(wrong)]
        self.labelled.setdefault(version, []).append(at)
        if len(at):
            told = self.monitor.on_errors(TENANT, self.model, version, self.table.wrong[at], self.table.rows.at[at])
            self._said(told)

    def _said(self, reaction: Any) -> None:
        for (_, _, version), detection in reaction.detections:
            self.detections.append(detection)
            self.alarms.append(self._alarm(detection, version))
        for window in reaction.windows:
            self._window(window)
        self.notes += [fact.detail for fact in reaction.facts]

    def _alarm(self, d: Detection, version: str) -> Alarm:
        draft = Draft(key=(TENANT, self.model, version), kind=d.kind, detections=[d])
        row, onset = self._rows_of(d, version)
        return Alarm(
            row=row, at=d.at, signal=d.signal, kind=d.kind, detector=d.detector, statistic=d.statistic,
            threshold=d.threshold, severity=severity(draft, Context(), self.rules), onset_row=onset,
            effect=d.effect, detail=d.detail, version=version, segment=d.segment,
        )  # fmt: skip

    def _rows_of(self, d: Detection, version: str) -> tuple[int, int]:
        """(row, onset row) in the file."""
        parts = (self.labelled if d.signal.startswith(LABELLED) else self.counted).get(version, [])
        positions = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        if d.segment:
            column, _, level = d.segment.partition("=")
            texts = self.segments.setdefault(column, texts_of(self.table.rows.columns[f"feature:{column}"]))
            positions = np.array([i for i in positions.tolist() if texts[i] == level], np.int64)
        if not len(positions):
            return int(self.where[0]), int(self.where[0])
        last = len(positions) - 1
        row = positions[min(max(d.row - 1, 0), last)]
        onset = positions[min(max(d.onset_row, 0), last)]
        return int(self.where[row]), int(self.where[min(onset, row)])

    def _window(self, window: WindowClosed) -> None:
        if window.segment:
            return
        labelled = "error" in window.signals
        self.seen += 0 if labelled else window.rows
        for signal, shown in window.signals.items():
            series = self.series.setdefault(signal, Series())
            series.at.append(window.end)
            series.row.append(self._shown_row())
            series.psi.append(shown.psi if shown.psi is not None else shown.value or 0.0)
            if shown.histogram is not None and signal in self.known:
                self._naive(signal, np.array(shown.histogram.counts), series)

    def _shown_row(self) -> int:
        return int(self.where[min(self.seen, len(self.where)) - 1]) if self.seen else int(self.where[0])

    def _naive(self, signal: str, counts: np.ndarray, series: Series) -> None:
        held = self.gathered.get(signal, 0.0) + counts
        if held.sum() < NAIVE_ROWS:
            self.gathered[signal] = held
            return
        self.gathered[signal] = np.zeros(len(counts))
        self.naive_windows += 1
        if psi(self.known[signal].tolist(), held.tolist()) > NAIVE_PSI:
            series.naive.append(self._shown_row())

    def _thin(self) -> None:
        """At most POINTS windows a signal are kept for the pictures, the highest of each stretch."""
        for series in self.series.values():
            count = len(series.psi)
            if count <= POINTS:
                continue
            edges = np.linspace(0, count, POINTS + 1).astype(int)
            keep = [a + int(np.argmax(series.psi[a:b])) for a, b in pairwise(edges) if b > a]
            series.at, series.row = [series.at[i] for i in keep], [series.row[i] for i in keep]
            series.psi = [series.psi[i] for i in keep]
