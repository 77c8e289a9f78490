"""A batch of served predictions turned on its side: one column per signal. The one shape detectors see.

Signals of features are `feature:<name>`; beside them `score`, `confidence`, `prediction`, `latency`. Columns are lists
of raw values; float64 arrays or `Coded` texts when the producer sent columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from core.events import InferenceServed

HOUR = 3600.0


class Coded(Struct):
    """A column of texts in dictionary form: `levels[index]`, -1 for null."""

    levels: list[Any]
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def listed(self) -> list[Any]:
        return [None if i < 0 else self.levels[i] for i in self.index.tolist()]


class Rows(Struct, kw_only=True):
    """`at` f8[n]; every column has n entries."""

    at: np.ndarray
    ids: Sequence[str]
    """A text each, `ids.Ids` where they came in columns; none at all where nobody needs them any more."""
    columns: dict[str, Any]
    errors: np.ndarray | None = None
    """f8[n] of 0/1: the model server failed to answer well. None when nobody says."""

    def __len__(self) -> int:
        return len(self.at)

    def take(self, index: Any) -> Rows:
        """The rows of `index` (a slice or an integer array), in that order."""

        def pick(values: Any) -> Any:
            if isinstance(values, Coded):
                return Coded(values.levels, values.index[index])
            if isinstance(values, np.ndarray) or isinstance(index, slice) or not len(values):
                return values[index] if len(values) else values
            return [values[i] for i in index.tolist()]

        return Rows(
            at=pick(self.at), ids=pick(self.ids), columns={name: pick(v) for name, v in self.columns.items()},
            errors=None if self.errors is None else pick(self.errors),
        )  # fmt: skip

    def nameless(self) -> Rows:
        """The same without ids: what is counted, and waits to be counted, needs none."""
        return Rows(at=self.at, ids=[], columns=self.columns, errors=self.errors)


def cells(at: np.ndarray) -> np.ndarray:
    """Cell of the season of every time: hour of day (UTC), plus 24 on Saturdays and Sundays. uint8[n]."""
    hours = (at // HOUR).astype(np.int64)
    weekend = (hours // 24 + 3) % 7 >= 5
    return (hours % 24 + 24 * weekend).astype(np.uint8)


def joined(parts: Sequence[Rows]) -> Rows:
    """Several batches as one; a column missing in some is null there."""
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.columns)
    lengths = [len(part) for part in parts]
    columns = {name: _together([part.columns.get(name) for part in parts], lengths) for name in names}
    errors = None
    if any(part.errors is not None for part in parts):
        errors = np.concatenate([np.zeros(len(p)) if p.errors is None else p.errors for p in parts])
    return Rows(
        at=np.concatenate([p.at for p in parts]), ids=[i for p in parts for i in p.ids], columns=columns, errors=errors
    )


def _together(found: list[Any], lengths: list[int]) -> Any:
    """One column of its parts. Where some came as arrays or `Coded` they all become so, if their values allow it: the
    few rows that wait for their block to fill must not cost a thousand others a Python object each."""
    if all(isinstance(part, np.ndarray) for part in found):
        return np.concatenate(found)
    for made, kind, whole in ((_floats, np.ndarray, np.concatenate), (_codes, Coded, _recoded)):
        if any(isinstance(part, kind) for part in found):
            alike = [made(part, length) for part, length in zip(found, lengths, strict=True)]
            if all(part is not None for part in alike):
                return whole(alike)
    return [v for part, length in zip(found, lengths, strict=True) for v in listed(part, length)]


def _floats(column: Any, length: int) -> np.ndarray | None:
    """The column as float64, NaN for null; None when it holds anything but numbers."""
    if column is None:
        return np.full(length, np.nan)
    if isinstance(column, np.ndarray):
        return column
    if isinstance(column, Coded) or not set(map(type, column)) <= {float, int, type(None)}:
        return None
    try:
        return np.array(column, dtype=np.float64)
    except OverflowError:
        return None


def _codes(column: Any, length: int) -> Coded | None:
    """The column as `Coded`; None when it holds anything but texts."""
    if column is None:
        return Coded([], np.full(length, -1, np.int64))
    if isinstance(column, Coded):
        return column
    if isinstance(column, np.ndarray) or not set(map(type, column)) <= {str, type(None)}:
        return None
    levels = {text: i for i, text in enumerate(dict.fromkeys(text for text in column if text is not None))}
    return Coded(list(levels), np.array([-1 if text is None else levels[text] for text in column], np.int64))


def _recoded(parts: list[Coded]) -> Coded:
    """Parts under one dictionary. Where a part has more levels than rows those that no row has are dropped: rows that
    wait from batch to batch would gather the dictionaries of all of them."""
    places: dict[Any, int] = {}
    indices: list[np.ndarray] = []
    for part in parts:
        to = np.full(len(part.levels) + 1, -1)  # the last is that of null
        few = len(part.levels) <= len(part)
        for i in range(len(part.levels)) if few else np.unique(part.index[part.index >= 0]).tolist():
            to[i] = places.setdefault(part.levels[i], len(places))
        indices.append(to[part.index])
    return Coded(list(places), np.concatenate(indices))


def listed(column: Any, length: int) -> Sequence[Any]:
    if column is None:
        return [None] * length
    if isinstance(column, Coded):
        return column.listed()
    return [None if v != v else v for v in column.tolist()] if isinstance(column, np.ndarray) else column


def probability(score: Any) -> float | None:
    """The score as one number: itself, or the second of two class probabilities; None for more classes or none."""
    if isinstance(score, dict):
        return float(score[max(score)]) if len(score) == 2 else None
    return None if score is None else float(score)


def confidence(score: Any) -> float | None:
    """Probability of the likeliest class; None when the score is no probability."""
    if isinstance(score, dict):
        return max(score.values(), default=None)
    if score is None or not 0.0 <= score <= 1.0:
        return None
    return max(score, 1.0 - score)


def predicted(event: InferenceServed) -> Any:
    """The predicted class or value, as far as the event says it: `prediction`, or the likeliest class."""
    if event.prediction is None and isinstance(event.score, dict) and event.score:
        return max(sorted(event.score), key=event.score.__getitem__)
    return event.prediction


def rows_of(events: Sequence[InferenceServed]) -> Rows:
    """Columns of some events of one model version, in their order."""
    features = [event.features for event in events]
    names: dict[str, None] = {}
    width = -1
    for row in features:
        if len(row) != width or not row.keys() <= names.keys():
            names.update(dict.fromkeys(row))
            width = len(row)
    columns: dict[str, Any] = {f"feature:{name}": [row.get(name) for row in features] for name in names}
    scores = [event.score for event in events]
    if any(s is not None for s in scores):
        _add(columns, "score", scores, probability)
        _add(columns, "confidence", scores, confidence)
    if any(event.prediction is not None or isinstance(event.score, dict) for event in events):
        columns["prediction"] = [predicted(event) for event in events]
    if any(event.latency_ms is not None for event in events):
        columns["latency"] = [event.latency_ms for event in events]
    errors = None
    if any(event.error is not None for event in events):
        errors = np.array([float(bool(event.error)) for event in events])
    return Rows(at=np.array([event.at for event in events]), ids=[e.id for e in events], columns=columns, errors=errors)


def _add(columns: dict[str, Any], name: str, scores: list[Any], make: Callable[[Any], float | None]) -> None:
    made = [make(score) for score in scores]
    if any(m is not None and not math.isnan(m) for m in made):
        columns[name] = made
