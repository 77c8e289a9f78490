"""What every detector is, and how it is found: one algorithm, one class, one file whose name is its name in policy.

>>> "psi" in names() and load("psi").name
'psi'
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct

BLOCK = 25
"""Rows in a block: detectors that read counts are asked at the end of each."""


class Learned(Struct, kw_only=True):
    """What a detector of one signal may know of the reference.

    `counts` per bin and `values` (numbers in event-time order) are empty where the signal has none; `deff` is the
    design effect of 25 * 2**k rows; `worth` the number of independent rows the reference is worth.
    """

    counts: np.ndarray
    values: np.ndarray
    deff: np.ndarray
    worth: float
    least: int = 1
    """Rows that value detectors average at least."""

    def deff_of(self, rows: float) -> float:
        """Design effect of a window of `rows` rows."""
        if not len(self.deff):
            return 1.0
        return float(np.interp(np.log2(max(rows, 1.0) / BLOCK), np.arange(len(self.deff)), self.deff))


class Finding(Struct, frozen=True, kw_only=True):
    """One firing. `onset` counts back: how many of the rows seen so far had come before the change began."""

    statistic: float
    threshold: float
    effect: float
    least: float | None = None
    """A size that is surely reached, where `effect`, seen over few rows, may be too large."""
    direction: str = ""
    onset: int = 0


class Detector(ABC):
    """Reads one signal; says when it changed. Equal input gives equal output; nothing is drawn at random.

    `reads` is "counts" (an array of bin counts of one block a call) or "values" (numbers in order, any number a call;
    NaN is skipped). After a firing the detector goes on from a fresh start but keeps its reference.
    """

    name: ClassVar[str]
    reads: ClassVar[str]
    families: ClassVar[tuple[str, ...]] = ()
    """Families of signals it watches when policy says nothing; empty means off by default."""

    def __init__(self, learned: Learned, arl: float = 1e6):
        """`arl`: mean number of blocks of 25 rows between false alarms."""
        self.learned, self.arl = learned, arl
        self.reset()

    @abstractmethod
    def update(self, data: np.ndarray) -> Finding | None:
        """Take the next counts or values. Never changes `data`."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything but the reference."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """All that changes, as plain data (numbers, texts, bytes, lists, dicts)."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `snapshot` was taken."""


@cache
def _classes() -> dict[str, str]:
    """Detector name -> module, found by reading the folder: a file that defines a subclass of a Detector."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        text = path.read_text("utf-8")
        if f'name = "{path.stem}"' in text:
            found[path.stem] = f"{__package__}.{path.stem}"
    return found


def names() -> list[str]:
    """Every detector that can be named in policy."""
    return list(_classes())


@cache
def load(name: str) -> type[Detector]:
    """The detector class of that name. Raises ValueError listing those there are."""
    module = _classes().get(name)
    if module is None:
        raise ValueError(f"there is no detector {name!r}: there are {', '.join(names())}")
    loaded = importlib.import_module(module)
    return next(
        value for value in vars(loaded).values()
        if isinstance(value, type) and issubclass(value, Detector) and getattr(value, "name", "") == name
    )  # fmt: skip
