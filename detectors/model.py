"""One model under watch: its versions, its baseline, its clock, its predictions that wait for labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from core.errors import MiddlewatchError
from core.events import InferenceServed, iso
from detectors import failures, first_window, flow, silence
from detectors import labels as joining
from detectors.baseline import Approved, ErrorReference, Reference
from detectors.clock import Clock
from detectors.compiled import Compiled
from detectors.ids import keys
from detectors.options import Options
from detectors.reaction import Fact, Reaction
from detectors.rows import Rows, joined, listed, predicted, probability, rows_of
from detectors.segments import Segments
from detectors.served import Memory
from detectors.watch import BLOCK, Calm, Watch

MAX_VERSIONS = 8
OUTPUTS = ("score", "confidence", "prediction", "latency")
PART = 3_600.0
"""A block that is not full is weighed once it is this old (event time)."""

Find = Callable[[str, str, str], Path | bytes | Reference | None]


class Version:
    """One version: `watch` once there is a baseline; `pending` events that do not fill a block yet."""

    def __init__(self, name: str):
        self.name = name
        self.reference: Reference | None = None
        self.watch: Watch | None = None
        self.segments: Segments | None = None
        self.pending: list[InferenceServed] = []
        self.parts: list[Rows] = []
        self.errors: joining.ErrorWatch | None = None
        self.failures: joining.ErrorWatch | None = None
        self.approved = ""
        """Id of the approval by which it left the baseline it would have had; empty for none."""
        self.first_at = self.last_at = 0.0
        self.rows = 0
        self.away = 0
        """Rows other versions have served since this one's last."""
        self.flow: dict[str, float] = {}
        """Detections that are not of the watch (silence): signal -> since when."""


