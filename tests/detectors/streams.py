"""Streams for tests: the five stationary kinds, and events made of columns."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from core.events import InferenceServed, LabelArrived, as_text
from detectors import bins as bin_maker
from detectors.base import Learned
from detectors.dispersion import design_effects
from detectors.learn import BLOCK, block_counts, make_bins

START = 1_700_006_400.0
"""A Wednesday, midnight UTC."""


def ar1(rows: int, seed: int, phi: float = 0.9) -> np.ndarray:
    """A stationary AR(1) series of unit variance."""
    rng = np.random.default_rng(seed)
    x = np.empty(rows)
    x[0] = rng.standard_normal()
    noise = rng.standard_normal(rows) * np.sqrt(1 - phi**2)
    for i in range(1, rows):
        x[i] = phi * x[i - 1] + noise[i]
    return x


def stationary(kind: str, rows: int, seed: int = 0) -> np.ndarray:
    """independent, categorical, ar1, bursty or daily (its period is 1,440 rows): numbers, or level numbers."""
    rng = np.random.default_rng(seed)
    if kind == "independent":
        return rng.standard_normal(rows)
    if kind == "categorical":
        return rng.choice(100, rows, p=np.arange(100, 0, -1) / 5050).astype(float)
    if kind == "ar1":
        return ar1(rows, seed)
    if kind == "bursty":
        lengths = rng.geometric(1 / 12, rows)
        levels = np.repeat(rng.standard_normal(rows), lengths)[:rows]
        return levels + 0.1 * rng.standard_normal(rows)
    if kind == "daily":
        return 1.5 * np.sin(2 * np.pi * np.arange(rows) / 1440) + rng.standard_normal(rows)
    raise ValueError(kind)


KINDS = ("independent", "categorical", "ar1", "bursty", "daily")


def learned(values: np.ndarray) -> tuple[Learned, Any]:
    """(what a detector may know of `values`, the function that makes bin counts of a block)."""
    made, _, _ = make_bins([str(int(v)) for v in values] if set(values) <= set(range(100)) else values)
    raw = [str(int(v)) for v in values] if made.kind == "category" else values
    coded = bin_maker.codes(made, raw).astype(np.int64)
    counts = np.bincount(coded, minlength=made.size).astype(float)
    blocks = block_counts(coded, made.size)
    flat = BLOCK * np.tile(counts / counts.sum(), (len(blocks), 1))
    deff, whole = design_effects(blocks, flat, BLOCK)

    def binned(block: np.ndarray) -> np.ndarray:
        listed = [str(int(v)) for v in block] if made.kind == "category" else block
        return np.bincount(bin_maker.codes(made, listed).astype(np.int64), minlength=made.size).astype(float)

    return Learned(counts=counts, values=values, deff=deff, worth=len(values) / whole), binned


def events(
    columns: dict[str, Any], *, start: float = START, every: float = 60.0, version: str = "1", first: int = 0,
    scores: np.ndarray | None = None,
) -> list[InferenceServed]:  # fmt: skip
    """One event a row, `every` seconds; NaN is sent as null."""
    names = list(columns)
    count = len(columns[names[0]])
    rows = zip(*(columns[n].tolist() if isinstance(columns[n], np.ndarray) else columns[n] for n in names), strict=True)
    plain = [
        {n: None if isinstance(v, float) and v != v else v for n, v in zip(names, row, strict=True)} for row in rows
    ]
    return [
        InferenceServed(
            id=f"e{first + i}",
            at=start + i * every,
            version=version,
            features=plain[i],
            score=None if scores is None else float(scores[i]),
        )
        for i in range(count)
    ]


def labels_of(served: list[InferenceServed], truth: np.ndarray, delay: float = 3_600.0) -> list[LabelArrived]:
    return [LabelArrived(id=e.id, at=e.at + delay, label=bool(t)) for e, t in zip(served, truth, strict=True)]


def feed(
    monitor: Any, served: list[InferenceServed], batch: int = 50, tenant: str = "acme", model: str = "m"
) -> list[Any]:
    """Reactions to `served`, batch by batch, with a tick after each."""
    reactions = []
    for i in range(0, len(served), batch):
        part = served[i : i + batch]
        reactions.append(monitor.on_inference("acme", "m", part))
        reactions.append(monitor.on_tick(part[-1].at))
    return reactions


def detections(reactions: list[Any]) -> list[Any]:
    return [d for r in reactions for _, d in r.detections]


def as_json(said: Any) -> bytes:
    """Whatever a monitor says, as bytes to be compared."""
    return msgspec.json.encode(said, enc_hook=as_text)
