"""Which feature is at fault when several relations broke at once, and one line per signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from core.findings import Detection
from detectors.relation import REACH

if TYPE_CHECKING:
    from detectors.watch import Watch

MOST = 12
"""Detections told at once."""


class Told(Struct, kw_only=True):
    """A detection, the column it came from, and the level of the window it was seen in."""

    detection: Detection
    column: int
    level: int
    log_e: float


def at_fault(watch: Watch, told: list[Told]) -> list[Told]:
    """One line per signal, and of broken relations those that the largest does not explain (see relation.py)."""
    broken = [t for t in told if watch.compiled.columns[t.column].family == "relation"]
    innocent: set[int] = set()
    if broken:
        shift = {t.column: _shift(watch, t.column) for t in broken}
        lead = max(broken, key=lambda t: abs(shift[t.column]))
        for other in broken:
            explained = shift[lead.column] * _share(watch, lead.column, other.column)
            if other is not lead and abs(shift[other.column] - explained) <= 0.5 * abs(shift[other.column]):
                innocent.add(id(other))
        innocent |= {id(t) for t in broken if _blamed(watch, t, told, shift[t.column])}
    first: dict[str, Told] = {}
    for one in sorted(told, key=lambda t: -t.log_e):
        if id(one) in innocent:
            continue
        known = first.get(one.detection.signal)
        if known is None:
            first[one.detection.signal] = one
        elif watch.compiled.columns[known.column].family in ("relation", "lattice") and known.column != one.column:
            known.detection = _merged(
                one.detection, known.detection
            )  # the plain signal's numbers, the relation's words
            known.column = one.column
    return list(first.values())


def _blamed(watch: Watch, broken: Told, told: list[Told], shift: float) -> bool:
    """Whether another feature that moved by itself explains most of a broken relation's shift."""
    relation = watch.compiled.reference.relation
    name = f"feature:{watch.compiled.columns[broken.column].signal.partition(':')[2]}"
    weights = relation.weights[relation.named.index(name)]
    for other in told:
        signal = watch.compiled.columns[other.column].signal
        if signal == name or signal not in relation.inputs:
            continue
        at = relation.inputs.index(signal)
        recent = watch.state.means[:, other.column]
        if np.isfinite(recent[-1]):
            moved = np.clip((recent[-1] - relation.mean[at]) / max(relation.spread[at], 1e-12), -REACH, REACH)
            if abs(shift - moved * weights[at]) <= 0.5 * abs(shift):
                return True
    return False


def touched(watch: Watch, columns: list[int]) -> list[int]:
    """These columns, and all relations when one of their features is an input of them: what they say is its doing."""
    relation = watch.compiled.reference.relation
    names = {f"feature:{watch.compiled.columns[c].signal.partition(':')[2]}" for c in columns}
    if relation is None or names.isdisjoint(relation.inputs):
        return columns
    return [*columns, *(c for c, one in enumerate(watch.compiled.columns) if one.family == "relation")]


def _merged(plain: Detection, relation: Detection) -> Detection:
    return replace(plain, detail=relation.detail, onset=min(plain.onset, relation.onset),
                   onset_row=min(plain.onset_row, relation.onset_row))  # fmt: skip


def _shift(watch: Watch, c: int) -> float:
    """How far the last blocks of a relation lie from the reference, in the reference's standard deviations."""
    means = watch.state.means[:, c]
    seen = means[np.isfinite(means)]
    summary = watch.compiled.columns[c].summary
    if not len(seen):
        return 0.0
    return float((seen[-1] - (summary.mean or 0.0)) / max(summary.std or 1.0, 1e-9))


def _share(watch: Watch, lead: int, other: int) -> float:
    relation = watch.compiled.reference.relation
    names = [f"feature:{watch.compiled.columns[c].signal.partition(':')[2]}" for c in (lead, other)]
    at = relation.inputs.index(names[0])
    own = relation.weights[relation.named.index(names[0])][at]
    return relation.weights[relation.named.index(names[1])][at] / own
