"""The last predictions of a model by id: until their labels come, and so that a redelivered event is known again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct

from detectors.ids import keys

FIRST = 256
"""Places a model begins with: enough to know a redelivered batch."""


class Served(Struct, frozen=True, array_like=True):
    """What is kept of one prediction."""

    at: float
    version: str
    score: float | None
    prediction: Any


class Memory:
    """A ring of predictions, oldest overwritten first; 40 bytes each, their ids as keys.

    It doubles while `room()` allows: few models remember much, many models share what there is.
    """

    def __init__(self, room: Callable[[], int]):
        self.room = room
        self.size = min(FIRST, room())
        self.keys = np.zeros(self.size, np.uint64)
        self.waits = np.zeros(self.size, np.uint8)
        """Whether its label may still come."""
        self.at = np.zeros(self.size)
        self.score = np.full(self.size, np.nan)
        self.which = np.zeros(self.size, np.int16)
        self.said: dict[int, Any] = {}
        self.versions: list[str] = []
        self.head = 0
        self._index()

    def _index(self) -> None:
        """Where each key is, made anew."""
        from detectors.ring import fill

        self.table = np.empty(2 << (self.size - 1).bit_length(), np.int32)
        fill(self.table, self.keys)

    def __len__(self) -> int:
        return int(np.count_nonzero(self.keys))

    def __contains__(self, name: str) -> bool:
        return self._slot(name) >= 0

    def _slot(self, name: str) -> int:
        from detectors.ring import slot_of

        return int(slot_of(self.table, self.keys, keys([name])[0]))

    def known(self, some: np.ndarray) -> list[int]:
        """Positions of keys that are here already, or twice among these; usually none, and quickly told."""
        from detectors.ring import known

        return known(self.table, self.keys, some).tolist()

    def keep(self, some: np.ndarray, at: np.ndarray, version: str, scores: Any, said: Any) -> None:
        """Remember predictions of one version; `scores` (numbers or None) and `said` may be None altogether."""
        from detectors.ring import put

        count = len(some)
        while self._full(count) and self.size < self.room():
            self._grow()
        if count > self.size:
            cut = slice(count - self.size, None)
            some, at = some[cut], at[cut]
            scores, said = (None if v is None else v[cut] for v in (scores, said))
            count = self.size
        if version not in self.versions:
            self.versions.append(version)
        put(self.table, self.keys, self.waits, self.head, some)
        which, values = self.versions.index(version), None if scores is None else np.array(scores, dtype=np.float64)
        done = 0
        while done < count:  # once, or twice around the end of the ring
            first, last = self.head, min(self.head + count - done, self.size)
            part = slice(done, done + last - first)
            self.at[first:last], self.which[first:last] = at[part], which
            self.score[first:last] = np.nan if values is None else values[part]
            if self.said or said is not None:
                self._say(first, last, None if said is None else said[part])
            done += last - first
            self.head = last % self.size

    def _say(self, first: int, last: int, said: Any) -> None:
        for slot in range(first, last):
            self.said.pop(slot, None)
        for slot, value in enumerate(said or (), first):
            if value is not None:
                self.said[slot] = value

    def take(self, name: str) -> Served | None:
        """The prediction of this id, once."""
        slot = self._slot(name)
        if slot < 0 or not self.waits[slot]:
            return None
        self.waits[slot] = 0
        score = float(self.score[slot])
        return Served(float(self.at[slot]), self.versions[self.which[slot]], None if score != score else score,
                      self.said.pop(slot, None))  # fmt: skip

    def _full(self, more: int) -> bool:
        """Whether `more` predictions would overwrite one that still waits."""
        return more > self.size or bool(self.waits[(self.head + more - 1) % self.size])

    def _grow(self) -> None:
        """Twice the places, the oldest first."""
        extra = min(self.size, max(self.room() - self.size, 1))
        self.said = {(slot - self.head) % self.size: value for slot, value in self.said.items()}
        for name, free in (("keys", 0), ("waits", 0), ("at", 0.0), ("score", np.nan), ("which", 0)):
            held = np.roll(getattr(self, name), -self.head)
            setattr(self, name, np.concatenate([held, np.full(extra, free, held.dtype)]))
        self.head, self.size = self.size, self.size + extra
        self._index()

    def snapshot(self, array: Any) -> list[Any]:
        """Plain data; `array` packs a numpy array."""
        arrays = [array(a) for a in (self.keys, self.waits, self.at, self.score, self.which)]
        return [self.size, self.head, arrays, list(self.said.items()), self.versions]

    def restore(self, state: list[Any], unarray: Any) -> None:
        self.size, self.head, arrays, said, self.versions = state
        self.keys, self.waits, self.at, self.score, self.which = (unarray(a) for a in arrays)
        self.said = dict(said)
        self._index()