class Model:
    """All that is known of one model of one tenant."""

    def __init__(
        self, tenant: str, model: str, options: Options, find: Find, room: Callable[[], int] | None = None,
        approved: dict[str, Approved] | None = None,
    ):  # fmt: skip
        """`approved`: what people said of its versions, shared with whoever hears them."""
        self.tenant, self.model, self.options, self.find = tenant, model, options, find
        self.approved = approved if approved is not None else {}
        self.versions: dict[str, Version] = {}
        self.reference: Reference | None = None
        self.compiled: dict[str, Compiled] = {}
        self.learning: list[Rows] = []
        self.learning_rows = 0
        self.restless = 0
        self.memory = Memory(room or (lambda: options.label_memory))
        self.clock = Clock(options.lateness_seconds)
        self.flow = flow.Flow()
        self.silent_since = 0.0
        self.serving = ""
        self.rows = self.duplicates = self.labels = self.unknown_labels = 0
        self.told: set[str] = set()
        self.kept = np.ones(0, bool)
        """Which rows of the last batch of columns were neither late nor seen before."""
        self.changed = True
        """Since the last snapshot."""
        self.given: dict[str, tuple[Reference, ErrorReference | None]] = {}
        """The references that a snapshot holds, each with its error as it was then."""

    @property
    def counts(self) -> dict[str, int]:
        """What came, and what was set aside."""
        return {"rows": self.rows, "late": self.clock.late, "wild": self.clock.wild, "duplicates": self.duplicates,
                "labels": self.labels, "unknown_labels": self.unknown_labels}  # fmt: skip

    # ---- rows in

    def take(self, events: Sequence[InferenceServed], reaction: Reaction) -> None:
        """Events in the order they arrived."""
        self.changed = True
        by_version: dict[str, list[InferenceServed]] = {}
        known = keys([event.id for event in events])
        for event in self._fresh(events, known, reaction):
            by_version.setdefault(event.version, []).append(event)
        for name, mine in by_version.items():
            version = self.version(name, reaction)
            usual = len(mine) == len(events) and all(map(is_, mine, events))
            at, names = np.array([e.at for e in mine]), known if usual else keys([e.id for e in mine])
            self._remember(version, at, names, [probability(e.score) for e in mine], [_said(e) for e in mine])
            version.pending += mine
            held = sum(map(len, version.parts))
            count = len(version.pending) + held
            if version.reference is None or count >= BLOCK:
                whole = (count if version.reference is None else count - count % BLOCK) - held
                rows = joined([*version.parts, rows_of(version.pending[:whole])])
                version.parts = []
                del version.pending[:whole]
                self.feed(version, rows, reaction)

    def _fresh(self, events: Sequence[InferenceServed], names: np.ndarray, reaction: Reaction) -> list[InferenceServed]:
        """Events that are neither late nor seen before, those that were held until the clock agreed among them."""
        fresh: list[InferenceServed] = []
        again = self.memory.known(names)
        self.duplicates += len(again)
        twice = set(again)
        admit = self.clock.admit
        for i, event in enumerate(events):
            if i not in twice:
                fresh += admit(event.at, event)
        self._clock_moved(reaction)
        return fresh

    def _clock_moved(self, reaction: Reaction) -> None:
        for before, after in self.clock.moves:
            reaction.facts.append(Fact(name="clock_moved", tenant=self.tenant, model=self.model,
                                       detail=f"event time went from {iso(before)} to {iso(after)}"))  # fmt: skip
        self.clock.moves.clear()

    def take_rows(self, name: str, rows: Rows, reaction: Reaction) -> None:
        """Rows of one version that came in columns, in the order they arrived."""
        self.changed = True
        keep = self.clock.admit_rows(rows.at)
        self._clock_moved(reaction)
        names, rows = keys(rows.ids), rows.nameless()
        twice = self.memory.known(names)
        self.duplicates += len(twice)
        keep[twice] = False
        self.kept = keep
        if not keep.all():
            names, rows = names[keep], rows.take(np.flatnonzero(keep))
        if not len(rows):
            return
        version = self.version(name, reaction)
        said = rows.columns.get("prediction")
        said = None if said is None else listed(said, len(rows))
        self._remember(version, rows.at, names, rows.columns.get("score"), said)
        if version.pending:
            version.parts.append(rows_of(version.pending))
            version.pending = []
        version.parts.append(rows)
        count = sum(map(len, version.parts))
        whole = count if version.reference is None else count - count % BLOCK
        if not whole:
            return
        rows = joined(version.parts)
        version.parts = [rows.take(slice(whole, None))] if whole < count else []
        self.feed(version, rows.take(slice(0, whole)) if whole < count else rows, reaction)

    def _remember(self, version: Version, at: np.ndarray, names: np.ndarray, scores: Any, said: Any) -> None:
        if version.last_at == 0.0:
            version.first_at = float(at[0])
        version.rows += len(at)
        version.last_at = max(version.last_at, float(at[-1]))
        self.serving = version.name
        self.rows += len(at)
        self.memory.keep(names, at, version.name, scores, said)
        version.away = 0
        for other in self.versions.values():
            if other is not version:
                other.away += len(at)

    # ---- versions and baselines

    def version(self, name: str, reaction: Reaction) -> Version:
        """The version of that name, begun with its baseline when it is first named."""
        version = self.versions.get(name)
        if version is not None:
            return version
        version = self.versions[name] = Version(name)
        if len(self.versions) > MAX_VERSIONS:
            oldest = min((v for v in self.versions.values() if v is not version), key=lambda v: v.last_at)
            del self.versions[oldest.name]
        self._baseline(version, reaction)
        return version

    def _baseline(self, version: Version, reaction: Reaction) -> None:
        """The version's own baseline when there is one, else the model's; none yet when it shall learn its own."""
        told = self.approved.get(version.name)
        if told is not None:
            version.approved, reference = told.id, told.reference
        else:
            reference = self._found(version.name, reaction) or (None if self.anew(version) else self.reference)
        if reference is None:
            return
        self.reference = self.reference or reference
        version.reference = reference

    def anew(self, version: Version) -> bool:
        """Whether the version learns its own baseline, and has not yet."""
        asked = version.approved or not {version.name, "*"}.isdisjoint(self.options.rebaseline)
        return version.reference is None and bool(asked)

    def _found(self, name: str, reaction: Reaction) -> Reference | None:
        from detectors import baseline, from_file

        try:
            source = self.find(self.tenant, self.model, name)
            if source is None or isinstance(source, Reference):
                return source
            if isinstance(source, bytes):
                return baseline.decode(source).renamed(name)
            stamp = from_file.stamp(Path(source), self.options)
            known = [self.reference, *(v.reference for v in self.versions.values())]
            same = next((one for one in known if one is not None and stamp and one.stamp == stamp), None)
            if same is not None:  # the file that another version was learnt from: learning it again takes seconds
                return same
            found = from_file.reference(Path(source), self.tenant, self.model, name, self.options)
            found.stamp = stamp
        except MiddlewatchError as error:
            reaction.facts.append(
                Fact(name="baseline_refused", tenant=self.tenant, model=self.model, detail=str(error))
            )
            return None
        reaction.baselines.append(found.exported(self.options.importance))
        return found

    def _watch(self, version: Version, rows: Rows) -> None:
        """Begin to watch at the version's first rows. Answers the model never sent yet are not missed.

        Where nothing is left that could be watched, nothing begins: labels, failures and silence are told all the same.
        """
        reference, at = version.reference, float(rows.at[0])
        compiled = self.compiled.get(reference.id)
        if compiled is None:
            silent = [name for name in OUTPUTS if name not in rows.columns and reference.column(name) is not None]
            kept = [column for column in reference.columns if column.signal not in silent]
            if not kept:
                return
            if silent:
                reference = msgspec.structs.replace(reference, columns=kept)
                if self.reference is version.reference:
                    self.reference = reference
                version.reference = reference
            compiled = self.compiled[reference.id] = Compiled(reference, self.options)
        version.watch = Watch(compiled, self.options)
        if reference.segments:
            version.segments = Segments(reference.segments, self.options)
        before = self.versions.get(self.serving)
        if before is not None and before is not version and before.watch is not None:
            version.watch.follow(before.watch, at)

    # ---- watching

    def feed(self, version: Version, rows: Rows, reaction: Reaction) -> None:
        """Rows of one version, whole blocks of them (or the last part of one)."""
        if version.reference is None:
            first_window.collect(self, rows, version, reaction)
            return
        if version.watch is None:
            self._watch(version, rows)
        if version.watch is not None:
            self._watched(version, rows, reaction)
        failures.judge(self, version, rows, reaction)
        silence.broken(self, version, reaction)
        flow.frozen(self, version, reaction)
        self.flow.judge(self, version, reaction)
        self._left(version, reaction)

    def _watched(self, version: Version, rows: Rows, reaction: Reaction) -> None:
        self._strangers(version, rows, reaction)
        found, calms, closed = version.watch.add(rows)
        for detection in found:
            reaction.detections.append((self.key(version), detection))
        for calm in calms:
            reaction.calms.append((self.key(version), calm))
        for content in closed:
            reaction.windows.append(reaction.window(self, version, content))
        if version.segments is not None:
            more, windows = version.segments.add(rows, version.watch)
            reaction.detections += [(self.key(version), detection) for detection in more]
            reaction.windows += [reaction.window(self, version, content, name) for name, content in windows]

    def key(self, version: Version) -> tuple[str, str, str]:
        return self.tenant, self.model, version.name

    def _strangers(self, version: Version, rows: Rows, reaction: Reaction) -> None:
        """Say once that a feature came which the baseline does not know."""
        for name in rows.columns:
            if (
                name not in version.watch.compiled.names
                and name.startswith("feature:")
                and f"{version.name}/{name}" not in self.told
            ):
                self.told.add(f"{version.name}/{name}")
                if len(self.told) < 10_000:
                    reaction.facts.append(
                        Fact(
                            name="new_feature",
                            tenant=self.tenant,
                            model=self.model,
                            detail=f"version {version.name!r} sends {name.partition(':')[2]!r}, "
                            "which the baseline does not have: it is not watched",
                        )
                    )

    def _left(self, serving: Version, reaction: Reaction) -> None:
        """Troubles of versions that no longer serve end when the version that does has been calm long enough."""
        for other in self.versions.values():
            if other is serving or other.away < self.options.calm_rows:
                continue
            kinds = self.open_kinds(other)
            if not kinds or kinds & self.open_kinds(serving):
                continue
            for kind in sorted(kinds):
                reaction.calms.append(
                    (self.key(other), Calm(kind=kind, signals=[], at=serving.last_at, rows=other.away))
                )
            self._close_all(other)

    def open_kinds(self, version: Version) -> set[str]:
        """Kinds of the version's troubles that last."""
        from detectors.compiled import KINDS

        open_now = version.watch.troubles.values() if version.watch else ()
        kinds = {kind for trouble in open_now for kind in trouble.kinds or [KINDS[trouble.kind]]}
        return kinds | ({"concept_drift"} if version.errors and version.errors.fired else set())

    def _close_all(self, version: Version) -> None:
        if version.watch is not None:
            version.watch.troubles.clear()
            version.watch._forget()
        if version.errors is not None:
            version.errors.fired = {}

    # ---- time

    def tick(self, at: float, reaction: Reaction) -> None:
        """The event time of the whole stream is `at`: parts of blocks are weighed, windows close, silence is told."""
        for version in self.versions.values():
            if version.watch is None:
                continue
            first = version.parts[0].at[0] if version.parts else version.pending[0].at if version.pending else at
            if at - float(first) >= PART:
                waiting = [*version.parts, *([rows_of(version.pending)] if version.pending else [])]
                version.parts, version.pending, self.changed = [], [], True
                self.feed(version, joined(waiting), reaction)
            watch = version.watch
            if watch.window_rows and at - watch.window_start >= self.options.window_seconds:
                self.changed = True
                reaction.windows.append(reaction.window(self, version, watch.close()))
        silence.told(self, at, reaction)


def _said(event: InferenceServed) -> Any:
    if event.prediction is None and not isinstance(event.score, dict):
        return None
    said = predicted(event)
    return said if isinstance(said, str | bool | int | float) or said is None else str(said)
