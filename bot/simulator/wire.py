"""An episode as the messages producers really send: inference batches, labels, changes and lineage, in order of time.

Only faults that show in the events of one model can be told this way (see `LIVE`). So that some thousands of events
suffice, a live fault has no less than 60 % of its type's largest size, and slow labels arrive within the hour. Jobs
report every run, those that run more often than hourly from four hours before the onset on; a stuck one reports none.
"""

import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bot.simulator.case import outline
from bot.simulator.episode import Episode
from bot.simulator.lineage import Feature, Node
from bot.simulator.record import run_events
from bot.simulator.rng import hex_id, stream
from bot.simulator.shapes import Shape, seen_from
from bot.simulator.tenants import DAY, HOUR
from bot.simulator.travel import spread

LIVE = (
    "D1",
    "D2",
    "D3",
    "D4",
    "D8",
    "F1",
    "F2",
    "M1",
    "M2",
    "M4",
    "M4P",
    "S3",
    "L1",
    "L2",
    "W1",
    "W2",
    "W3",
    "W4",
    "X3",
)
JOBS = ("ingest_job", "feature_job", "label_job", "training_job")
OFTEN = 4 * HOUR
SEASON = 0.4
"""A seasonal input shifts its own mean by up to this many standard deviations in a day."""
FROZEN = 2 * HOUR
"""A feature that is no longer computed has lost its meaning after some multiples of this, at the longest."""
Message = tuple[str, Any, float]


def wire(
    episode: Episode, hours_before: float = 24.0, hours_after: float = 6.0, per_hour: float = 400.0, batch: int = 100
) -> Iterator[Message]:
    """Yield (subject, payload, at) around the onset: `per_hour` events at the mean, in lists of at most `batch`.

    `at` is event time in epoch seconds and never decreases. Raises ValueError for a type that events alone cannot show,
    and for an episode that touches no model.
    """
    kind = episode.truth.kind
    if kind not in LIVE:
        raise ValueError(f"{kind} does not show in inference events; live types are {', '.join(LIVE)}")
    return iter(_Live(episode, per_hour, batch).messages(hours_before, hours_after))


@dataclass(frozen=True)
class _Input:
    name: str
    feature: Feature
    level: float
    spread: float
    hit: bool
    weight: float


