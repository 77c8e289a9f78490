"""A baseline from a Parquet, CSV or NDJSON file of training data, in event-time order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detectors.baseline import Reference, Unfit
from detectors.labels import error_of, learn_errors, task_of
from detectors.learn import learn
from detectors.options import Options
from detectors.served import Served
from detectors.table import Table, listed, read

MOST_ROWS = 200_000
"""Of a longer file the last rows are taken."""
FEW_LABELS = 200


def reference(path: Path, tenant: str, model: str, version: str, options: Options, **columns: str) -> Reference:
    """The reference of the file at `path`. Columns `at`, `score`, `label`, ... have their roles; the rest are features.
    `columns` may name them otherwise (`time`, `label`, `score`).

    Raises Unfit when the file cannot be read or cannot be a baseline, naming the file and the reason.
    """
    table = read(path, **columns)
    if len(table.rows) > MOST_ROWS:
        table.rows = table.rows.take(slice(-MOST_ROWS, None))
        table.labels = table.labels[-MOST_ROWS:] if table.labels else None
    if not table.timed:
        table.rows.at = np.full(len(table.rows), np.nan)
    made = learn(
        table.rows, tenant=tenant, model=model, version=version, source=path.name, least=options.baseline_min_rows
    )
    if not made.columns:
        raise Unfit(f"{path}: the file has no column to watch")
    made.error = labelled(table, options)
    return made


def labelled(table: Table, options: Options):  # type: ignore[no-untyped-def]
    """The reference of the error when the file holds labels and the model's answers; None otherwise."""
    if table.labels is None:
        return None
    scores = table.rows.columns.get("score")
    said = table.rows.columns.get("prediction")
    scores = [None] * len(table.labels) if scores is None else listed(scores)
    said = [None] * len(table.labels) if said is None else listed(said)
    task, errors = options.task, []
    for score, prediction, label in zip(scores, said, table.labels, strict=True):
        if label is None or (score is None and prediction is None):
            continue
        served = Served(0.0, "", score, prediction)
        task = task or task_of(served, label)
        error = error_of(task, served, label, options.threshold)
        if error is not None:
            errors.append(error)
    return learn_errors(np.array(errors), task) if len(errors) >= FEW_LABELS else None
