"""What would have been said, hour after hour, over the past that no member was trained on, and how right it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from detectors.forecast import breach, scores
from detectors.forecast.conformal import calibrated
from detectors.forecast.panel import Cases, Series, breached, budget, cases, origins

STRIDE = 5
"""Hours between origins; coprime to the day, so that every hour of it is an origin."""


class Member(Protocol):
    """One way to forecast: `name`, and quantiles (N, HORIZON, quantiles) for cases of a panel, learning nothing from
    series s after its index `until[s]`."""

    name: str

    def predict(self, panel: Sequence[Series], asked: Cases, until: Sequence[int]) -> np.ndarray: ...


@dataclass(frozen=True)
class Told:
    """One member over the past: calibrated quantiles, the correlation of its errors, its chances of a breach."""

    name: str
    raw: np.ndarray
    quantiles: np.ndarray
    rho: float
    chance: np.ndarray


@dataclass(frozen=True)
class Past:
    """The judged cases, when each was breached, and what every member told of them."""

    cases: Cases
    hours: np.ndarray
    episodes: np.ndarray
    told: dict[str, Told]
    segments: np.ndarray
    whole: Cases
    """The judged cases and those before them that calibrated."""
    whole_raw: dict[str, np.ndarray]


@dataclass(frozen=True)
class Row:
    """One member's scores. `ap` by hours ahead; NaN where nothing was breached. `records` by level."""

    member: str
    pinball: float
    coverage: float
    ap: dict[int, float]
    records: dict[str, breach.Record | None] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        records = {k: vars(r) if r else None for k, r in self.records.items()}
        return {"member": self.member, "pinball": self.pinball, "coverage": self.coverage, "ap": self.ap,
                "records": records}  # fmt: skip


ENSEMBLE = ("mlp", "nhits", "holt_winters")
"""Its mean, equally weighted, of those that are there."""


def tell(
    panel: Sequence[Series], members: Sequence[Member], trained: Sequence[int], judged: Sequence[int],
    stride: int = STRIDE,
) -> Past:  # fmt: skip
    """Everything told of the hours from `judged[s]` on, by members that learnt nothing after `trained[s]`; the hours
    between the two calibrate the first intervals, and every later hour the intervals after it."""
    whole = [origins(len(one), first, len(one), stride) for one, first in zip(panel, trained, strict=True)]
    known = cases(panel, whole)
    predicted = {m.name: m.predict(panel, known, trained) for m in members}
    mean = [predicted[name] for name in ENSEMBLE if name in predicted]
    if len(mean) > 1:
        predicted["ensemble"] = np.mean(mean, axis=0)
    late = known.origin >= np.asarray(judged)[known.series]
    asked, before = known.take(late), known.take(~late)
    hours = breached(asked, budget(asked))
    told = {}
    for name, raw in predicted.items():
        fit = calibrated(
            raw[late], asked.series, asked.hour, raw, known.series, known.hour, known.future, learnt=~late
        )  # fmt: skip
        rho = breach.correlation(raw[~late], before.future)
        told[name] = Told(name, raw[late], fit, rho, breach.chances(fit, asked, rho))
    segments = np.array([one.segment for one in panel])
    return Past(asked, hours, breach.episodes(asked, hours), told, segments, known, predicted)


def rows(past: Past) -> list[Row]:
    """The scores of every member, the best pinball first."""
    live = past.hours > 0
    found = []
    for name, told in past.told.items():
        loss = scores.pinball(told.quantiles, past.cases.future)
        ap = {h: scores.average_precision(told.chance[live, h - 1], past.hours[live] <= h) for h in (1, 4, 8, 24)}
        ap[0] = scores.average_precision(told.chance[live].ravel(),
                                         (past.hours[live][:, None] <= np.arange(1, 25)).ravel())  # fmt: skip
        found.append(Row(
            name, scores.macro(loss, past.segments, past.cases.series),
            scores.covered(told.quantiles, past.cases.future), ap, records(past, name),
        ))  # fmt: skip
    return sorted(found, key=lambda row: row.pinball)


def records(past: Past, name: str, chosen: np.ndarray | None = None) -> dict[str, breach.Record | None]:
    """Per level, what was proven by this member on these cases (all of them by default)."""
    live = past.hours > 0 if chosen is None else (past.hours > 0) & chosen
    chance = past.told[name].chance[live, -1]
    return {
        level: breach.proven(chance, past.hours[live], past.episodes[live], precision)
        for level, precision in breach.LEVELS.items()
    }


def speaker(past: Past, chosen: np.ndarray | None = None) -> str:
    """Who speaks: TFT where it wins on these cases, else the ensemble, else the best there is."""
    keep = np.ones(len(past.cases), bool) if chosen is None else chosen
    loss = {n: float(scores.pinball(t.quantiles[keep], past.cases.future[keep]).mean()) for n, t in past.told.items()}
    usual = "ensemble" if "ensemble" in loss else min(loss, key=lambda name: loss[name])
    return "tft" if loss.get("tft", np.inf) < loss[usual] else usual


def plain(table: Sequence[Row]) -> list[Mapping[str, Any]]:
    """Rows as JSON has them."""
    return [row.plain() for row in table]
