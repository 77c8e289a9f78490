"""A model that nobody configured: its first stable window becomes the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.baseline import Unfit
from detectors.poison import poisoned
from detectors.reaction import Fact, Reaction
from detectors.rows import Rows, joined

if TYPE_CHECKING:
    from detectors.model import Model, Version

PATIENCE = 3
"""So often a first window that is not stable is put off; then it is taken as it is."""


def collect(model: Model, rows: Rows, version: Version, reaction: Reaction) -> None:
    """Take rows; learn the baseline when there are enough of them and they are stable, or say why not."""
    from detectors.learn import learn, learn_segments, unstable

    options = model.options
    model.learning.append(rows)
    model.learning_rows += len(rows)
    if model.learning_rows < options.baseline_rows:
        return
    collected, model.learning, model.learning_rows = joined(model.learning), [], 0
    moved = unstable(collected) if model.restless < PATIENCE else ""
    if moved:
        model.restless += 1
        model.learning = [collected.take(slice(len(collected) // 2, None))]
        model.learning_rows = len(model.learning[0])
        words = f"{moved} moved within the first {len(collected)} rows: the baseline is learnt from later ones"
        reaction.facts.append(Fact(name="baseline_unstable", tenant=model.tenant, model=model.model, detail=words))
        return
    try:
        why = poisoned(collected)
        if why:
            raise Unfit(f"the first {len(collected)} rows: {why}")
        reference = learn(
            collected, tenant=model.tenant, model=model.model, version=version.name, source="first events",
            least=options.baseline_min_rows,
        )  # fmt: skip
    except Unfit as error:
        reaction.facts.append(Fact(name="baseline_refused", tenant=model.tenant, model=model.model, detail=str(error)))
        return
    reference.segments = learn_segments(collected, reference, options.segments, options.segment_values)
    model.reference = reference
    reaction.baselines.append(reference.exported(options.importance))
    for each in model.versions.values():
        each.reference = each.reference or reference
