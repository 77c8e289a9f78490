"""Labels joined to the predictions that wait for them, and what their errors say of the version that served them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.events import LabelArrived
from detectors.base import BLOCK
from detectors.labels import ErrorWatch, error_of, task_of, task_of_errors
from detectors.reaction import Fact, Reaction
from detectors.served import Served
from detectors.watch import Calm

if TYPE_CHECKING:
    from detectors.model import Model, Version

Pairs = list[tuple[Served, Any]]


def label(model: Model, arrived: Sequence[LabelArrived], reaction: Reaction) -> None:
    """Join labels to predictions, in the order they came; those of predictions nobody remembers are counted."""
    model.changed = True
    pairs: dict[str, Pairs] = {}
    for one in arrived:
        model.labels += 1
        served = model.memory.take(one.id)
        if served is None:
            model.unknown_labels += 1
            continue
        pairs.setdefault(served.version, []).append((served, one.label))
    for name, mine in pairs.items():
        version = model.versions.get(name)
        if version is None:
            continue
        watch = _watch(model, version)
        watch.task = watch.task or task_of(*mine[0])
        found = [(error_of(watch.task, s, value, model.options.threshold), s, value) for s, value in mine]
        if all(error is None for error, _, _ in found):
            _unjudged(model, *mine[0], reaction)
        kept = [(s, value) for error, s, value in found if error is not None]
        errors = np.array([error for error, _, _ in found if error is not None])
        _take(model, version, errors, np.array([s.at for s, _ in kept]), kept, reaction)


def _unjudged(model: Model, served: Served, label: Any, reaction: Reaction) -> None:
    """Say once that labels come that nothing the model said can be held against."""
    if "label" in model.told:
        return
    model.told.add("label")
    words = f"label {str(label)[:60]!r} cannot be held against score {served.score}: send a prediction too, or 0 and 1"
    reaction.facts.append(Fact(name="label_unjudged", tenant=model.tenant, model=model.model, detail=words))


def known(model: Model, name: str, errors: np.ndarray, at: np.ndarray, reaction: Reaction) -> None:
    """Errors that somebody else computed (0/1 or sizes), of predictions of version `name` served `at`."""
    version = model.version(name, reaction)
    watch = _watch(model, version)
    watch.task = watch.task or task_of_errors(errors)
    _take(model, version, errors, at, [], reaction)


def _watch(model: Model, version: Version) -> ErrorWatch:
    if version.errors is None:
        known = None if model.anew(version) else model.reference
        version.errors = ErrorWatch(model.options, known.error if known else None)
    return version.errors


def _take(model: Model, version: Version, errors: np.ndarray, at: np.ndarray, pairs: Pairs, reaction: Reaction) -> None:
    """Block by block, so that windows close at the same rows however the labels were batched."""
    first = 0
    while first < len(errors):
        last = first + BLOCK - version.errors.rows % BLOCK
        _block(model, version, errors[first:last], at[first:last], pairs[first:last], reaction)
        first = last


def _block(
    model: Model, version: Version, errors: np.ndarray, at: np.ndarray, pairs: Pairs, reaction: Reaction
) -> None:
    watch, reference, key = version.errors, model.reference, model.key(version)
    had = watch.reference is not None
    watch.keep([s.score for s, _ in pairs], [s.prediction for s, _ in pairs], [value for _, value in pairs])
    detections, calm = watch.add(errors, at)
    if not had and watch.reference is not None and reference is not None and reference.error is None:
        reference.error = watch.reference
        reaction.baselines.append(reference.exported(model.options.importance))
    reaction.detections += [(key, d) for d in detections]
    closed = watch.closed()
    if closed is not None:
        reaction.windows.append(reaction.error_window(model, version, closed))
        reaction.detections += [(key, d) for d in closed.low]
    ended = calm if calm and not watch.marks.low else 0
    if closed is not None and closed.well and not closed.any_low and not watch.fired:
        ended = closed.summary.rows
    if ended:
        reaction.calms.append((key, Calm(kind="concept_drift", signals=["error"], at=float(at.max()), rows=ended)))
