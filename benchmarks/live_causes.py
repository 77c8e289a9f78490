"""How often is the live investigation right, and how honest is its confidence? Prints one JSON line.

    python -m benchmarks.live_causes --seeds 3000..3007 [--types D1,D3,...]

Every live type of the simulator, with every seed, goes as wire events through the real monitor, the alert pipeline and
the investigation (its ports in memory), with no server; the baseline is the two days before. What the first diagnosis
says is right when its typed cause is the true one; of a benign incident, when it names nothing that is broken. The
expected calibration error is that of the stated confidence; beside it, what a Platt scaling of the posteriors of node
and type (Platt 1999, with his prior on the targets), cross-fitted, would reach.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

import msgspec
import numpy as np
from scipy.optimize import minimize

from agents import calibration
from agents.faults import CODES
from agents.investigate import Investigation, Picture, reason
from agents.steering import read as steering
from bot.progress import bar
from bot.simulator.catalogue import TYPES
from bot.simulator.episode import generate
from bot.simulator.evaluate import seeds
from bot.simulator.score import ece
from bot.simulator.wire import LIVE, wire
from core import policy as policies
from core.alerting import Pipeline, rules_of
from core.events import AlertFired, ChangeRecorded, InferenceServed, LabelArrived
from core.incidents import Incident, opened
from core.watcher import Watcher
from detectors.monitor import Monitor
from knowledge.ingest import _learnt
from knowledge.lineage import Lineage

BEFORE = 60.0
"""Hours of healthy traffic; the first four fifths are the baseline."""
JOINED = 3 * 3600.0
"""Alerts this long after the first, seconds of event time, are part of its first diagnosis."""
INNOCENT = {"seasonality", "campaign_mix", "covariate_drift", "threshold_change"}
"""What may be said of a benign incident: nothing in it is broken."""


class Memory:
    """Every port of an investigation, over what was published."""

    def __init__(self) -> None:
        self.closed: list[Any] = []
        self.log: list[ChangeRecorded] = []
        self.graph = Lineage()

    async def windows(self, tenant: str, model: str, *, since: float = 0.0, until: float = float("inf"),
                      version: str | None = None, limit: int = 2_000) -> list[Any]:  # fmt: skip
        return [w for w in self.closed if w.model == model and since <= w.end <= until][-limit:]

    async def changes(self, tenant: str, *, since: float, until: float) -> list[ChangeRecorded]:
        return sorted((c for c in self.log if since <= c.at <= until), key=lambda c: c.at)

    async def search(self, words: str, **_: Any) -> list[Any]:
        return []

    async def similar(self, incident: Incident, top: int = 3) -> list[Any]:
        return []


def incident_of(kind: str, seed: int, rules: Any) -> tuple[Memory, Incident | None]:
    """What the product would hold and know when it first diagnoses this episode; no incident when nothing fired."""
    episode = generate(seed, kind)
    onset = float((episode.truth.plain().get("root") or {}).get("onset_ts", 0.0))
    messages = list(wire(episode, hours_before=BEFORE))
    rows = sum(
        len(p) for s, p, at in messages if s.startswith("inference") and at < messages[0][2] + 0.8 * BEFORE * 3600
    )
    memory = Memory()
    watcher = Watcher(Monitor(msgspec.structs.replace(rules.detection, baseline_rows=rows), rules=rules.rules))
    pipeline = Pipeline(rules_of(rules.alerting, rules.detection))
    found: Incident | None = None
    for subject, payload, at in messages:
        family, tenant, *model = subject.split(".")
        if found is not None and at > found.alerts[0].at + JOINED:
            break
        if family == "change":
            memory.log.append(msgspec.convert(payload, ChangeRecorded))
            continue
        if family == "lineage":
            _learnt(memory.graph, [payload])
            continue
        word = InferenceServed if family == "inference" else LabelArrived
        take = watcher.on_inference if family == "inference" else watcher.on_labels
        said = take(tenant, model[0], msgspec.convert(payload, list[word]))  # type: ignore[valid-type]
        memory.closed += said.windows
        for detected in said.detected:
            key = (detected.tenant, detected.model, detected.version)
            for alert in pipeline.push(key, detected.detections, None, at, calms=detected.calms, cause="replay"):
                if isinstance(alert, AlertFired) and alert.at >= onset:  # what fired before is a false alarm
                    found = opened(alert, "inc", at) if found is None else _joined(found, alert)
    return memory, found


def _joined(incident: Incident, alert: AlertFired) -> Incident:
    return msgspec.structs.replace(incident, alerts=[*incident.alerts, alert])


async def diagnosed(memory: Memory, incident: Incident, rules: Any) -> tuple[str, float, float, float]:
    """(typed cause, posterior of the node, posterior of the type, stated confidence) of the first diagnosis."""

    async def lineage(tenant: str) -> Any:
        return memory.graph

    ports = {"telemetry": memory, "changes": memory, "runbooks": memory, "history": memory}
    tools = Investigation(**ports, lineage=lineage, model=None, policy=rules)
    said = await tools.investigate(incident, incident.opened_at)
    reasoned = reason(Picture(said.evidence), steering([], [], []))
    if not reasoned.causes:
        return "unknown", 0.0, 0.0, said.confidence
    top = reasoned.causes[0]
    return top.type, top.posterior, reasoned.types[top.type], said.confidence


def platt(x: Any, right: Any) -> Any:
    """Bias and two slopes (not negative) of the log odds, clipped as in use; targets as Platt corrects them."""
    good, bad = right.sum(), (1 - right).sum()
    target = np.where(right > 0, (good + 1) / (good + 2), 1 / (bad + 2))

    def loss(w: Any) -> float:
        z = w[0] + x @ w[1:]
        return float(np.mean(np.logaddexp(0, z) - target * z)) + 0.002 * float(w[1:] @ w[1:])

    return minimize(loss, np.array([0.0, 0.5, 0.5]), bounds=[(-4, 4), (0.02, 3), (0.02, 3)]).x


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seeds", required=True)
    args.add_argument("--types", default=",".join(LIVE))
    told = args.parse_args()
    rules, say = policies.load(), bar(sys.stderr)
    wanted = [(kind, seed) for seed in seeds(told.seeds) for kind in told.types.split(",")]
    rows, unseen, kinds = [], 0, []
    for place, (kind, seed) in enumerate(wanted):
        say(place, len(wanted), f"{kind} {seed}")
        memory, incident = incident_of(kind, seed, rules)
        if incident is None or incident.kind == "silence":
            unseen += 1
            continue
        cause, node, typed, stated = asyncio.run(diagnosed(memory, incident, rules))
        right = cause in INNOCENT if TYPES[kind].benign else CODES.get(cause, "other") == kind
        rows.append((calibration.logit(node), calibration.logit(typed), float(right), stated))
        kinds.append((kind, cause, right))
    say(len(wanted), len(wanted), "")
    data = np.array(rows)
    x, right, stated_all = data[:, :2], data[:, 2], data[:, 3]
    fold, apart = np.arange(len(x)) % 5, np.zeros(len(x))
    for k in range(5):
        w = platt(x[fold != k], right[fold != k])
        apart[fold == k] = 1 / (1 + np.exp(-(w[0] + x[fold == k] @ w[1:])))
    by_type = {t: f"{sum(r for k, _, r in kinds if k == t)}/{sum(k == t for k, _, _ in kinds)}" for t in LIVE}
    said = {t: [c for k, c, _ in kinds if k == t] for t in LIVE}
    shown = stated_all >= rules.investigation.confidence
    found = {
        "benchmark": "live_causes", "incidents": len(x), "unnoticed": unseen, "typed": by_type, "said": said,
        "type_accuracy": round(float(right.mean()), 3), "ece_stated": round(ece(stated_all, right), 3),
        "ece_cross_fitted": round(ece(apart, right), 3), "shown": round(float(shown.mean()), 3),
        "shown_precision": round(float(right[shown].mean()), 3) if shown.any() else None,
        "platt": [round(float(v), 3) for v in platt(x, right)],
    }  # fmt: skip
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