class _Live:
    def __init__(self, episode: Episode, per_hour: float, batch: int) -> None:
        visible = episode.visible
        self.world, self.truth, self.batch, self.per_hour = visible._world, episode.truth, batch, per_hour
        self.random = stream(episode.seed, "wire")
        self.case = outline(visible)
        main = next(found for found in self.world.spreads if found.fault.type == episode.truth.kind)
        low, high = main.fault.bounds
        shape = main.fault.shape if main.fault.shape.length <= 10 * DAY else Shape("ramp", 4 * HOUR)
        self.fault = replace(
            main.fault,
            size=max(main.fault.size, low + 0.6 * (high - low)),
            shape=shape,
            onset=main.fault.onset if shape is main.fault.shape else self.case.alert_at - 2 * HOUR,
        )
        self.spread = spread(self.world.graph, self.fault)
        self.model = self._model(visible.alert["node"])
        self.inputs = self._inputs()
        self.segments = visible.segments()
        self.shares = self.random.dirichlet(np.full(len(self.segments), 3.0))
        self.dimension = next(iter(self.world.tenant.segments))
        self.onset = self.spread.onset(self.model.id if self.model.id in self.spread.hops else self.fault.node)
        self.version = f"v{int(self.random.integers(3, 30))}"

    def _model(self, target: str) -> Node:
        graph = self.world.graph
        reached = [node for node in self.spread.strength if graph.nodes[node].kind == "model"]
        near = [
            node
            for node in (*graph.reach(target, up=False), *graph.reach(target, up=True))
            if graph.nodes[node].kind == "model"
        ]
        both = [node for node in near if node in reached]
        if not (near or reached):
            raise ValueError(f"no model of this episode reads what its {self.truth.kind} touches; take another seed")
        best = max(both, key=lambda node: self.spread.strength[node]) if both else (near or reached)[0]
        return graph.nodes[best]

    def _inputs(self) -> list[_Input]:
        graph, random, found = self.world.graph, self.random, []
        for edge in sorted(graph.parents.get(self.model.id, ()), key=lambda edge: -edge.importance):
            view = graph.nodes[edge.src]
            hit: set[int] = set()
            for effect in self.spread.effects.get(view.id, ()):
                hit |= (
                    set(np.flatnonzero(np.abs(effect.size))) if np.ndim(effect.size) else set(range(len(view.features)))
                )
            for index, feature in enumerate(view.features):
                if index in hit or feature.weight >= sorted((f.weight for f in view.features), reverse=True)[1]:
                    level = float(random.uniform(5, 60))
                    weight = edge.importance * feature.weight * (2.0 if index in hit else 1.0)
                    found.append(
                        _Input(feature.name, feature, level, float(random.uniform(0.2, 0.5)), index in hit, weight)
                    )
        if self.fault.type == "D3":  # a category has no unit: it is the numbers of the same source that are converted
            numbers = [item for item in found if not item.feature.categorical]
            some = {item.name for item in numbers if item.hit} or {item.name for item in numbers[:1]}
            found = [replace(item, hit=item.name in some) for item in found]
        found.sort(key=lambda item: (not item.hit, -item.weight))
        kept = found[:12]
        total = sum(item.weight for item in kept) or 1.0
        return [replace(item, weight=1.6 * item.weight / total + 0.1) for item in kept]

    # -- messages -----------------------------------------------------------------------------------------------------

    def messages(self, before: float, after: float) -> list[Message]:
        """Everything, in order of time."""
        tenant = self.world.tenant
        begin, end = self.onset - before * HOUR, self.onset + after * HOUR
        out = self._runs(begin, end)
        names = {node.id: node.words for node in self.world.graph.nodes.values()}
        for change in self.case.changes:
            if begin <= change["when"] <= end:
                told = {key: value for key, value in change.items() if key != "when"} | {
                    "target": names[change["target"]]
                }
                out.append((f"change.{tenant.key}", told, change["when"]))
        events = self._events(begin, end)
        labels = self._labels(events)
        for family, rows in (("inference", [event for event, _ in events]), ("label", labels)):
            for index in range(0, len(rows), self.batch):
                part = rows[index : index + self.batch]
                out.append((f"{family}.{tenant.key}.{self.model.words}", part, part[-1]["at"]))
        return sorted(out, key=lambda message: message[2])

    def _runs(self, begin: float, end: float) -> list[Message]:
        """What the pipelines report: the whole graph once, then the end of every run of every job."""
        words = {node.id: node.words for node in self.world.graph.nodes.values()}
        nodes = [node | {"name": words[node["id"]]} for node in self.case.nodes]
        case = replace(self.case, nodes=nodes, runs=dict.fromkeys(words, (begin, False)))
        told = [(begin, event) for event in run_events(case)]
        first = {event["job"]["name"]: event for _, event in told if event.get("job")}
        failing = stream(self.world.seed, "wire", "runs").random() < 0.5
        for node in self.world.graph.nodes.values():
            if node.kind not in JOBS or node.words not in first or node.cadence <= 0:
                continue
            since = begin if node.cadence >= HOUR else self.onset - OFTEN
            for at in np.arange(np.ceil((since - node.phase) / node.cadence), (end - node.phase) / node.cadence):
                ended = float(at * node.cadence + node.phase)
                stuck = node.id == self.fault.node and self.fault.type in ("F1", "L1") and ended > self.fault.onset
                if stuck and not failing:
                    continue
                state = "FAIL" if stuck else "COMPLETE"
                run = {"runId": str(uuid.UUID(int=zlib.crc32(f"{node.id} {ended}".encode())))}
                when = datetime.fromtimestamp(ended, UTC).isoformat()
                told.append((ended, first[node.words] | {"eventType": state, "eventTime": when, "run": run}))
        return [(f"lineage.{self.world.tenant.key}", event, at) for at, event in told]

    def _amount(self, t: np.ndarray) -> np.ndarray:
        hops = self.spread.hops.get(self.model.id, self.spread.hops.get(self.fault.node, ()))
        return self.fault.shape.at(seen_from(t, hops) - self.fault.onset)

    def _events(self, begin: float, end: float) -> list[tuple[dict, dict]]:
        """(event, what only the world knows: the true logit and the strength of the fault), in order of time."""
        random, kind, fault = self.random, self.fault.type, self.fault
        t = begin + np.cumsum(random.exponential(HOUR / self.per_hour, int((end - begin) / HOUR * self.per_hour * 2.5)))
        wave = 0.7 + 0.3 * np.cos(2 * np.pi * (t / HOUR - 15) / 24)
        amount = self._amount(t)
        if kind == "W3":
            wave = wave * (1 + min(1.0, fault.size) * amount)
        if kind == "X3":
            wave = wave * (1 - amount)
        t = t[(random.random(len(t)) < wave / 1.6) & (t < end)]
        amount, season = self._amount(t), self._seasons(t)
        share = self.shares / self.shares.sum()
        slice_ = random.choice(len(self.segments), len(t), p=share)
        if kind in ("W1", "W4"):
            grown = random.random(len(t)) < 0.5 * amount
            slice_ = np.where(grown, fault.segments[0] if fault.segments else 0, slice_)
        in_slice = np.isin(slice_, fault.segments) if fault.segments else np.ones(len(t), bool)
        z = random.standard_normal((len(self.inputs), len(t))) + 0.3 * np.sin(slice_)[None] + season
        if kind in ("W1", "W4"):
            z = z + 0.8 * ((slice_ == (fault.segments[0] if fault.segments else 0)) & (amount > 0))
        if kind == "W3":
            z = z + 0.5 * amount
        weights = np.array([item.weight for item in self.inputs])
        offset = -1.0
        truth = offset + weights @ z
        served, shown = self._served(z, amount, in_slice, season, t)
        score = 1 / (1 + np.exp(-(offset + weights @ served)))
        score, cut, late = self._scored(score, amount, t)
        events = []
        for i in range(len(t)):
            features = {item.name: shown[j][i] for j, item in enumerate(self.inputs)} | {
                self.dimension: self.segments[slice_[i]]
            }
            events.append(
                (
                    {
                        "id": hex_id(random, 16),
                        "at": round(float(t[i]), 3),
                        "features": features,
                        "score": round(float(score[i]), 5),
                        "version": f"{self.version}-new" if kind == "M1" and amount[i] > 0 else self.version,
                        "prediction": bool(score[i] > cut[i]),
                        "latency_ms": round(float(late[i]), 2),
                    },
                    {"logit": float(truth[i]), "amount": float(amount[i])},
                )
            )
        return events

    def _seasons(self, t: np.ndarray) -> np.ndarray:
        """Shift of each input's mean by the time of day, in sd, inputs x events: every other input has none."""
        random = stream(self.world.seed, "wire", "season")
        depth = random.uniform(0, SEASON, len(self.inputs)) * (random.random(len(self.inputs)) < 0.5)
        phase = random.uniform(0, 24, len(self.inputs))
        return depth[:, None] * np.cos(2 * np.pi * (t[None] / HOUR - phase[:, None]) / 24)

    def _served(
        self, z: np.ndarray, amount: np.ndarray, in_slice: np.ndarray, season: np.ndarray, t: np.ndarray
    ) -> tuple[np.ndarray, list[list]]:
        """(inputs as the model effectively saw them, in sd; values as they are in the event), features x events."""
        random, fault, kind = self.random, self.fault, self.fault.type
        served, shown = z.copy(), []
        inside = min(1.0, fault.size / fault.share if fault.segments and kind == "D4" else fault.size)
        inside = 1.0 if kind == "D3" else inside  # a unit changes for every row
        for j, item in enumerate(self.inputs):
            hit = (
                item.hit & in_slice & (random.random(len(t)) < inside * amount) if item.hit else np.zeros(len(t), bool)
            )
            values: list = [float(v) for v in np.round(item.level * (1 + item.spread * z[j]), 4)]
            if item.feature.categorical:
                values = [f"k{int(np.clip(abs(v) * 3, 0, 7))}" for v in z[j]]
            if kind in ("D2", "D4") and (kind == "D2" or fault.params.get("as_null")):
                values = [None if h else v for h, v in zip(hit, values, strict=True)]
                served[j] = np.where(hit, 0.0, served[j])
            elif kind in ("D1", "D4"):
                values = [
                    ("-1" if item.feature.categorical else -1.0) if h else v for h, v in zip(hit, values, strict=True)
                ]
                served[j] = np.where(hit, -1 / item.spread, served[j])
            elif kind == "D3" and not item.feature.categorical:
                factor = fault.params["r"]
                values = [round(v * factor, 6) if h else v for h, v in zip(hit, values, strict=True)]
                served[j] = np.where(hit, np.clip((factor - 1) / item.spread, -4, 4), served[j])
            elif kind == "D8":
                values = [f"new-{i % 5}" if h else v for i, (h, v) in enumerate(zip(hit, values, strict=True))]
                served[j] = np.where(hit, 0.8, served[j])
            elif kind == "F2":
                missed = in_slice & (random.random(len(t)) < min(1.0, fault.size) * amount)
                values = [
                    (None if item.feature.categorical else 0.0) if h else v for h, v in zip(missed, values, strict=True)
                ]
                served[j] = np.where(missed, -1 / item.spread, served[j])
            elif kind == "F1" and item.hit:
                frozen = self._frozen(z[j], season[j], amount, t)
                served[j] = frozen
                if not item.feature.categorical:
                    values = [float(v) for v in np.round(item.level * (1 + item.spread * frozen), 4)]
            shown.append(values)
        return served, shown

    def _frozen(self, z: np.ndarray, season: np.ndarray, amount: np.ndarray, t: np.ndarray) -> np.ndarray:
        """An input as it was computed last: it looks as it did then, and means less with every hour."""
        on = amount > 0
        if not on.any():
            return z
        begun = int(np.argmax(on))
        age = np.clip(t - t[begun], 0, None)
        keeps = 1 - self.fault.size * (1 - np.exp(-age / min(self.fault.params["tau"], FROZEN)))
        other = self.random.permutation(z - season)
        old = keeps * (z - season) + np.sqrt(1 - keeps**2) * other + season[begun]
        return np.where(on, old, z)

    def _scored(
        self, score: np.ndarray, amount: np.ndarray, t: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(score, decision threshold, latency in ms) with the faults of models and services in them."""
        random, fault, kind = self.random, self.fault, self.fault.type
        cut, late = np.full(len(t), 0.5), 18 * np.exp(0.3 * random.standard_normal(len(t)))
        on = amount > 0
        if kind == "M1":
            noisy = np.clip(score + 0.25 * random.standard_normal(len(t)) + 0.2 * fault.params["score"], 0.001, 0.999)
            score = np.where(on, noisy, score)
        elif kind == "M2":
            score = np.where(on, 1 - score, score)
        elif kind in ("M4", "M4P"):
            cut = np.where(on, 0.5 - 0.25 * fault.params["sign"], cut)
        elif kind == "S3":
            late = late * (1 + fault.size * amount)
            score = np.where(random.random(len(t)) < 0.3 * amount, 0.25, score)
        return score, cut, late

    def _labels(self, events: list[tuple[dict, dict]]) -> list[dict]:
        random, kind, fault = self.random, self.fault.type, self.fault
        median, sigma = self.world.tenant.label_delay
        rows = []
        for event, world in events:
            on = world["amount"]
            if kind == "L1" and random.random() < min(0.9, fault.size) * on:
                continue
            logit = world["logit"] * (1 - 1.6 * on if kind == "W2" else 1.0)
            if kind == "L2":
                logit += 1.5 * fault.params["sign"] * on
            at = event["at"] + min(median, 1200.0) * float(np.exp(sigma * random.standard_normal()))
            rows.append(
                {"id": event["id"], "at": round(at, 3), "label": int(random.random() < 1 / (1 + np.exp(-logit)))}
            )
        return sorted(rows, key=lambda row: row["at"])
