"""Tables from files, into Rows and what came beside them: labels, versions, errors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from detectors.baseline import Unfit
from detectors.files import load
from detectors.roles import Roles, find
from detectors.rows import Coded, Rows, confidence, probability

MANY = 50
"""A column of texts of more values than this, most of which spell numbers, is a column of numbers."""


class Table(Struct, kw_only=True):
    """Rows in file order, and what came beside them."""

    rows: Rows
    labels: list[Any] | None = None
    versions: list[str] | None = None
    wrong: np.ndarray | None = None
    """f8[n] of the model's own errors where the file says them (0/1 or sizes), NaN where it does not."""
    timed: bool
    """Whether a column of event times was found; `at` counts seconds from zero otherwise."""
    roles: Roles

    def take(self, index: Any) -> Table:
        """The rows of `index` (a slice or an integer array), in that order."""

        def pick(values: Any) -> Any:
            if values is None or isinstance(values, np.ndarray) or isinstance(index, slice):
                return None if values is None else values[index]
            return [values[i] for i in index.tolist()]

        return Table(rows=self.rows.take(index), labels=pick(self.labels), versions=pick(self.versions),
                     wrong=pick(self.wrong), timed=self.timed, roles=self.roles)  # fmt: skip


def read(path: Path, *, guess: bool = False, drop: tuple[str, ...] = (), **named: str) -> Table:
    """The table at `path`. Columns named `at`, `score`, `label`, ... have their roles; all others are features.

    `named` (time, label, score, prediction, error, version) says which column has which role; with `guess` the names
    people use are known too. Raises Unfit when the file cannot be read, is empty, or lacks a column that was named.
    """
    loaded = load(path)
    table = loaded.table
    roles = find(table, path, guess, named)
    taken = roles.taken()
    found = {role: column_values(table[name], name in loaded.spelt) for name, role in taken.items() if role != "time"}
    columns = {f"feature:{name}": column_values(table[name], name in loaded.spelt) for name in table.column_names
               if name not in taken and name not in drop}  # fmt: skip
    at, timed = np.arange(table.num_rows, dtype=float), False
    if roles.time:
        try:
            at, timed = seconds(table[roles.time]), True
        except ValueError as error:
            raise Unfit(f"{path}: column {roles.time!r}: {error}") from None
    labels = found.get("label")
    wrong = None if labels is not None or "error" not in found else _sizes(found["error"])
    return Table(
        rows=Rows(at=at, ids=_texts(found.get("id"), table.num_rows), columns=columns | outputs(found),
                  errors=None if wrong is not None else _flags(found.get("error"))),
        labels=None if labels is None else listed(labels), wrong=wrong,
        versions=None if "version" not in found else _texts(found["version"], table.num_rows), timed=timed, roles=roles,
    )  # fmt: skip


def column_values(column: Any, spelt: bool = False) -> Any:
    """float64 array for numbers (NaN for null), `Coded` for texts, a list of raw values for everything else.

    `spelt`: texts that spell a finite number stand for it.
    """
    import pyarrow.types as kinds

    kind = column.type
    if kinds.is_floating(kind) or kinds.is_integer(kind):
        return np.array(column.cast("float64", safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    if kinds.is_null(kind):
        return np.full(len(column), np.nan)
    if kinds.is_decimal(kind):
        return np.array([np.nan if v is None else float(v) for v in column.to_pylist()])
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        return _epochs(column)
    if kinds.is_dictionary(kind) and kinds.is_string(kind.value_type):
        column = column.cast(kind.value_type)
    if kinds.is_string(column.type) or kinds.is_large_string(column.type):
        return _coded(column, spelt)
    return column.to_pylist()


def _coded(column: Any, spelt: bool) -> Coded:
    """Texts in dictionary form."""
    whole = column.combine_chunks().dictionary_encode()
    whole = whole.combine_chunks() if hasattr(whole, "combine_chunks") else whole
    levels = whole.dictionary.to_pylist()
    numbers = [_number(level) for level in levels] if spelt or len(levels) > MANY else levels
    if spelt or sum(isinstance(n, float) for n in numbers) > 0.5 * len(levels):
        levels = numbers
    return Coded(levels, whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64))


def _number(text: str) -> float | str:
    try:
        return float(text) if math.isfinite(float(text)) else text
    except ValueError:
        return text


def _epochs(column: Any) -> np.ndarray:
    whole = column.cast("timestamp[us]", safe=False).cast("int64").cast("float64")
    return np.array(whole.to_numpy(zero_copy_only=False), dtype=np.float64) / 1e6


def seconds(column: Any) -> np.ndarray:
    """Epoch seconds of a column of times: timestamps, RFC 3339 texts, numbers of seconds (milli-, micro-, nano-).

    Raises ValueError naming the first value that is no time.
    """
    import pyarrow.types as kinds

    from core.events import epoch

    kind = column.type
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        found = _epochs(column)
    elif kinds.is_floating(kind) or kinds.is_integer(kind):
        found = column_values(column)
        size = float(np.nanmedian(np.abs(found))) if np.isfinite(found).any() else 0.0
        found = found / next((by for least, by in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)) if size >= least), 1.0)
    else:
        found = np.array([epoch(value) for value in column.to_pylist()])
    wrong = ~np.isfinite(found) | (found < 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"row {row} has no time ({column[row].as_py()!r}); remove such rows or name another column")
    return found


def listed(values: Any) -> list[Any]:
    """Raw values with None for null."""
    if isinstance(values, Coded):
        return values.listed()
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
        made["score"] = [probability(s) for s in listed(score)]
        made["confidence"] = [confidence(s) for s in listed(score)]
    for name in ("prediction", "latency"):
        if name in found:
            made[name] = found[name]
    return {name: values for name, values in made.items() if not _empty(values)}


def _empty(values: Any) -> bool:
    return bool(np.isnan(values).all()) if isinstance(values, np.ndarray) else all(v is None for v in listed(values))


def _texts(values: Any, count: int) -> list[str]:
    if values is None:
        return [""] * count
    from detectors.bins import text_of

    return [text_of(v) or "" for v in listed(values)]


def _sizes(values: Any) -> np.ndarray | None:
    """The errors as numbers, where they are numbers: 0/1 or sizes."""
    made = [float(v) if isinstance(v, bool | int | float) else None for v in listed(values)]
    if any(v is None and raw is not None for v, raw in zip(made, listed(values), strict=True)):
        return None
    return np.abs(np.array([np.nan if v is None else v for v in made]))


def _flags(values: Any) -> np.ndarray | None:
    if values is None:
        return None
    return np.array([float(bool(v)) for v in listed(values)])
