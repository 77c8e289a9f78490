"""Hourly series of signals, scaled by their targets: 1 is the target, above is bad. A case is a series seen up to an
hour, with the 24 hours after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HORIZON = 24
SEEN = 168
"""Hours of the past that a member may look at."""
LEAST = 72
"""Hours that must be known before anything is said."""
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
MOST = 5.0
"""A value this many times the target is as bad as any above it."""


@dataclass(frozen=True)
class Series:
    """`values[i]` is the mean of hour `hour0 + i` (hours since the epoch), over the target. No NaN: see `hourly`."""

    id: str
    segment: str
    hour0: int
    values: np.ndarray
    drift: np.ndarray
    """A drift score of each hour, 0 where there is none."""

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Cases:
    """N cases. `past` (N, SEEN) ends with the last known hour; `hour` (N,) is that hour since the epoch; `drift` (N,)
    is the mean drift of the last 24; `future` (N, HORIZON) is NaN where it is not known yet."""

    series: np.ndarray
    origin: np.ndarray
    past: np.ndarray
    hour: np.ndarray
    drift: np.ndarray
    future: np.ndarray
    known: np.ndarray
    """Hours of the past that are real: what is before the first one repeats the first day."""

    def __len__(self) -> int:
        return len(self.origin)

    def take(self, chosen: np.ndarray) -> Cases:
        """The cases at these indexes (or under this mask)."""
        return Cases(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def cases(panel: Sequence[Series], where: Sequence[np.ndarray]) -> Cases:
    """The cases of each series at its origins `where[s]` (indexes of the last known value, from LEAST - 1 on).

    Raises ValueError naming the series and the origin that is too early.
    """
    kept: dict[str, list[np.ndarray]] = {name: [] for name in Cases.__dataclass_fields__}
    for s, (one, origins) in enumerate(zip(panel, where, strict=True)):
        if len(origins) == 0:
            continue
        if origins.min() < LEAST - 1 or origins.max() >= len(one):
            raise ValueError(
                f"{one.id}: origin {int(origins.min())}..{int(origins.max())} lies outside {LEAST - 1}..{len(one) - 1}"
            )
        front = np.resize(one.values[:24], SEEN)[::1]
        padded = np.concatenate([front, one.values, np.full(HORIZON, np.nan)]).astype(np.float32)
        drift = np.concatenate([np.zeros(1), np.cumsum(one.drift)])
        kept["series"].append(np.full(len(origins), s))
        kept["origin"].append(origins)
        kept["past"].append(padded[origins[:, None] + np.arange(1, SEEN + 1)])
        kept["future"].append(padded[SEEN + origins[:, None] + np.arange(1, HORIZON + 1)])
        kept["hour"].append(one.hour0 + origins)
        kept["drift"].append(((drift[origins + 1] - drift[np.maximum(origins - 23, 0)]) / 24).astype(np.float32))
        kept["known"].append(np.minimum(origins + 1, SEEN))
    if not kept["origin"]:
        empty = np.zeros(0, np.int64)
        return Cases(empty, empty, np.zeros((0, SEEN), np.float32), empty, np.zeros(0, np.float32),
                     np.zeros((0, HORIZON), np.float32), empty)  # fmt: skip
    return Cases(**{name: np.concatenate(parts) for name, parts in kept.items()})


def origins(length: int, start: int, end: int, stride: int) -> np.ndarray:
    """Every `stride`-th origin whose whole future lies in `start..end` (indexes), at most `length` long."""
    return np.arange(max(start, LEAST) - 1, min(end, length) - HORIZON, stride)


def budget(cases_: Cases) -> np.ndarray:
    """(N, 24): the mean of the 24 hours that end now, as far as known: column h holds what h + 1 hours from now will
    still count, divided by 24. What is missing to the mean then is the sum of the coming h + 1 hours over 24."""
    day = cases_.past[:, -24:].astype(np.float64)
    later = np.cumsum(day[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([later[:, 1:], np.zeros((len(day), 1))], axis=1) / 24


def breached(cases_: Cases, known: np.ndarray) -> np.ndarray:
    """(N,) hours until the mean of the last 24 hours first exceeds 1: 1..24, 0 if it does so now, 25 if it does not."""
    mean = known + np.cumsum(cases_.future.astype(np.float64), axis=1) / 24
    first = np.where((mean > 1).any(axis=1), (mean > 1).argmax(axis=1) + 1, HORIZON + 1)
    return np.where(cases_.past[:, -24:].mean(axis=1) > 1, 0, first)


def read(path: Path, share: float = 0.6) -> list[Series]:
    """The series of a panel file: per series `id`, `seg`, `hour0`, `n`; `y` and `psi` end to end. The target of each is
    the 90 % quantile of its rolling daily mean over the first `share` of it.

    Raises ValueError naming the file and what is wrong.
    """
    try:
        with np.load(path, allow_pickle=False) as z:
            table = {name: z[name] for name in ("id", "seg", "hour0", "n", "y", "psi")}
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a panel ({error}): it needs id, seg, hour0, n, y and psi in a .npz") from None
    ends = np.cumsum(table["n"])
    if len(ends) == 0 or ends[-1] != len(table["y"]) or len(table["psi"]) != len(table["y"]):
        raise ValueError(f"{path}: the lengths n add up to {ends[-1:].tolist()}, but y has {len(table['y'])} values")
    found = []
    for i, end in enumerate(ends.tolist()):
        part = slice(end - int(table["n"][i]), end)
        y = table["y"][part].astype(np.float64)
        if len(y) < LEAST + HORIZON or not np.isfinite(y).all():
            raise ValueError(
                f"{path}: series {table['id'][i]} is too short or not finite: at least {LEAST + HORIZON} hours"
            )
        day = np.convolve(y[: max(int(share * len(y)), 24)], np.ones(24) / 24, "valid")
        target = max(float(np.quantile(day, 0.9)), 1e-6)
        values = np.clip(y / target, -MOST, MOST).astype(np.float32)
        found.append(
            Series(str(table["id"][i]), str(table["seg"][i]), int(table["hour0"][i]), values, table["psi"][part])
        )
    return found
