"""The library of recorded cases: which incidents it holds, and how to write them again.

Five seeds of every type of the catalogue, three planned changes of a threshold, and two seeds of every fault outside
the catalogue. The seeds were taken in order, none was chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.simulator.catalogue import CATALOGUE, OTHERS
from bot.simulator.episode import generate
from bot.simulator.record import record

FIRST = 7000
"""The first seed of every type."""
BUDGET = 300_000
"""Bytes of a case before it is packed: two fifths of what a fresh one holds, so that a clone stays small."""
PLAN: tuple[tuple[str, int], ...] = tuple(
    (kind, FIRST + n)
    for kinds, count in ((CATALOGUE, 5), (("M4P",), 3), (OTHERS, 2))
    for kind in kinds
    for n in range(count)
)


def name(kind: str, seed: int) -> str:
    """The folder of a case.

    >>> name("D3", 7001)
    'd3-7001'
    """
    return f"{kind.lower()}-{seed}"


def write(place: Path, say: Callable[[int, int, str], None] = lambda *_: None) -> list[Path]:
    """Write every case of the library under `place`; the folders."""
    folders = []
    for done, (kind, seed) in enumerate(PLAN):
        say(done, len(PLAN), name(kind, seed))
        folders.append(write_one(kind, seed, place / name(kind, seed)))
    say(len(PLAN), len(PLAN), "")
    return folders


def write_one(kind: str, seed: int, folder: Path) -> Path:
    """Write one case of the library to `folder`."""
    return record(generate(seed, kind), folder, BUDGET, packed=True)
