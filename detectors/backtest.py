"""Trust before install: the very detectors of production over a file of the past.

`backtest` is what `python -m bot backtest` calls. Beside what the Monitor says (`rerun.py`) stands what the usual rule,
PSI over 0.2 in windows of 500 rows, would have done.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from core.findings import Detection
from detectors import from_file
from detectors.baseline import Reference, Unfit
from detectors.options import Options, options_of
from detectors.poison import poisoned
from detectors.table import Table, read

LEAST, USUAL, MOST = 200, 1_000, 200_000
"""Rows of a reference taken from the file itself: never fewer, if there are enough, never more."""
DAYS = 3.0
"""The season of the day is learnt from two days, better from three."""
SHOWN = ("row", "at", "signal", "detector", "statistic", "threshold", "severity", "onset_row")
"""What `--json` prints of each alarm."""


class Alarm(Struct, frozen=True, kw_only=True):
    """One detection of the run. `row` is the index of the last row read, `onset_row` of the first row that is thought
    to have changed, both from 0 in the file; `at` is event time, or the row where the file has no times."""

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
    watched: list[str]
    notes: list[str]
    timed: bool

    def lines(self) -> str:
        """NDJSON: one alarm a line, `SHOWN` and nothing else."""
        told = ({name: getattr(alarm, name) for name in SHOWN} for alarm in self.alarms)
        return "".join(msgspec.json.encode(one).decode() + "\n" for one in told)


Progress = Callable[[int, int], None]
"""(rows done, rows in all)"""


def backtest(
    data: Path,
    *,
    model: str = "",
    reference: Path | int | float | None = None,
    segment: str = "",
    options: Any = None,
    progress: Progress = lambda done, all: None,
    **named: str,
) -> Report:
    """Run over the table at `data` (Parquet, CSV, NDJSON).

    `reference` is a file of its own, the number of first rows that are the reference, or their share (default: a fifth,
    see `usual_reference`). `named` (time, label, score, prediction) says which column is what; other columns are known
    by their names (`roles.py`). Raises Unfit, saying what is wrong, for files that cannot be used.
    """
    from detectors.rerun import Rerun

    begun = clock.perf_counter()
    chosen = options_of(options or {}, {"segments": [segment] if segment else []})
    model = model or data.stem
    table = read(data, guess=True, **named)
    if segment and f"feature:{segment}" not in table.rows.columns:
        features = [n.partition(":")[2] for n in table.rows.columns if n.startswith("feature:")]
        raise Unfit(f"{data}: there is no column {segment!r} (--segment); it has {', '.join(features[:20])}")
    notes = list(table.roles.notes)
    order = np.arange(len(table.rows))
    ids = table.rows.ids[: max(len(order) // 10, 100)]
    if any(ids) and len(set(ids)) < 0.99 * len(ids):
        notes.append(f"column {table.roles.id!r} does not tell rows apart: it is left out")
        table.rows.ids = [""] * len(order)
    if not table.timed:
        notes.append("no column of event times was found (--time): rows count as one a second, in file order")
    elif (np.diff(table.rows.at) < 0).any():
        notes.append(f"rows were not in order of {table.roles.time!r}: read in that order")
        order = np.argsort(table.rows.at, kind="stable")
        table = table.take(order)
    known, first = _reference(table, reference, data, model, chosen)
    if first and chosen.segments and not known.segments:
        notes.append(f"no value of {segment!r} has 500 rows in the reference: no segment is watched apart")
    doubt = poisoned(table.take(slice(0, first)).rows) if first else ""
    if doubt:
        notes.append(f"the reference is doubtful: within the first {first:,} rows {doubt} (--reference)")
    run = Rerun(table.take(slice(first, None)), order[first:], known, chosen, model)
    run.go(progress)
    return Report(
        source=data.name,
        model=model,
        rows=len(table.rows) - first,
        reference_rows=known.rows,
        first_row=first,
        reference=known.source,
        seconds=clock.perf_counter() - begun,
        alarms=run.alarms,
        detections=run.detections,
        series=run.series,
        naive=sum(len(s.naive) for s in run.series.values()),
        naive_windows=run.naive_windows,
        false_alarms_per_week=run.per_week() if table.timed else None,
        watched=[c.signal for c in known.columns if c.family not in ("relation", "lattice")],
        notes=[*notes, *known.notes, *dict.fromkeys(run.notes)],
        timed=table.timed,
    )


def usual_reference(at: np.ndarray, timed: bool) -> int:
    """How many first rows are the reference: a fifth, between 1,000 (a third of a short file) and 200,000.

    More, up to a third, where that makes three whole days: the season of the day is learnt from them.
    """
    rows = len(at)
    count = max(rows // 5, min(USUAL, rows // 3), min(LEAST, rows // 2))
    if timed:
        count = max(count, min(int(np.searchsorted(at, at[0] + DAYS * 86_400)), rows // 3))
    return min(count, MOST)


def _reference(
    table: Table, given: Path | int | float | None, data: Path, model: str, options: Options
) -> tuple[Reference, int]:
    """(reference, first row to watch)."""
    if isinstance(given, Path):
        named = {role: name for name, role in table.roles.taken().items() if role not in ("id", "latency")}
        found = from_file.reference(given, "backtest", model, "1", options, **named)
        return found, 0
    rows = len(table.rows)
    if given is None:
        count = usual_reference(table.rows.at, table.timed)
    else:
        count = int(given * rows) if isinstance(given, float) else given
    if not 0 < count < rows or (given is None and count < LEAST):
        raise Unfit(
            f"{data}: {rows} rows leave nothing to watch behind a reference of {max(count, LEAST)}; "
            "give a longer file, --reference N or --reference FILE"
        )
    made = from_file.of_table(
        table.take(slice(0, count)), "backtest", model, "1", options, source=f"{data.name}, first {count:,} rows"
    )
    return made, count
