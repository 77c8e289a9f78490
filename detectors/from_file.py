"""A baseline from a Parquet, CSV or NDJSON file of training data, in event-time order."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from detectors.baseline import Column, ErrorReference, Reference, Unfit, decode
from detectors.bins import codes
from detectors.labels import error_of, learn_errors, marked_rows, task_of, task_of_errors
from detectors.learn import learn, learn_segments
from detectors.options import Options
from detectors.performance import LEARN, error_by_bin, metrics, usual_of
from detectors.poison import poisoned
from detectors.served import Served
from detectors.table import Table, listed, read

MOST_ROWS = 200_000
"""Of a longer file the last rows are taken."""
FEW_LABELS = 200


EXPORTED = ".baseline"
"""Ending of a file that holds an exported baseline (`baseline.encode`)."""


def stamp(path: Path, options: Options) -> str:
    """What tells one state of a file from another, with the options that matter to learning; "" for no file."""
    try:
        found = path.stat()
    except OSError:
        return ""
    matter = [options.segments, options.segment_values, options.threshold, options.task, options.window_rows]
    return f"{path} {found.st_mtime_ns} {found.st_size} {matter}"


def reference(
    path: Path, tenant: str, model: str, version: str, options: Options, guess: bool = False, **named: str
) -> Reference:
    """The reference of the file at `path`. Columns `at`, `score`, `label`, ... have their roles; the rest are features.

    `named` and `guess` as in `table.read`. Raises Unfit when the file cannot be read or cannot be a baseline, naming
    the file and the reason.
    """
    if path.suffix == EXPORTED:
        try:
            return decode(path.read_bytes()).renamed(version)
        except OSError as error:
            raise Unfit(f"{path}: cannot be read: {error.strerror}; check the path") from None
    table = read(path, guess=guess, **named)
    if len(table.rows) > MOST_ROWS:
        table = table.take(slice(-MOST_ROWS, None))
    why = poisoned(table.rows)
    if why:
        raise Unfit(f"{path}: {why}")
    return of_table(table, tenant, model, version, options, source=path.name)


def of_table(table: Table, tenant: str, model: str, version: str, options: Options, source: str) -> Reference:
    """The reference of a table's rows, its segments and its errors. Raises Unfit when they cannot be a baseline."""
    rows = table.rows
    if not table.timed:
        rows = msgspec.structs.replace(rows, at=np.full(len(rows), np.nan))
    if not rows.columns and table.wrong is None:
        raise Unfit(f"{source}: the file has no column to watch")
    made = learn(rows, tenant=tenant, model=model, version=version, source=source, least=options.baseline_min_rows)
    made.segments = learn_segments(rows, made, options.segments, options.segment_values)
    made.error = labelled(table, options, made.columns)
    return made


def labelled(table: Table, options: Options, columns: list[Column]) -> ErrorReference | None:
    """The reference of the error when the file holds labels and the model's answers; None otherwise."""
    if table.wrong is not None:
        errors = table.wrong[np.isfinite(table.wrong)]
        return learn_errors(errors, task_of_errors(errors)) if len(errors) >= FEW_LABELS else None
    if table.labels is None:
        return None
    scores = table.rows.columns.get("score")
    said = table.rows.columns.get("prediction")
    scores = [None] * len(table.labels) if scores is None else listed(scores)
    said = [None] * len(table.labels) if said is None else listed(said)
    task, kept = options.task, []
    for row, (one, prediction, label) in enumerate(zip(scores, said, table.labels, strict=True)):
        if label is None or (one is None and prediction is None):
            continue
        served = Served(0.0, "", one, prediction)
        task = task or task_of(served, label)
        error = error_of(task, served, label, options.threshold)
        if error is not None:
            kept.append((row, error, one, prediction, label))
    if len(kept) < FEW_LABELS:
        return None
    errors = np.array([k[1] for k in kept])
    made = learn_errors(errors, task)
    size = marked_rows(options, made)
    windows = [list(zip(*kept[i : i + size], strict=True)) for i in range(0, len(kept) - size + 1, size)]
    found = [metrics(task, w[2], w[3], w[4], options.threshold) for w in windows]
    for name in {name for one in found for name in one}:
        values = [one[name] for one in found if name in one]
        if len(values) >= LEARN:
            made.metrics[name] = usual_of(values)
    column = next((c for c in columns if c.signal == "score"), None)
    if column is not None and "score" in table.rows.columns:
        coded = codes(column.bins, table.rows.columns["score"]).astype(np.int64)
        made.by_bin = error_by_bin(coded[[k[0] for k in kept]], errors, column.bins.size)
    return made
