"""Trust before install: the very detectors of production over a file of the past.

`backtest` is what `python -m bot backtest` calls: the Monitor reads the rows in columns, labels follow their rows, and
beside it stands what the usual rule (PSI over 0.2 in windows of 500 rows) would have done.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from core.alert_stages import Context, Draft, Rules, severity
from core.events import LabelArrived, WindowClosed
from core.findings import Detection
from core.statistics import psi
from detectors import from_file
from detectors.baseline import Reference, Unfit
from detectors.learn import learn, learn_segments
from detectors.monitor import Monitor
from detectors.options import Options, options_of
from detectors.rows import Rows
from detectors.table import Table, read

CHUNK = 5_000
NAIVE_ROWS, NAIVE_PSI = 500, 0.2
POINTS = 1_500
"""Points kept of a signal's series for its picture."""


class Alarm(Struct, frozen=True, kw_only=True):
    """One detection of the run, as `--json` prints it. `row` is the index of the last row read, from 0 in the file."""

    row: int
    at: float
    signal: str
    kind: str
    detector: str
    statistic: float
    threshold: float
    severity: str
    onset_row: int
    effect: float | None
    detail: str
    version: str = ""
    segment: str = ""


class Series(Struct, kw_only=True):
    """Corrected PSI of one signal (or the mean, for errors) per closed window, thinned; and the naive rule's alarms."""

    at: list[float] = []
    row: list[int] = []
    psi: list[float] = []
    naive: list[int] = []


class Report(Struct, kw_only=True):
    """Everything a backtest found."""

    source: str
    model: str
    rows: int
    reference_rows: int
    reference: str
    seconds: float
    first_row: int
    """Index of the first row watched: the reference lies before it, when it came from the same file."""
    alarms: list[Alarm]
    detections: list[Detection]
    series: dict[str, Series]
    naive: int
    """Alarms of the naive rule."""
    naive_windows: int
    false_alarms_per_week: float | None
    notes: list[str]
    timed: bool

    def lines(self) -> str:
        """NDJSON: one alarm a line."""
        return "".join(msgspec.json.encode(alarm).decode() + "\n" for alarm in self.alarms)


Progress = Callable[[int, int], None]
"""(rows done, rows in all)"""


def backtest(
    data: Path,
    *,
    model: str = "",
    time: str = "",
    label: str = "",
    score: str = "",
    reference: Path | int | None = None,
    segment: str = "",
    options: Any = None,
    progress: Progress = lambda done, all: None,
) -> Report:
    """Run over the table at `data` (Parquet, CSV, NDJSON).

    `reference` is a file of its own, or the number of first rows that are the reference (default: a fifth, at least
    1,000 and at most 20,000). Raises Unfit, saying what is wrong, for files that cannot be used.
    """
    begun = clock.perf_counter()
    chosen = options_of(options or {}, {"segments": [segment] if segment else []})
    table = read(data, time=time, label=label, score=score)
    notes = [] if table.timed else ["no column of times was found (--time): rows count as one a second, in file order"]
    if table.timed and (np.diff(table.rows.at) < 0).any():
        notes.append("rows were not in order of time: sorted")
        table = _sorted(table)
    known, rest = _split(table, reference, data, model or data.stem, chosen, label, score, time)
    run = _Run(rest, known, chosen, model or data.stem, len(table.rows) - len(rest.rows))
    run.go(progress)
    return Report(
        source=data.name,
        model=model or data.stem,
        rows=len(rest.rows),
        reference_rows=known.rows,
        first_row=len(table.rows) - len(rest.rows),
        reference=known.source,
        seconds=clock.perf_counter() - begun,
        alarms=run.alarms,
        detections=run.detections,
        series=run.series,
        naive=sum(len(s.naive) for s in run.series.values()),
        naive_windows=run.naive_windows,
        false_alarms_per_week=next((d.false_alarms_per_week for d in run.detections), None),
        notes=[*notes, *known.notes, *run.notes],
        timed=table.timed,
    )


def _sorted(table: Table) -> Table:
    order = np.argsort(table.rows.at, kind="stable")
    return _taken(table, order)


def _taken(table: Table, index: Any) -> Table:
    def pick(values: list[Any] | None) -> list[Any] | None:
        if values is None:
            return None
        return values[index] if isinstance(index, slice) else [values[i] for i in index.tolist()]

    return Table(
        rows=table.rows.take(index), labels=pick(table.labels), versions=pick(table.versions), timed=table.timed
    )


