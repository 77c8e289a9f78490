"""All of it together: series in, and for each what may be said of the next 24 hours. Pure; batched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detectors.forecast import backtest, breach
from detectors.forecast.conformal import calibrated
from detectors.forecast.panel import HORIZON, LEAST, QUANTILES, Series, budget, cases
from detectors.forecast.pooled import SHIPPED, Pooled
from detectors.forecast.simple import HoltWinters

MEMBERS = {"mlp": "MLP", "ensemble": "the ensemble", "tft": "TFT", "nhits": "N-HiTS", "holt_winters": "Holt-Winters"}
FAINT = 0.05
"""Below this chance a breach is called unlikely even where no threshold was ever proven."""
BATCH = 50
"""Series forecast at once: more need memory, fewer time."""
TELLING = 30
"""Judged cases of a series before its own past says who speaks for it and how well."""


@dataclass(frozen=True)
class Outlook:
    """What may be said of one series.

    `level`: `breached` (the SLO is missed now), `warning`, `watch`, `calm` (no breach expected), or `unreliable`: the
    chance is not small, and no threshold has kept its promise. Hours are from the last known hour on.
    """

    id: str
    level: str
    chance: float
    hours: tuple[float, float, float] | None
    """(10 %, 50 %, 90 %) of the first hour of the breach, where one is told."""
    by: str
    record: breach.Record | None
    own: bool
    """Whether the record is of this tenant's own past, or of the data that the shipped network was judged on."""
    at: float
    """End of the last known hour, epoch seconds."""
    past: np.ndarray = field(repr=False)
    quantiles: np.ndarray = field(repr=False)
    """(HORIZON, quantiles), in units of the SLO."""
    by_hour: np.ndarray = field(repr=False)
    """(HORIZON,) chance of a breach within 1..24 hours."""


def members(folder: Path) -> list[backtest.Member]:
    """Those that are there: Holt-Winters, the pooled network (the tenant's own if trained, else the shipped one), and
    N-HiTS and TFT where they were trained. Raises ValueError naming a file that cannot be read."""
    pooled = folder / "pooled.npz"
    found: list[backtest.Member] = [HoltWinters(), Pooled.load(pooled if pooled.exists() else SHIPPED)]
    for name in ("nhits", "tft"):
        if (folder / f"{name}.pt").exists():
            from detectors.forecast.deep import Deep

            found.append(Deep.load(folder / f"{name}.pt"))
    return found


def look(panel: Sequence[Series], speakers: Sequence[backtest.Member], shipped: dict[str, Any]) -> list[Outlook]:
    """An outlook of each series (of at least LEAST hours). `shipped`: `about` of the pooled network."""
    parts = [panel[first : first + BATCH] for first in range(0, len(panel), BATCH)]
    return [one for part in parts for one in _batch(part, speakers, shipped)]


