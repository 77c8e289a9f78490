"""Simulated live incidents as the investigation meets them, and what it says: for `live_causes` and `fit_live`.

An episode's wire events go through the real monitor and the alert pipeline. What the product would hold is kept at
every moment at which it would investigate: when the first alert comes, when another joins, and at the looks of what is
not sure (`core.looks`). An alert from before the fault began is an incident of its own in which nothing is broken.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from agents import calibration
from agents.faults import CODES
from agents.investigate import Investigation
from agents.picture import Picture
from agents.reason import reason
from agents.steering import read as steering
from bot.simulator.catalogue import TYPES
from bot.simulator.episode import generate
from bot.simulator.wire import wire
from core.alerting import Pipeline, rules_of
from core.events import AlertFired, ChangeRecorded, InferenceServed, LabelArrived
from core.incidents import Incident, opened
from core.looks import LOOKS
from core.watcher import Watcher
from detectors.monitor import Monitor
from knowledge.lineage import Lineage
from knowledge.openlineage import learn

BEFORE = 60.0
"""Hours of healthy traffic; the first four fifths are the baseline."""
CALM = "none"
"""The kind of an incident that was opened before the fault began: nothing was broken."""
INNOCENT = {"seasonality", "campaign_mix", "covariate_drift"}
"""What may be said of a benign incident: nothing in it is broken."""
PLANNED = "threshold_change"
"""What may be said of a benign incident that was a planned change of the threshold."""
MOST = 8
"""Moments of one incident that are looked at."""


class Memory:
    """Every port of an investigation, over what was published until `at` (places in the lists)."""

    def __init__(self, closed: list[Any], log: list[ChangeRecorded], graph: Lineage) -> None:
        self.closed, self.log, self.graph = closed, log, graph

    async def windows(self, tenant: str, model: str, *, since: float = 0.0, until: float = float("inf"),
                      version: str | None = None, limit: int = 2_000) -> list[Any]:  # fmt: skip
        return [w for w in self.closed if w.model == model and since <= w.end <= until][-limit:]

    async def changes(self, tenant: str, *, since: float, until: float) -> list[ChangeRecorded]:
        return sorted((c for c in self.log if since <= c.at <= until), key=lambda c: c.at)

    async def search(self, words: str, **_: Any) -> list[Any]:
        return []

    async def similar(self, incident: Incident, top: int = 3) -> list[Any]:
        return []


class Moment(NamedTuple):
    """What is known when the product investigates: the incident, and how much of each list there is."""

    incident: Incident
    windows: int
    changes: int
    graph: bytes


class Told(NamedTuple):
    """One incident: its true kind (`CALM` for a false alarm), seed, and the moments at which it is investigated."""

    kind: str
    seed: int
    moments: list[Moment]
    closed: list[Any]
    log: list[ChangeRecorded]

    def memory(self, moment: Moment) -> Memory:
        return Memory(self.closed[: moment.windows], self.log[: moment.changes], Lineage.decode(moment.graph))


def play(kind: str, seed: int, rules: Any) -> list[Told]:
    """The incidents an episode leads to: none, one, or false alarms beside it."""
    try:
        messages = list(wire(generate(seed, kind), hours_before=BEFORE))
    except ValueError:  # it touches no model
        return []
    onset = messages[0][2] + BEFORE * 3600
    rows = sum(len(p) for s, p, at in messages if s.startswith("inference") and at < onset - 0.2 * BEFORE * 3600)
    watcher = Watcher(Monitor(msgspec.structs.replace(rules.detection, baseline_rows=rows), rules=rules.rules))
    pipeline = Pipeline(rules_of(rules.alerting, rules.detection))
    closed: list[Any] = []
    log: list[ChangeRecorded] = []
    graph = Lineage()
    open_: dict[bool, list[Moment]] = {True: [], False: []}  # by whether the fault had begun
    looks = list(LOOKS)
    for subject, payload, at in messages:
        family, tenant, *model = subject.split(".")
        while open_[True] and looks and at > open_[True][0].incident.alerts[0].at + looks[0]:
            open_[True].append(Moment(open_[True][-1].incident, len(closed), len(log), graph.encode()))
            looks.pop(0)
        if not looks:
            break
        if family == "change":
            log.append(msgspec.convert(payload, ChangeRecorded))
            continue
        if family == "lineage":
            learn(graph, payload)
            continue
        word = InferenceServed if family == "inference" else LabelArrived
        take = watcher.on_inference if family == "inference" else watcher.on_labels
        said = take(tenant, model[0], msgspec.convert(payload, list[word]))  # type: ignore[valid-type]
        closed += said.windows
        alerts = []
        for detected in said.detected:
            key = (detected.tenant, detected.model, detected.version)
            alerts += pipeline.push(key, detected.detections, None, at, calms=detected.calms, cause="replay")
        for alert in alerts:
            if isinstance(alert, AlertFired):
                own = open_[alert.at >= onset]
                before = own[-1].incident if own else None
                grown = opened(alert, "inc", at) if before is None else _joined(before, alert)
                own.append(Moment(grown, len(closed), len(log), graph.encode()))
    if open_[True] and looks:
        open_[True].append(Moment(open_[True][-1].incident, len(closed), len(log), graph.encode()))
    kinds = {True: kind, False: CALM}
    return [Told(kinds[real], seed, own, closed, log) for real, own in open_.items()
            if own and own[0].incident.kind != "silence"]  # fmt: skip


def _joined(incident: Incident, alert: AlertFired) -> Incident:
    return msgspec.structs.replace(
        incident, alerts=[*incident.alerts, alert], severity=min(incident.severity, alert.severity)
    )


def kept(kind: str, seed: int, rules: Any, folder: Path | None) -> list[Told]:
    """As `play`; with a folder, what was played before is read from it. The file is ours alone: pickled."""
    if folder is None:
        return play(kind, seed, rules)
    file = folder / f"{kind}-{seed}.pickle"
    if file.exists():
        return pickle.loads(file.read_bytes())
    told = play(kind, seed, rules)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(told))
    return told


class Answer(NamedTuple):
    """What was said at one moment of one incident."""

    kind: str
    seed: int
    incident: int
    moment: int
    cause: str
    features: tuple[float, ...]
    confidence: float
    shown: bool
    right: bool
    undone: bool
    """What is said is that the new version brought it, and going back is indeed what helps."""


def undone(kind: str) -> bool:
    """Whether going back to the version before undoes a fault of this kind."""
    return kind != CALM and any(code.startswith(("ROLLBACK", "FINISH_OR_ROLLBACK")) for code in TYPES[kind].best)


def right(kind: str, cause: str) -> bool:
    """Whether a typed cause is the true kind's; of a benign incident, whether it names nothing that is broken."""
    if kind == CALM or TYPES[kind].benign:
        return cause in INNOCENT or (kind == "M4P" and cause == PLANNED)
    return CODES.get(cause, "other") == kind


