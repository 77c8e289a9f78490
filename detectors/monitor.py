"""The Monitor: all models of one detect process.

Pure: no clock, no randomness, and no input or output but reading baselines when a version is first seen. The same
messages in the same order give the same alerts, bit for bit, also across `snapshot` and `restore`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core.events import InferenceServed, LabelArrived
from detectors import anew, join
from detectors.baseline import Approved, Unfit, decode
from detectors.model import Find, Model
from detectors.options import Options, options_of
from detectors.reaction import Fact, Key, Reaction
from detectors.rows import Rows

__all__ = ["Fact", "Key", "Monitor", "Reaction"]


def _none(tenant: str, model: str, version: str) -> None:
    return None


class Monitor:
    """All models of one detect process."""

    def __init__(
        self, policy: Any = None, baselines: Find = _none, rules: Callable[[str, str], Any] = lambda t, m: {}, *,
        share: int = 1,
    ):  # fmt: skip
        """`policy`: mapping or object with fields of `Options`; `rules(tenant, model)`: the same, for one model.

        `baselines(tenant, model, version)` gives a file (or exported bytes) or None. `share`: so many monitors of one
        process divide its memory for labels among them. Raises ValueError for options out of range.
        """
        self.policy, self.baselines, self.rules, self.share = policy, baselines, rules, share
        self.defaults: Options = options_of(policy or {})
        self.models: dict[tuple[str, str], Model] = {}
        self.approved: dict[tuple[str, str], dict[str, Approved]] = {}

    def model(self, tenant: str, model: str) -> Model:
        """The model's watch, begun when it is first named."""
        found = self.models.get((tenant, model))
        if found is None:
            rules = self.rules(tenant, model)
            options = options_of(self.policy or {}, rules) if rules else self.defaults
            found = self.models[(tenant, model)] = Model(
                tenant, model, options, self.baselines, lambda: self._room(options),
                self.approved.setdefault((tenant, model), {}),
            )  # fmt: skip
        return found

    def _room(self, options: Options) -> int:
        """Predictions one model may keep for their labels: all of them share a budget."""
        return max(min(options.label_memory, options.label_budget // max(len(self.models) * self.share, 1)), 256)

    def on_inference(self, tenant: str, model: str, events: Sequence[InferenceServed]) -> Reaction:
        """Served predictions, in the order they arrived."""
        reaction = Reaction()
        if events:
            self.model(tenant, model).take(events, reaction)
        return reaction

    def on_rows(self, tenant: str, model: str, version: str, rows: Rows) -> Reaction:
        """Served predictions of one version that came in columns (`rows.rows_of`, `columnar`), in order of arrival."""
        reaction = Reaction()
        if len(rows):
            self.model(tenant, model).take_rows(version, rows, reaction)
        return reaction

    def on_arrow(self, tenant: str, model: str, payload: bytes) -> Reaction:
        """An Arrow IPC stream of served predictions (see `columnar`); rows without a possible time are left out.

        Raises ValueError when it cannot be read.
        """
        from detectors.columnar import rows_of_arrow

        reaction = Reaction()
        for version, rows in rows_of_arrow(payload)[0]:
            self.model(tenant, model).take_rows(version, rows, reaction)
        return reaction

    def on_labels(self, tenant: str, model: str, labels: Sequence[LabelArrived]) -> Reaction:
        """Labels of earlier predictions."""
        reaction = Reaction()
        if labels:
            join.label(self.model(tenant, model), labels, reaction)
        return reaction

    def on_errors(self, tenant: str, model: str, version: str, errors: np.ndarray, at: np.ndarray) -> Reaction:
        """Errors of earlier predictions (0/1, or sizes) that somebody else computed, with the event times of these."""
        reaction = Reaction()
        join.known(self.model(tenant, model), version, errors, at, reaction)
        return reaction

    def on_tick(self, at: float | Callable[[str, str], float]) -> Reaction:
        """Event time has reached `at` (for everybody, or for each tenant and model): windows close, parts of blocks are
        weighed, silence is told."""
        reaction = Reaction()
        for (tenant, name), model in self.models.items():
            model.tick(at(tenant, name) if callable(at) else at, reaction)
        return reaction

    def newest(self, tenant: str, model: str) -> float:
        """Event time of the newest row that was believed; 0 when there is none."""
        found = self.models.get((tenant, model))
        return found.clock.watermark if found is not None else 0.0

    def forget(self, tenant: str, model: str) -> None:
        """Whatever is known of this model; its next rows begin anew."""
        self.models.pop((tenant, model), None)

    def rebaseline(self, tenant: str, model: str, version: str, approved: str, exported: bytes = b"") -> Reaction:
        """From approval `approved` on hold `version` against the `exported` baseline, or, without one, against what is
        learnt from its next rows. A version that follows this approval already, as after a restart, goes on as it is;
        one that has not come yet follows it when it comes."""
        reaction = Reaction()
        try:
            reference = decode(exported).renamed(version) if exported else None
        except Unfit as error:
            reaction.facts.append(Fact(name="baseline_refused", tenant=tenant, model=model, detail=str(error)))
            return reaction
        told = self.approved.setdefault((tenant, model), {})[version] = Approved(approved, reference)
        if (tenant, model) in self.models:
            anew.follow(self.models[tenant, model], version, told, reaction)
        return reaction

    def health(self) -> dict[str, int]:
        """Counts over all models: rows, late, wild, duplicates, labels, unknown_labels."""
        total: dict[str, int] = {}
        for model in self.models.values():
            for name, count in model.counts.items():
                total[name] = total.get(name, 0) + count
        return total

    def snapshot(self) -> bytes:
        """Everything needed to go on without reading an event again."""
        from detectors import memory

        return memory.freeze(self)

    def pieces(self, *, whole: bool = False) -> dict[str, bytes]:
        """State by name (`memory.pieces_of`) of the models that changed since the last call; of all when `whole`."""
        from detectors import memory

        found: dict[str, bytes] = {}
        for model in self.models.values():
            if whole or model.changed:
                found |= memory.pieces_of(model, whole)
                model.changed = False
        return found

    def restore_pieces(self, pieces: Mapping[str, bytes]) -> None:
        """Go on where `pieces` were taken. Raises ValueError when the bytes are not a snapshot of this release."""
        from detectors import memory

        memory.thaw(self, pieces.values())

    def restore(self, data: bytes) -> None:
        """Go on where `snapshot` was taken. Raises ValueError when the bytes are not a snapshot of this release."""
        from detectors import memory

        memory.thaw(self, [data])
