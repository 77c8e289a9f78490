"""The pooled quantile network: one small network for all series, so that a new one is forecast at once. Run by numpy.

Its inputs are cheap: the last day, the same hours a day and a week ago and their weekly mean, levels and spreads, the
clock, the drift. It says how far each coming hour will be from the mean of the last day, in units of the target.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detectors.forecast.panel import HORIZON, QUANTILES, Cases, Series

SHIPPED = Path(__file__).with_name("pooled.npz")
LAYERS = ("w1", "b1", "w2", "b2", "w3", "b3")
_AHEAD = np.arange(HORIZON)


def inputs(asked: Cases) -> np.ndarray:
    """(N, features) float32, relative to the mean of the last day and its size."""
    past = asked.past
    days = past.reshape(len(past), 7, 24)
    base, unit = frame(asked)
    aligned = days - base[:, :, None]  # the same hours of each of the last seven days; the last is the last day
    shape = np.concatenate(
        [aligned[:, 6], aligned.mean(axis=1), aligned[:, 0], np.abs(np.diff(past, axis=1))[:, -24:] * 0.5], axis=1
    )
    few = np.stack(
        [
            past[:, -1] - base[:, 0], past[:, -3:].mean(1) - base[:, 0], past[:, -6:].mean(1) - base[:, 0],
            past.mean(1) - base[:, 0], past[:, -24:].std(1), past.std(1),
            past[:, -24:].max(1) - base[:, 0], past[:, -24:].min(1) - base[:, 0],
        ], axis=1,
    )  # fmt: skip
    hour, day = asked.hour % 24, (asked.hour // 24) % 7
    clock = [f(2 * np.pi * x / n) for x, n in ((hour, 24), (day, 7)) for f in (np.sin, np.cos)]
    rest = np.stack(
        [*clock, np.log1p(np.maximum(asked.drift, 0)), np.log(unit[:, 0]), base[:, 0], asked.known / 168.0], axis=1
    )
    return np.concatenate([np.clip(shape / unit, -8, 8), np.clip(few / unit, -8, 8), rest], axis=1).astype(np.float32)


def frame(asked: Cases) -> tuple[np.ndarray, np.ndarray]:
    """(N, 1) what the network's answer is added to, and what it is multiplied by."""
    base = asked.past[:, -24:].mean(axis=1, keepdims=True)
    unit = 0.5 * (asked.past[:, -24:].std(axis=1, keepdims=True) + asked.past.std(axis=1, keepdims=True)) + 0.02
    return base, unit


class Pooled:
    """Weights and what is known of them: `about` holds the data's range and the scores."""

    name = "mlp"

    def __init__(self, weights: dict[str, np.ndarray], about: dict[str, Any]):
        self.weights, self.about = weights, about

    @classmethod
    def load(cls, path: Path = SHIPPED) -> Pooled:
        """Raises ValueError naming the file and the remedy when it is not a pooled network of this release."""
        remedy = "train one with `python -m bot forecast train`, or remove the file to use the shipped one"
        try:
            with np.load(path, allow_pickle=False) as stored:
                weights = {name: stored[name].astype(np.float32) for name in LAYERS}
                about = json.loads(str(stored["about"]))
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is not a pooled forecast network ({error}): {remedy}") from None
        if weights["w3"].shape[1] != HORIZON * len(QUANTILES):
            raise ValueError(
                f"{path} answers {weights['w3'].shape[1]} numbers, not {HORIZON * len(QUANTILES)}: {remedy}"
            )
        return cls(weights, about)

    def save(self, path: Path) -> None:
        """In one step; half precision, which costs no score and half the bytes."""
        partial = path.with_name(path.name + ".partial.npz")
        halves = {name: value.astype(np.float16) for name, value in self.weights.items()}
        np.savez_compressed(partial, about=np.array(json.dumps(self.about)), **halves)
        partial.replace(path)

    def predict(self, panel: Sequence[Series], asked: Cases, until: Sequence[int]) -> np.ndarray:
        """(N, HORIZON, quantiles), never crossing."""
        w = self.weights
        base, unit = frame(asked)
        one = np.maximum(inputs(asked) @ w["w1"] + w["b1"], 0)
        two = np.maximum(one @ w["w2"] + w["b2"], 0)
        out = (two @ w["w3"] + w["b3"]).reshape(-1, HORIZON, len(QUANTILES))
        return np.sort(base[:, :, None] + unit[:, :, None] * out, axis=2)