def _split(
    table: Table,
    reference: Path | int | None,
    data: Path,
    model: str,
    options: Options,
    label: str,
    score: str,
    time: str,
) -> tuple[Reference, Table]:
    """(reference, the rows to watch)."""
    if isinstance(reference, Path):
        found = from_file.reference(reference, "backtest", model, "1", options, time=time, label=label, score=score)
        return found, table
    rows = len(table.rows)
    count = reference if reference is not None else int(min(max(rows // 5, 1_000), 20_000))
    if count >= rows:
        raise Unfit(
            f"{data}: {rows} rows leave nothing to watch behind a reference of {count}; give --reference N or FILE"
        )
    first = _taken(table, slice(0, count))
    if not table.timed:
        first.rows.at = np.full(count, np.nan)
    made = learn(
        first.rows,
        tenant="backtest",
        model=model,
        version="1",
        source=f"first {count} rows",
        least=options.baseline_min_rows,
    )
    made.segments = learn_segments(first.rows, made, options.segments, options.segment_values)
    made.error = from_file.labelled(first, options, made.columns)
    return made, _taken(table, slice(count, None))


class _Run:
    """The Monitor fed chunk by chunk, and what it said."""

    def __init__(self, table: Table, reference: Reference, options: Options, model: str, offset: int):
        self.table, self.model, self.reference, self.offset = table, model, reference, offset
        self.monitor = Monitor(msgspec.to_builtins(options), lambda *_: reference)
        self.alarms: list[Alarm] = []
        self.detections: list[Detection] = []
        self.series: dict[str, Series] = {}
        self.notes: list[str] = []
        self.naive_windows = 0
        self.gathered: dict[str, np.ndarray] = {}
        self.seen = offset
        self.rules = Rules()
        self.known = {c.signal: np.array(c.bins.shown(c.counts)) for c in reference.columns}

    def go(self, progress: Progress) -> None:
        rows, total = self.table.rows, len(self.table.rows)
        if not any(rows.ids[:100]):
            rows.ids = [f"r{i}" for i in range(total)]
        for start, stop, version in self._runs():
            for begin in range(start, stop, CHUNK):
                end = min(begin + CHUNK, stop)
                part = rows.take(slice(begin, end))
                self._said(self.monitor.on_rows("backtest", self.model, version, part), begin)
                if self.table.labels is not None:
                    self._said(self.monitor.on_labels("backtest", self.model, self._labels(part, begin, end)), begin)
                progress(end, total)
        self._thin()

    def _runs(self) -> list[tuple[int, int, str]]:
        """Stretches of one version."""
        versions, total = self.table.versions, len(self.table.rows)
        if versions is None:
            return [(0, total, "1")]
        cuts = [0, *(i for i in range(1, total) if versions[i] != versions[i - 1]), total]
        return [(a, b, versions[a]) for a, b in pairwise(cuts)]

    def _labels(self, part: Rows, begin: int, end: int) -> list[LabelArrived]:
        found = zip(part.ids, part.at.tolist(), self.table.labels[begin:end], strict=True)
        return [LabelArrived(id=i, at=max(float(at), 0.0), label=label) for i, at, label in found if label is not None]

    def _said(self, reaction: Any, base: int) -> None:
        for (_, _, version), detection in reaction.detections:
            self.detections.append(detection)
            self.alarms.append(self._alarm(detection, version, base))
        for window in reaction.windows:
            self._window(window)
        self.notes += [fact.detail for fact in reaction.facts]

    def _alarm(self, d: Detection, version: str, base: int) -> Alarm:
        draft = Draft(key=("backtest", self.model, version), kind=d.kind, detections=[d])
        row, onset = self._rows_of(d)
        return Alarm(
            row=row, at=d.at, signal=d.signal, kind=d.kind, detector=d.detector, statistic=d.statistic,
            threshold=d.threshold, severity=severity(draft, Context(), self.rules), onset_row=onset,
            effect=d.effect, detail=d.detail, version=version, segment=d.segment,
        )  # fmt: skip

    def _rows_of(self, d: Detection) -> tuple[int, int]:
        """(row, onset row) in the file: counted where one version's every row counts, by event time otherwise."""
        if self.table.versions is None and d.signal != "error" and not d.segment:
            return self.offset + d.row - 1, self.offset + d.onset_row
        at = self.table.rows.at
        row, onset = np.searchsorted(at, d.at, side="right") - 1, np.searchsorted(at, d.onset, side="left")
        return self.offset + int(row), self.offset + int(min(onset, row))

    def _window(self, window: WindowClosed) -> None:
        if window.segment:
            return
        labelled = "error" in window.signals
        self.seen += 0 if labelled else window.rows
        for signal, shown in window.signals.items():
            series = self.series.setdefault(signal, Series())
            series.at.append(window.end)
            series.row.append(self.seen)
            series.psi.append(shown.psi if shown.psi is not None else shown.value or 0.0)
            if shown.histogram is not None and signal in self.known:
                self._naive(signal, np.array(shown.histogram.counts), series)

    def _naive(self, signal: str, counts: np.ndarray, series: Series) -> None:
        held = self.gathered.get(signal, 0.0) + counts
        if held.sum() < NAIVE_ROWS:
            self.gathered[signal] = held
            return
        self.gathered[signal] = np.zeros(len(counts))
        self.naive_windows += 1
        if psi(self.known[signal].tolist(), held.tolist()) > NAIVE_PSI:
            series.naive.append(self.seen)

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
