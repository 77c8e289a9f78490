"""Which column of a table is what: the event time, the label, the model's answer; all others are features.

A name of the wire format always has its meaning. `guess` also takes the names people use ("y_true", "proba"), where the
values agree; whatever was taken so is said in the notes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from detectors.baseline import Unfit

EXACT = {"score": "score", "label": "label", "version": "version", "id": "id", "prediction": "prediction",
         "latency_ms": "latency", "error": "error"}  # fmt: skip
TIMES = ("at", "event_time", "timestamp", "time", "ts", "datetime", "date", "event_timestamp", "date_time", "time_hour",
         "created_at", "served_at", "occurred_at", "created", "day", "when")  # fmt: skip
GUESSES = {
    "label": ("labels", "target", "y", "y_true", "ytrue", "truth", "true_label", "ground_truth", "actual", "outcome",
              "class"),
    "score": ("scores", "prob", "probability", "proba", "y_score", "y_prob", "y_proba", "pred_proba", "pred_prob",
              "predict_proba", "prediction_score", "model_score", "p"),
    "prediction": ("predictions", "pred", "predicted", "y_pred", "ypred", "y_hat", "yhat", "predicted_label",
                   "pred_label", "forecast"),
    "error": ("errors", "is_error", "wrong", "mistake", "misclassified"),
    "latency": ("latency",),
    "version": ("model_version",),
}  # fmt: skip
SURE = ("at", "event_time", "timestamp", "event_timestamp")
"""Names that mean event time even where the rows are not in its order."""
MOST_VERSIONS, MOST_CHANGES = 64, 10_000
SAMPLE = 200
LONG_AGO = 315_532_800.0
"""1980: numbers below it are hardly epoch seconds."""


class Roles(Struct, kw_only=True):
    """Column names; empty where there is none."""

    time: str = ""
    label: str = ""
    score: str = ""
    prediction: str = ""
    version: str = ""
    id: str = ""
    latency: str = ""
    error: str = ""
    notes: list[str] = []

    def taken(self) -> dict[str, str]:
        """column -> role."""
        return {getattr(self, f): f for f in self.__struct_fields__ if f != "notes" and getattr(self, f)}


def find(table: Any, path: Path, guess: bool, named: dict[str, str]) -> Roles:
    """The roles of an Arrow table's columns. `named` (role -> column) goes before everything.

    Raises Unfit for a named column that is not there, listing those that are.
    """
    names = table.column_names
    roles = Roles()
    for role, name in named.items():
        if name and name not in names:
            raise Unfit(f"{path}: there is no column {name!r} (--{role}); it has {', '.join(names[:20])}")
        setattr(roles, role, name)
    for name, role in EXACT.items():
        if name in names and not getattr(roles, role) and name not in roles.taken():
            setattr(roles, role, name)
    if not roles.time:
        roles.time = _time(table, roles, guess)
    if guess:
        _guess(table, roles)
    return roles


def _free(table: Any, roles: Roles) -> dict[str, str]:
    """Columns without a role, by their name in lower case."""
    taken = roles.taken()
    return {name.lower().strip().replace(" ", "_"): name for name in table.column_names if name not in taken}


def _time(table: Any, roles: Roles, guess: bool) -> str:
    free = _free(table, roles)
    found = next((free[name] for name in TIMES[:7] if name in free), "")
    if not guess or found == "at":
        return found
    likely = [free[name] for name in TIMES if name in free]
    likely += [name for name in free.values() if str(table.schema.field(name).type).startswith(("timestamp", "date"))]
    sure = {free[name] for name in SURE if name in free}
    return next((name for name in dict.fromkeys(likely) if _is_time(table[name], name in sure)), "")


def _is_time(column: Any, sure: bool) -> bool:
    """Whether a column may be the event time: its values are times, and (unless `sure`) later ones come later."""
    from detectors.table import seconds

    step = max(len(column) // SAMPLE, 1)
    try:
        at = seconds(column.take(np.arange(0, len(column), step)))
    except ValueError:
        return False
    if sure and at.min() > LONG_AGO:
        return True
    return bool(at[-1] > at[0]) and float((np.diff(at) >= 0).mean()) >= 0.95


def _guess(table: Any, roles: Roles) -> None:
    """Names people use, where the values agree."""
    for role in ("score", "prediction", "latency", "version"):
        free = _free(table, roles)
        for name in GUESSES[role] if not getattr(roles, role) else ():
            if name in free and _fits(table[free[name]], role):
                _take(roles, role, free[name])
                break
    if roles.version and not _fits(table[roles.version], "version"):
        roles.notes.append(
            f"column {roles.version!r} has too many values or changes to be the model's version: it is a feature"
        )
        roles.version = ""
    free = _free(table, roles)
    if not roles.label and (roles.score or roles.prediction):
        found = next((free[name] for name in GUESSES["label"] if name in free), "")
        if found:
            _take(roles, "label", found)
    if roles.label and not (roles.score or roles.prediction):
        roles.notes.append(f"no score or prediction stands beside {roles.label!r}: its distribution is watched")
        roles.label = ""
    if not roles.error and not roles.label:
        found = next(
            (free[name] for name in GUESSES["error"] if name in free and _fits(table[free[name]], "error")), ""
        )
        if found:
            _take(roles, "error", found)


def _take(roles: Roles, role: str, name: str) -> None:
    setattr(roles, role, name)
    roles.notes.append(f"column {name!r} is taken as the {role} (--{role} says otherwise)")


def _fits(column: Any, role: str) -> bool:
    """Whether the values are such as the role has: probabilities, few versions, 0 and 1."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    number = kinds.is_floating(column.type) or kinds.is_integer(column.type)
    if role == "version":
        if len(pc.unique(column)) > MOST_VERSIONS:
            return False
        codes = column.combine_chunks().dictionary_encode()
        codes = (codes.combine_chunks() if hasattr(codes, "combine_chunks") else codes).indices
        return int((np.diff(codes.fill_null(-1).to_numpy(zero_copy_only=False)) != 0).sum()) <= MOST_CHANGES
    if role == "score":
        ends = pc.min_max(column).as_py() if number else {"min": None}
        return ends["min"] is not None and ends["min"] >= 0 and ends["max"] <= 1
    if role == "error":
        return kinds.is_boolean(column.type) or (number and set(pc.unique(column).to_pylist()) <= {0, 1, None})
    return number or role == "prediction"
