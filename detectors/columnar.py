"""Predictions that came as an Arrow IPC stream, as Rows: no Python object per value. Imported lazily (pyarrow).

Columns `id`, `at` (epoch seconds or timestamp), `version`, `score`, `prediction`, `latency_ms`, `error` mean what the
fields of `InferenceServed` do; every other column is a feature, or a struct column `features` holds them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds

from detectors.ids import Ids
from detectors.rows import Coded, Rows

OUTER = {"id", "at", "version", "score", "prediction", "latency_ms", "error", "features"}
LEAST, MOST = 0.0, 253_402_300_800.0


Spoilt = tuple[int, str, dict[str, Any]]
"""A row that cannot be counted: its place in the stream, why, and what it held."""


def rows_of_arrow(payload: bytes) -> tuple[list[tuple[str, Rows]], list[Spoilt]]:
    """(version, rows) of every version in the stream, rows in their order; and the rows whose times are impossible.

    Raises ValueError, saying what is wrong, for bytes that are no Arrow stream, or lack times altogether.
    """
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            batches = list(reader)
            table = batches[0] if len(batches) == 1 else pa.Table.from_batches(batches, reader.schema).combine_chunks()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"not an Arrow IPC stream: {str(error)[:200]}") from None
    names = table.schema.names
    if "at" not in names:
        raise ValueError(f"the Arrow batch has no column 'at' (it has {', '.join(names[:20])})")
    table, at, spoilt = _timed(table)
    if not table.num_rows:
        return [], spoilt
    columns = dict(zip(names, map(flat, table.columns), strict=True))
    return _by_version(columns.get("version"), _rows(columns, at)), spoilt


def _timed(table: Any) -> tuple[Any, np.ndarray, list[Spoilt]]:
    """The rows that have a possible time, their times, and the others."""
    at = _times(flat(table.column("at")))
    if len(at) and at.min() >= LEAST and at.max() < MOST:  # not so where one is NaN
        return table, at, []
    with np.errstate(invalid="ignore"):
        good = (at >= LEAST) & (at < MOST)
    wrong = np.flatnonzero(~good)
    rows = table.take(wrong).to_pylist()
    why = "column 'at' is null or outside 1970..9999: send epoch seconds"
    spoilt = [(int(i), why, row) for i, row in zip(wrong, rows, strict=True)]
    return table.take(np.flatnonzero(good)), at[good], spoilt


def _by_version(versions: Any, rows: Rows) -> list[tuple[str, Rows]]:
    if versions is None:
        return [("", rows)]
    coded = column_of(versions)
    if isinstance(coded, Coded) and len(coded.levels) == 1 and not versions.null_count:
        return [(coded.levels[0], rows)]
    names = coded.listed() if isinstance(coded, Coded) else [str(v) for v in listed_numbers(coded)]
    found = dict.fromkeys(names)
    if len(found) == 1:
        return [(names[0] or "", rows)]
    which = np.array([list(found).index(name) for name in names])
    return [(name or "", rows.take(np.flatnonzero(which == i))) for i, name in enumerate(found)]


def flat(column: Any) -> Any:
    """One array of a column that may be in chunks."""
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def listed_numbers(values: np.ndarray) -> list[Any]:
    """Whole numbers without their ".0"."""
    return [int(v) if float(v).is_integer() else v for v in values.tolist()]


def _rows(columns: dict[str, Any], at: np.ndarray) -> Rows:
    features = {name: column for name, column in columns.items() if name not in OUTER}
    nested = columns.get("features")
    if nested is not None:
        names = [nested.type.field(i).name for i in range(nested.type.num_fields)]
        features |= dict(zip(names, nested.flatten(), strict=True))
    made: dict[str, Any] = {f"feature:{name}": column_of(column) for name, column in features.items()}
    score = columns.get("score")
    if score is not None:
        made["score"] = values = np.asarray(column_of(score), dtype=np.float64)
        seen = values if len(values) and math.isfinite(values.sum()) else values[np.isfinite(values)]
        if len(seen) and seen.min() >= 0 and seen.max() <= 1:
            made["confidence"] = np.maximum(values, 1 - values)
    for name, signal in (("prediction", "prediction"), ("latency_ms", "latency")):
        if name in columns:
            made[signal] = column_of(columns[name])
    errors = columns.get("error")
    ids = columns.get("id")
    return Rows(
        at=at, ids=[""] * len(at) if ids is None else texts(ids), columns=made,
        errors=None if errors is None else np.array([float(bool(e)) for e in errors.to_pylist()]),
    )  # fmt: skip


def texts(column: Any) -> Sequence[str]:
    """Ids as texts; "" for null. Raises ValueError where the column's bytes are no texts."""
    if not kinds.is_string(column.type) or column.null_count:
        return ["" if i is None else str(i) for i in column.to_pylist()]
    _, ends, data = column.buffers()
    at = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    held = 0 if data is None else data.size
    if at[0] < 0 or at[-1] > held or (at[1:] < at[:-1]).any():
        raise ValueError("column 'id' is not in order: its offsets lie outside its bytes")
    return Ids(np.frombuffer(data if held else b"\0", np.uint8), at)


def _times(column: Any) -> np.ndarray:
    if kinds.is_timestamp(column.type):
        at = column.cast("timestamp[us]").cast("int64").cast("float64").to_numpy(zero_copy_only=False) / 1e6
    elif kinds.is_floating(column.type) or kinds.is_integer(column.type):
        at = column_of(column)
    else:
        raise ValueError(f"column 'at' is {column.type}: send a timestamp, or epoch seconds as a number")
    return np.asarray(at, dtype=np.float64)


def column_of(column: Any) -> Any:
    """float64 with NaN for null, or Coded texts; whatever else as a list."""
    kind = column.type
    if kinds.is_float64(kind) and not column.null_count:
        return column.to_numpy()
    if isinstance(column, pa.DictionaryArray) and kinds.is_string(kind.value_type) and not column.null_count:
        return Coded(column.dictionary.to_pylist(), column.indices.to_numpy().astype(np.int64))
    if kinds.is_floating(kind) or kinds.is_integer(kind):
        return np.asarray(column.cast("float64", safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        column = column.dictionary_encode()
        kind = column.type
    if kinds.is_dictionary(kind) and not pa.types.is_floating(kind.value_type):
        index = column.indices if not column.null_count else column.indices.fill_null(-1)
        index = index.to_numpy(zero_copy_only=False)
        return Coded(column.dictionary.to_pylist(), np.asarray(index, dtype=np.int64))
    return column.to_pylist()