def answers(kinds: Sequence[str], wanted: Sequence[int], rules: Any, folder: Path | None, say: Any) -> Iterator[Answer]:
    """The answer at every moment of every incident of these kinds and seeds, oldest moment first."""
    number = 0
    for place, (seed, kind) in enumerate((seed, kind) for seed in wanted for kind in kinds):
        say(place, len(wanted) * len(kinds), f"{kind} {seed}")
        for told in kept(kind, seed, rules, folder):
            number += 1
            for at, moment in enumerate([*told.moments[: MOST - 1], told.moments[-1]][: len(told.moments)]):
                yield _answer(told, number, at, moment, rules)
    say(1, 1, "")


def _answer(told: Told, number: int, at: int, moment: Moment, rules: Any) -> Answer:
    memory = told.memory(moment)

    async def lineage(tenant: str) -> Any:
        return memory.graph

    ports: dict[str, Any] = {"telemetry": memory, "changes": memory, "runbooks": memory, "history": memory}
    tools = Investigation(**ports, lineage=lineage, model=None, policy=rules)
    said = asyncio.run(tools.investigate(moment.incident, moment.incident.opened_at))
    picture = Picture(said.evidence)
    found = reason(picture, steering([], [], []))
    cause = found.causes[0].type if found.causes else "unknown"
    node = found.causes[0].posterior if found.causes else 0.0
    early = picture.partial and picture.telemetry is not None
    traits = calibration.features(node, found.types.get(cause, 0.0), early)
    return Answer(told.kind, told.seed, number, at, cause, traits, said.confidence, not said.abstained,
                  right(told.kind, cause), found.version_only and undone(told.kind))  # fmt: skip


def told_last(rows: Sequence[Answer], shown: Sequence[bool]) -> dict[int, int]:
    """incident -> the row that its card ends with: the first that is shown, for then it is not investigated again; the
    last where none is."""
    found: dict[int, int] = {}
    for place, row in enumerate(rows):
        if row.incident not in found or not shown[found[row.incident]]:
            found[row.incident] = place
    return found


def table(said: Any, right: Any, bins: int = 8) -> list[dict[str, float]]:
    """The reliability table: bins of equal mass, what was said, how often it was right, how many."""
    order = np.argsort(said, kind="stable")
    return [
        {"said": round(float(said[part].mean()), 3), "right": round(float(right[part].mean()), 3), "n": len(part)}
        for part in np.array_split(order, bins)
        if len(part)
    ]
