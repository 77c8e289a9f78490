"""Error streams (0 right, 1 wrong): with a change of concept, without any, and how soon one can be known at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.drift_cases import KINDS, series

RAMP = 1_000


@dataclass
class ErrorCase:
    group: str
    reference: np.ndarray
    stream: np.ndarray
    drift: int | None
    ramp: int = 0


def oracle(case: ErrorCase, arl: float = 1e6) -> list[int]:
    """When the change could be known at the soonest: by who knows both rates and the ramp, all but its start.

    The Shiryaev-Roberts sum over all starts, which no rule of the same mean time between false alarms (`arl` rows)
    beats by more than a constant as `arl` grows. Sources: Pollak (1985); Polunchenko and Tartakovsky (2010).
    """
    if case.drift is None:
        return []
    rows = len(case.stream)
    before, after = case.stream[: case.drift].mean(), case.stream[case.drift + case.ramp :].mean()
    share = np.minimum(np.arange(rows) / case.ramp, 1) if case.ramp else np.ones(rows)
    rate = before + (after - before) * share
    hit, miss = np.log(rate / before), np.log((1 - rate) / (1 - before))
    logs = np.zeros(rows)
    for t, wrong in enumerate(case.stream > 0.5):
        logs[: t + 1] += (hit if wrong else miss)[t::-1]
        if np.exp(np.minimum(logs[: t + 1], 600)).sum() >= arl:
            return [t + 1]
    return []


def still(seeds: int) -> Iterator[ErrorCase]:
    """Nothing changes, at base rates of 1 to 30 %: errors as dependent as the five kinds of stationary feature."""
    for kind in KINDS:
        for rate in (0.01, 0.05, 0.1, 0.3):
            for seed in range(seeds):
                errors = dependent(kind, rate, 42_000, 3_000 + 10 * seed)
                yield ErrorCase(f"still, {kind}", errors[:2_000], errors[2_000:], None)


def dependent(kind: str, rate: float, rows: int, seed: int) -> np.ndarray:
    """Errors whose odds follow a hidden stationary series (a tenth of the levels err often, nights err more, ...)."""
    rng = np.random.default_rng(seed + 500_000)
    if kind == "independent":
        chance = np.full(rows, rate)
    elif kind == "categorical":
        weights = np.arange(100, 0, -1) / 5_050
        chance = rate * rng.gamma(1.0, 1.0, 100)[rng.choice(100, rows, p=weights)]
    else:
        hidden = 1.5 * np.sin(2 * np.pi * np.arange(rows) / 1_440) if kind == "daily" else series(kind, rows, seed)
        chance = rate * np.exp(0.5 * hidden / hidden.std() - 0.125)
    return (rng.random(rows) < np.minimum(chance, 0.95)).astype(float)


def changes(seeds: int) -> Iterator[ErrorCase]:
    """A frozen model on River's generators, then another concept at once, then one over 1,000 rows."""
    from river.datasets import synth
    from sklearn.tree import DecisionTreeClassifier

    makers = [
        ("SEA", lambda v, s: synth.SEA(variant=v, seed=s), [(0, 1), (0, 2), (2, 1)]),
        ("Sine", lambda v, s: synth.Sine(classification_function=v, seed=s), [(0, 1), (2, 3)]),
        ("Mixed", lambda v, s: synth.Mixed(classification_function=v, seed=s), [(0, 1)]),
        ("STAGGER", lambda v, s: synth.STAGGER(classification_function=v, seed=s), [(0, 1), (1, 2)]),
        ("Agrawal", lambda v, s: synth.Agrawal(classification_function=v, seed=s), [(0, 1), (1, 2)]),
    ]
    for _, make, pairs in makers:
        for pair, (first, second) in enumerate(pairs):
            for seed in range(seeds):
                before, after = (
                    _draw(make(v, 100 * seed + 7 * pair + i), 8_000) for i, v in enumerate((first, second))
                )
                rng = np.random.default_rng(seed)
                flip = rng.random(len(before[1])) < 0.08
                truth = np.where(flip, 1 - before[1], before[1])
                model = DecisionTreeClassifier(max_depth=8, random_state=0).fit(before[0][:3_000], truth[:3_000])
                wrong = (model.predict(before[0]) != truth).astype(float)
                late = (model.predict(after[0]) != np.where(flip, 1 - after[1], after[1])).astype(float)
                if late[:4_000].mean() - wrong[3_000:].mean() < 0.05:
                    continue
                reference, calm = wrong[3_000:5_000], wrong[5_000:8_000]
                yield ErrorCase("abrupt", reference, np.concatenate([calm, late[:4_000]]), 3_000)
                ramp = rng.random(5_000) < np.minimum(np.arange(5_000) / RAMP, 1)
                mixed = np.where(ramp, late[np.arange(5_000)], wrong[rng.integers(5_000, 8_000, 5_000)])
                yield ErrorCase("gradual", reference, np.concatenate([calm, mixed]), 3_000, RAMP)
                yield ErrorCase("stationary", reference, wrong[rng.integers(5_000, 8_000, 20_000)], None)


def _draw(stream: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    xs, ys = [], []
    for x, y in stream.take(rows):
        xs.append([float(v) if not isinstance(v, str) else float(sum(map(ord, v))) for v in x.values()])
        ys.append(int(y))
    return np.array(xs), np.array(ys)
