"""The facts of an incident read out of its evidence: a pure view, so that a replay sees exactly what the run saw."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from agents.units import QUANTILES, Fit, best_fit
from core.findings import Evidence

INPUT_FAMILIES = ("feature", "nulls", "unseen", "range", "type", "staleness")
CALM = 3.0
"""An anomaly below this many scales is no movement (where the ranker's Bayes factor is 1)."""
UNDETECTED = 2 * CALM
"""What no detector fired on counts as moved only when it moved this far."""
NEAR = 6 * 3600.0
"""A change this long before the onset may have caused it (seconds)."""
LAST = ", last"
"""Marks a comparison with the last window alone."""
UNNAMED = "unnamed"
"""What a signal without any name is called."""
EARLY = 900.0
"""An estimated onset may lie this long before its cause (seconds)."""


class Signal(NamedTuple):
    """One signal as alert and telemetry show it. `in_alert`, `in_telemetry`: its place there, or None."""

    name: str
    label: str
    family: str
    s: float
    effect: float
    detected: bool
    in_alert: int | None
    in_telemetry: int | None
    alert: dict[str, Any]
    telemetry: dict[str, Any]

    @property
    def moved(self) -> bool:
        return self.detected or (not math.isnan(self.s) and self.s >= UNDETECTED)


class Picture:
    """Evidence by source, and what follows from it. Built from numbered evidence alone."""

    def __init__(self, evidence: Sequence[Evidence]):
        self.evidence = list(evidence)
        self.alert = self._first("alert")
        self.telemetry = self._first("telemetry")
        self.lineage = self._first("lineage")
        self.changes = self._first("changes")
        self.history = self._first("history")
        if self.alert is None:
            raise ValueError("there is no alert in the evidence: nothing to investigate")
        facts = self.alert.result
        self.model: str = facts["model"]
        self.version: str = facts["version"]
        self.kind: str = facts["kind"]
        self.onset: float = facts["onset"]

    def _first(self, source: str) -> Evidence | None:
        return next((e for e in self.evidence if e.source == source and e.query != "reach"), None)

    @cached_property
    def signals(self) -> dict[str, Signal]:
        """Every signal that was seen, by name."""
        in_alert = {d["name"]: i for i, d in enumerate(self.alert.result["detections"])}  # type: ignore[union-attr]
        rows = self.telemetry.result["signals"] if self.telemetry else []
        in_telemetry = {row["name"]: i for i, row in enumerate(rows)}
        found = {}
        for name in [*in_alert, *(n for n in in_telemetry if n not in in_alert)]:
            a, t = in_alert.get(name), in_telemetry.get(name)
            detection = self.alert.result["detections"][a] if a is not None else {}  # type: ignore[union-attr]
            row = rows[t] if t is not None else {}
            s, effect = row.get("s"), detection.get("effect")
            found[name] = Signal(
                name,
                row.get("label") or detection.get("label") or name or UNNAMED,
                row.get("family") or detection.get("family") or name or UNNAMED,
                math.nan if s is None else s,
                abs(effect) if effect is not None else row.get("psi") or 0.0,
                a is not None,
                a,
                t,
                detection,
                row,
            )
        return found

    @cached_property
    def inputs(self) -> dict[str, list[Signal]]:
        """The model's inputs by label, each with its signals (value, nulls, unseen levels ...)."""
        found: dict[str, list[Signal]] = {}
        for signal in self.signals.values():
            if signal.family in INPUT_FAMILIES:
                found.setdefault(signal.label, []).append(signal)
        return found

    @cached_property
    def moved_inputs(self) -> list[str]:
        """Labels of inputs that moved: the detected ones, and what else moved as far; largest first."""
        hit = {label: own for label, own in self.inputs.items() if any(s.moved for s in own)}
        return sorted(hit, key=lambda k: (not any(s.detected for s in hit[k]), -max(s.effect for s in hit[k]), k))

    @cached_property
    def calm_inputs(self) -> list[str]:
        """Labels of inputs that were measured and did not move."""
        return sorted(
            k for k, own in self.inputs.items() if k not in self.moved_inputs and any(not math.isnan(s.s) for s in own)
        )

    def of(self, *families: str) -> list[Signal]:
        """Signals of these families, the most moved first."""
        found = [s for s in self.signals.values() if s.family in families]
        return sorted(found, key=lambda s: (not s.detected, -s.effect, s.name))

    @cached_property
    def lead(self) -> Signal | None:
        """The signal to speak of first: the largest detected one, inputs before their effects."""
        detected = [s for s in self.signals.values() if s.detected]
        order = {"feature": 0, "nulls": 1, "unseen": 1, "type": 1, "range": 2, "staleness": 1}
        return min(
            detected,
            key=lambda s: (order.get(s.family, 3) if self.kind == "data_drift" else 0, s.in_alert),
            default=None,
        )

    @cached_property
    def takeover(self) -> bool:
        """Whether the alerting version had just taken over from another one."""
        return bool(self.telemetry and self.telemetry.result["takeover"])

    @cached_property
    def partial(self) -> bool:
        """Whether no window has begun since the onset: what is seen then is a mixture of before and after."""
        return self.telemetry is None or bool(self.telemetry.result.get("partial"))

    @cached_property
    def version_bound(self) -> bool:
        """Whether the movement exists only in rows of the alerting version: moved from its first window on."""
        return self.takeover and bool(self.telemetry and self.telemetry.result["healthy_version"])

    def beside(self, signal: Signal) -> dict[str, Any] | None:
        """What another version showed at the same time, if it served then."""
        rows = signal.telemetry.get("other_versions") or []
        return rows[0] if rows else None

    @cached_property
    def near_changes(self) -> list[tuple[int, dict[str, Any]]]:
        """(place in the evidence, change) of the changes that may have caused this, in time; nearest first."""
        if self.changes is None:
            return []
        rows = enumerate(self.changes.result["changes"])
        return [(i, c) for i, c in rows if -EARLY <= self.onset - c["at"] <= NEAR]

    @cached_property
    def deployment(self) -> tuple[int, dict[str, Any]] | None:
        """The deployment of the alerting version near the onset, if the log holds one."""
        for place, change in self.near_changes:
            if change["kind"] == "deployment" and self.is_model(change["target"]):
                if self.version and change.get("to") not in (None, self.version):
                    continue
                return place, change
        return None

    def concerns(self, target: str) -> bool:
        """Whether a change of `target` could have led here: the model, an input, or what is upstream. Without lineage
        everything could."""
        if self.lineage is None or self.is_model(target) or target in self.inputs:
            return True
        return any(target in (row["id"], row.get("title")) for row in self.lineage.result["nodes"])

    def is_model(self, target: str) -> bool:
        node = self.lineage.result["model"] if self.lineage else self.model
        return target in (self.model, node) or re.split(r"[/:.]", target)[-1] == self.model

    @cached_property
    def fits(self) -> dict[str, tuple[Fit, str]]:
        """The best unit conversion of each moved numeric input, and what it was compared with."""
        found: dict[str, tuple[Fit, str]] = {}
        for label in self.moved_inputs:
            for signal in self.inputs[label]:
                if signal.family != "feature":
                    continue
                for side, before, now in self._compared(signal):
                    fit = best_fit(_quantiles(before), _quantiles(now), label, self._spread(signal))
                    if fit is not None and (label not in found or _better(fit, found[label][0])):
                        found[label] = (fit, side)
        return found

    def _spread(self, signal: Signal) -> float:
        """The widest that the signal is known to spread (5% to 95%): hours of weather span little of a winter's."""
        known = (_quantiles(side) for side in (self.sides(signal)[0], signal.alert.get("reference") or {}))
        return max((q[-1] - q[0] for q in known if q), default=0.0)

    def _compared(self, signal: Signal) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """What a moved signal may be compared with: all healthy windows, those just before (the same season), and,
        while no window has closed since, the reference. Where several have closed, the last one alone as well."""
        before, now, source = self.sides(signal)
        recent = [(side, signal.telemetry.get(side) or {}, now) for side in ("healthy", "just_before")]
        if last := signal.telemetry.get("latest"):
            recent += [(f"{side}{LAST}", then, last) for side, then, _ in recent]
        return recent if source == "telemetry" else [("reference", before, now), *recent]

    def sides(self, signal: Signal) -> tuple[dict[str, Any], dict[str, Any], str]:
        """(healthy, current, where from: `telemetry` or `alert`) of a signal; empty dicts when neither has both."""
        row = signal.telemetry
        if row.get("healthy") and row.get("current"):
            return row["healthy"], row["current"], "telemetry"
        if signal.alert.get("reference") and signal.alert.get("current"):
            return signal.alert["reference"], signal.alert["current"], "alert"
        return {}, {}, ""

    def gradual(self, signal: Signal) -> float:
        """0 for a step at the onset, 1 for a change that was under way before and went on after; NaN: cannot tell."""
        points = [(end, level) for end, level, _ in signal.telemetry.get("series") or []]
        before = [v for end, v in points if end <= self.onset]
        after = [v for end, v in points if end > self.onset]
        if len(before) < 6 or len(after) < 2:
            return math.nan
        early, late = _median(before[: len(before) // 2]), _median(after[-3:])
        step = _median(after[:3]) - _median(before[-3:])
        total = late - early
        usual = math.sqrt(sum((v - early) ** 2 for v in before) / len(before))
        return 1.0 - min(max(step / total, 0.0), 1.0) if abs(total) > 1.5 * usual else math.nan


def _better(fit: Fit, known: Fit) -> bool:
    return (fit.accepted, fit.named, -fit.error) > (known.accepted, known.named, -known.error)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _quantiles(side: dict[str, Any]) -> list[float]:
    return [side[q] for q in QUANTILES] if all(side.get(q) is not None for q in QUANTILES) else []