def _batch(panel: Sequence[Series], speakers: Sequence[backtest.Member], shipped: dict[str, Any]) -> list[Outlook]:
    trained = [min(max(len(one) // 2, LEAST + 1), len(one)) for one in panel]
    judged = [min(max(2 * len(one) // 3, LEAST + 1), len(one)) for one in panel]
    past = backtest.tell(panel, speakers, trained, judged)
    now = cases(panel, [np.array([len(one) - 1]) for one in panel])
    ends = [len(one) for one in panel]
    raw = {m.name: m.predict(panel, now, ends) for m in speakers}
    mixed = [raw[name] for name in backtest.ENSEMBLE if name in raw]
    if len(mixed) > 1:
        raw["ensemble"] = np.mean(mixed, axis=0)
    fit = {
        name: calibrated(q, now.series, now.hour, past.whole_raw[name], past.whole.series, past.whole.hour,
                         past.whole.future, learnt=np.ones(len(past.whole), bool))
        for name, q in raw.items()
    }  # fmt: skip
    pooled_records = {name: backtest.records(past, name) for name in raw}
    found = []
    for s, one in enumerate(panel):
        mine = past.cases.series == s
        name = backtest.speaker(past, mine if mine.sum() >= TELLING else None)
        alone = now.take(np.array([s]))
        first = breach.first_hours(fit[name][s : s + 1], alone, past.told[name].rho)[0]
        by_hour = np.array([(first <= h).mean() for h in range(1, HORIZON + 1)])
        own = backtest.records(past, name, mine) if mine.sum() >= TELLING else {}
        chance = float(by_hour[-1])
        level, record, proven = _level(chance, own, pooled_records[name], shipped)
        if float(budget(alone)[0, 0] * 24 + one.values[-24]) > 24:
            level = "breached"
        told = level in ("warning", "watch")
        hours = tuple(float(h) for h in np.quantile(first[first <= HORIZON], (0.1, 0.5, 0.9))) if told else None
        found.append(Outlook(
            one.id, level, chance, hours, name, record, proven, 3600.0 * (one.hour0 + len(one)), one.values[-72:],
            fit[name][s], by_hour,
        ))  # fmt: skip
    return found


def _level(
    chance: float, own: dict[str, breach.Record | None], everyone: dict[str, breach.Record | None],
    shipped: dict[str, Any],
) -> tuple[str, breach.Record | None, bool]:  # fmt: skip
    """(level, the record it rests on, whether that is of own data). A `warning` needs a proof on the series' own past
    or on that of all series of the panel; what was proven on the shipped data alone is a `watch`."""
    for records in (own, everyone):
        for level in breach.LEVELS:
            record = records.get(level)
            if record is not None and chance >= record.threshold:
                return level, record, True
    for records in (own, everyone):
        if (record := records.get("watch")) is not None:
            return "calm", record, True
    stored = shipped.get("records", {}).get("watch")
    if stored:
        record = breach.Record(**stored)
        return ("watch" if chance >= record.threshold else "calm"), record, False
    return ("calm" if chance < FAINT else "unreliable"), None, False


def plain(one: Outlook, signal: str, threshold: str, model: str) -> dict[str, Any]:
    """As the views keep it and cards show it: times in seconds from `at`."""
    said: dict[str, Any] = {
        "model": model, "signal": signal, "threshold": threshold, "level": one.level, "chance": round(one.chance, 3),
        "by": MEMBERS.get(one.by, one.by), "at": one.at, "text": words(one, signal, threshold),
        "by_hour": [round(float(c), 3) for c in one.by_hour],
    }  # fmt: skip
    if one.hours is not None:
        low, middle, high = (3600.0 * h for h in one.hours)
        said |= {"seconds_to_breach": middle, "low": low, "high": high}
    if one.record is not None:
        r = one.record
        said |= {"right": r.right, "spoken": r.spoken, "precision": round(r.precision, 3), "recall": round(r.recall, 3),
                 "lead_hours": round(r.lead, 1), "own": one.own,
                 "proven_from": round(one.record.threshold, 3)}  # fmt: skip
    return said


def words(one: Outlook, signal: str, threshold: str) -> str:
    """One sentence, with the track record where there is one."""
    goal = f"{signal} {threshold} over 24 h"
    if one.level == "breached":
        return f"{goal} is missed now"
    if one.level == "unreliable":
        return f"no reliable forecast of {goal}: no threshold has proven itself on this model's past"
    record = ""
    if one.record is not None:
        where = "" if one.own else " on other data"
        record = f"; such a word was right {one.record.right} of {one.record.spoken} times{where}, " \
                 f"{one.record.lead:.0f} h ahead, and found {one.record.recall:.0%} of breaches"  # fmt: skip
    by = f"(chance {one.chance:.0%}), by {MEMBERS.get(one.by, one.by)}"
    if one.level == "calm":
        return f"no breach of {goal} expected within 24 h {by}"
    return f"{one.level}: {goal} is likely to be missed {by}{record}"


def quantile(one: Outlook, share: float) -> np.ndarray:
    """(HORIZON,) the forecast's quantile of that share, one of QUANTILES."""
    return one.quantiles[:, QUANTILES.index(share)]
