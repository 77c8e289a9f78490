"""A version that people approved as it is now leaves its baseline for another: brought along, or learnt anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.findings import Calm

if TYPE_CHECKING:
    from detectors.baseline import Approved
    from detectors.model import Model
    from detectors.reaction import Reaction


def follow(model: Model, name: str, told: Approved, reaction: Reaction) -> None:
    """Begin again with the version of that name, if it is there and does not follow `told` yet.

    What it was told for ends: against the new baseline it may be nothing at all, and if it is something it is told
    again.
    """
    version = model.versions.get(name)
    if version is None or version.approved == told.id:
        return
    model.changed = True
    for kind in sorted(model.open_kinds(version)):
        reaction.calms.append((model.key(version), Calm(kind=kind, signals=[], at=version.last_at, rows=version.rows)))
    version.approved = told.id
    version.watch = version.segments = version.errors = None
    version.reference = told.reference
    model.learning, model.learning_rows, model.restless = [], 0, 0
    if model.serving == name:
        model.reference = told.reference
    _forget(model)
    if told.reference is not None:
        reaction.baselines.append(told.reference.exported(model.options.importance))


def _forget(model: Model) -> None:
    """Baselines that no version is watched by take room."""
    used = {v.watch.compiled.reference.id for v in model.versions.values() if v.watch is not None}
    model.compiled = {key: compiled for key, compiled in model.compiled.items() if key in used}
