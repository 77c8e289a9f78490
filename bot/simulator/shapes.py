"""Onset shapes, and how a fault's time course reaches a node that only changes when it runs."""

from dataclasses import dataclass

import numpy as np

GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Shape:
    """How strong a fault is, from 0 to 1, `x` seconds after its onset."""

    kind: str
    length: float = 3600.0
    period: float = 3600.0
    duty: float = 1.0

    def at(self, x: np.ndarray) -> np.ndarray:
        on = x >= 0
        if self.kind == "ramp":
            return np.clip(x / self.length, 0, 1)
        if self.kind == "late-ramp":
            return np.clip(x / self.length, 0, 1.5) ** 4
        if self.kind == "s-curve":
            return on / (1 + np.exp(-np.clip((x - self.length / 2) / (self.length / 10), -30, 30)))
        if self.kind == "intermittent":
            # each period is on or off as a whole, in golden-ratio order: a job that runs every twelfth period meets
            # good and bad ones alike, as does whoever samples at the same second of each
            return on * (np.mod(np.floor(x / self.period) * GOLDEN, 1.0) < self.duty).astype(float)
        if self.kind == "decay":
            return on * np.exp(-np.clip(x, 0, None) / self.length)
        return on.astype(float)


@dataclass(frozen=True)
class Hop:
    """A node's run on the way: values are those of its last run. cadence 0 is a stream that only delays."""

    cadence: int
    phase: int
    lag: int

    def back(self, t: np.ndarray) -> np.ndarray:
        """The time whose state the node shows at t."""
        if self.cadence == 0:
            return t - self.lag
        return np.floor((t - self.lag - self.phase) / self.cadence) * self.cadence + self.phase

    def next(self, t: float) -> float:
        """When a change at t is first shown."""
        if self.cadence == 0:
            return t + self.lag
        return float(np.ceil((t - self.phase) / self.cadence) * self.cadence + self.phase + self.lag)


def seen_from(t: np.ndarray, hops: tuple[Hop, ...]) -> np.ndarray:
    """Map times at the end of a chain of hops (root first) to times at the root."""
    for hop in reversed(hops):
        t = hop.back(t)
    return t


def arrival(onset: float, hops: tuple[Hop, ...]) -> float:
    """When the end of the chain first shows what began at `onset`."""
    for hop in hops:
        onset = hop.next(onset)
    return onset
