"""Tables from files: Parquet, CSV, NDJSON, into Rows and labels. pyarrow is imported here alone, lazily."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from detectors.baseline import Unfit
from detectors.rows import Rows, confidence, probability

TIMES = ("at", "event_time", "timestamp", "time", "ts", "datetime", "date")
ROLES = {"score": "score", "label": "label", "version": "version", "id": "id", "prediction": "prediction",
         "latency_ms": "latency", "error": "error"}  # fmt: skip
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".ndjson": "json", ".jsonl": "json"}


class Table(Struct, kw_only=True):
    """Rows in file order, and what came beside them."""

    rows: Rows
    labels: list[Any] | None = None
    versions: list[str] | None = None
    timed: bool
    """Whether a column of event times was found; `at` counts seconds from zero otherwise."""


def read(path: Path, *, time: str = "", label: str = "", score: str = "", drop: tuple[str, ...] = ()) -> Table:
    """The table at `path`. Columns named `at`, `score`, `label`, ... have their roles; all others are features.

    Raises Unfit when the file cannot be read, is empty, or lacks a column that was named.
    """
    table = _load(path)
    names = table.column_names
    for wanted, option in ((time, "--time"), (label, "--label"), (score, "--score")):
        if wanted and wanted not in names:
            raise Unfit(f"{path}: there is no column {wanted!r} ({option}); it has {', '.join(names[:20])}")
    if not table.num_rows:
        raise Unfit(f"{path}: the file holds no rows")
    time = time or next((n for n in names if n.lower() in TIMES), "")
    roles = {
        **{n: r for n, r in ROLES.items() if n in names},
        **({label: "label"} if label else {}),
        **({score: "score"} if score else {}),
    }
    found: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    for name in names:
        if name == time or name in drop:
            continue
        values = column_values(table[name])
        if name in roles:
            found[roles[name]] = values
        else:
            columns[f"feature:{name}"] = values
    at = times(table[time], path, time) if time else np.arange(table.num_rows, dtype=float)
    return Table(
        rows=Rows(at=at, ids=_texts(found.get("id"), table.num_rows), columns=columns | outputs(found),
                  errors=_flags(found.get("error"))),
        labels=None if "label" not in found else listed(found["label"]),
        versions=None if "version" not in found else _texts(found["version"], table.num_rows), timed=bool(time),
    )  # fmt: skip


def _load(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise Unfit(f"{path}: unknown kind of file; give one that ends in {', '.join(FORMATS)}")
    try:
        if kind == "parquet":
            return pyarrow.parquet.read_table(path)
        if kind == "json":
            return pyarrow.json.read_json(path)
        tabs = pyarrow.csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        empty = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
        return pyarrow.csv.read_csv(path, parse_options=tabs, convert_options=empty)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Unfit(f"{path}: cannot be read as {kind}: {str(error)[:300]}") from None
    except OSError as error:
        raise Unfit(f"{path}: cannot be read: {error.strerror or str(error)[:200]}") from None


def column_values(column: Any) -> Any:
    """float64 array for numbers (NaN for null), a list of raw values for everything else."""
    import pyarrow.types as kinds

    kind = column.type
    if kinds.is_floating(kind) or kinds.is_integer(kind):
        return np.asarray(column.cast("float64", safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    if kinds.is_null(kind):
        return np.full(len(column), np.nan)
    if kinds.is_decimal(kind):
        return np.array([np.nan if v is None else float(v) for v in column.to_pylist()])
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        return (
            column.cast("timestamp[ms]", safe=False).cast("int64").cast("float64").to_numpy(zero_copy_only=False) / 1000
        )
    return column.to_pylist()


def times(column: Any, path: Path, name: str) -> np.ndarray:
    """Epoch seconds. Raises Unfit naming the first value that is no time."""
    import pyarrow.types as kinds

    from core.events import epoch

    if (
        kinds.is_timestamp(column.type)
        or kinds.is_date(column.type)
        or kinds.is_floating(column.type)
        or kinds.is_integer(column.type)
    ):
        found = np.asarray(column_values(column), dtype=float)
        if np.isnan(found).any():
            raise Unfit(f"{path}: column {name!r} has no time in row {int(np.isnan(found).argmax())}; remove such rows")
        return found
    try:
        return np.array([epoch(value) for value in column.to_pylist()])
    except ValueError as error:
        raise Unfit(f"{path}: column {name!r}: {error}") from None


def listed(values: Any) -> list[Any]:
    """Raw values with None for null."""
    if isinstance(values, np.ndarray):
        return [None if v != v else v for v in values.tolist()]
    return list(values)


def outputs(found: dict[str, Any]) -> dict[str, Any]:
    """The columns of the model's answer: score, confidence, prediction, latency."""
    made: dict[str, Any] = {}
    score = found.get("score")
    if isinstance(score, np.ndarray):
        made["score"] = score
        if np.nanmin(score, initial=0.0) >= 0 and np.nanmax(score, initial=1.0) <= 1:
            made["confidence"] = np.maximum(score, 1 - score)
    elif score is not None:
        made["score"] = [probability(s) for s in score]
        made["confidence"] = [confidence(s) for s in score]
    for name in ("prediction", "latency"):
        if name in found:
            made[name] = found[name]
    return {name: values for name, values in made.items() if not _empty(values)}


def _empty(values: Any) -> bool:
    return bool(np.isnan(values).all()) if isinstance(values, np.ndarray) else all(v is None for v in values)


def _texts(values: Any, count: int) -> list[str]:
    if values is None:
        return [""] * count
    from detectors.bins import text_of

    return [text_of(v) or "" for v in listed(values)]


def _flags(values: Any) -> np.ndarray | None:
    if values is None:
        return None
    return np.array([float(bool(v)) for v in listed(values)])
