"""The last predictions of a model by id: until their labels come, and so that a redelivered event is known again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct

FIRST = 256
"""Places a model begins with: enough to know a redelivered batch."""


class Served(Struct, frozen=True, array_like=True):
    """What is kept of one prediction."""

    at: float
    version: str
    score: float | None
    prediction: Any


class Memory:
    """A ring of predictions, oldest overwritten first; about 180 bytes each.

    It doubles while `room()` allows: few models remember much, many models share what there is.
    """

    def __init__(self, room: Callable[[], int]):
        self.room = room
        self.size = min(FIRST, room())
        self.slots: dict[str, int] = {}
        self.names: list[str] = [""] * self.size
        self.at = np.zeros(self.size)
        self.score = np.full(self.size, np.nan)
        self.which = np.zeros(self.size, np.int16)
        self.said: dict[int, Any] = {}
        self.versions: list[str] = []
        self.head = 0
        self.labelled: dict[str, None] = {}
        """Ids whose label has come, for a while."""

    def __contains__(self, name: str) -> bool:
        return name in self.slots or name in self.labelled

    def known(self, ids: list[str]) -> list[int]:
        """Positions of ids that are here already, or twice in the list; usually none, and quickly told."""
        if self.slots.keys().isdisjoint(ids) and self.labelled.keys().isdisjoint(ids) and len(set(ids)) == len(ids):
            return []
        seen: set[str] = set()
        found = []
        for i, name in enumerate(ids):
            if name and (name in self or name in seen):
                found.append(i)
            seen.add(name)
        return found

    def keep(self, ids: list[str], at: np.ndarray, version: str, scores: Any, said: Any) -> None:
        """Remember predictions of one version; `scores` (numbers or None) and `said` may be None altogether."""
        count = len(ids)
        while self._full(count) and self.size < self.room():
            self._grow()
        if count > self.size:
            cut = slice(count - self.size, None)
            ids, at = ids[cut], at[cut]
            scores, said = (None if v is None else v[cut] for v in (scores, said))
            count = self.size
        if version not in self.versions:
            self.versions.append(version)
        which = self.versions.index(version)
        done = 0
        while done < count:  # once, or twice around the end of the ring
            first = self.head
            last = min(first + count - done, self.size)
            part = slice(done, done + last - first)
            self._put(
                first, last, ids[part], at[part], which, *(None if v is None else v[part] for v in (scores, said))
            )
            done += last - first
            self.head = last % self.size

    def _put(self, first: int, last: int, ids: list[str], at: np.ndarray, which: int, scores: Any, said: Any) -> None:
        slots = self.slots
        for slot, name in enumerate(self.names[first:last], first):
            if name and slots.get(name) == slot:
                del slots[name]
        if self.said:
            for slot in range(first, last):
                self.said.pop(slot, None)
        self.names[first:last] = ids
        slots.update(zip(ids, range(first, last), strict=True))
        slots.pop("", None)
        self.at[first:last], self.which[first:last] = at, which
        self.score[first:last] = np.nan if scores is None else np.array(scores, dtype=np.float64)
        if said is not None:
            for slot, value in enumerate(said, first):
                if value is not None:
                    self.said[slot] = value

    def take(self, name: str) -> Served | None:
        """The prediction of this id, once."""
        slot = self.slots.pop(name, None)
        if slot is None:
            return None
        self.labelled[name] = None
        if len(self.labelled) > self.size // 2:
            del self.labelled[next(iter(self.labelled))]
        score = float(self.score[slot])
        return Served(float(self.at[slot]), self.versions[self.which[slot]], None if score != score else score,
                      self.said.pop(slot, None))  # fmt: skip

    def _full(self, more: int) -> bool:
        """Whether `more` predictions would overwrite one that still waits."""
        return more > self.size or self.names[(self.head + more - 1) % self.size] in self.slots

    def _grow(self) -> None:
        """Twice the places, the oldest first."""
        extra = min(self.size, max(self.room() - self.size, 1))
        if self.head:
            self._unroll()
        self.names += [""] * extra
        self.at = np.concatenate([self.at, np.zeros(extra)])
        self.score = np.concatenate([self.score, np.full(extra, np.nan)])
        self.which = np.concatenate([self.which, np.zeros(extra, np.int16)])
        self.head, self.size = self.size, self.size + extra

    def _unroll(self) -> None:
        """Let the oldest be the first."""
        order = np.roll(np.arange(self.size), -self.head)
        place = {slot: i for i, slot in enumerate(order.tolist())}
        self.names = [self.names[i] for i in order.tolist()]
        self.slots = {name: place[slot] for name, slot in self.slots.items()}
        self.said = {place[slot]: value for slot, value in self.said.items()}
        self.at, self.score, self.which = self.at[order], self.score[order], self.which[order]

    def snapshot(self, array: Any) -> list[Any]:
        """Plain data; `array` packs a numpy array."""
        arrays = [array(a) for a in (self.at, self.score, self.which)]
        return [self.size, self.names, sorted(self.slots.values()), arrays, list(self.said.items()), self.versions,
                self.head, list(self.labelled)]  # fmt: skip

    def restore(self, state: list[Any], unarray: Any) -> None:
        self.size, self.names, live, arrays, said, self.versions, self.head, labelled = state
        self.at, self.score, self.which = (unarray(a) for a in arrays)
        self.slots = {self.names[slot]: slot for slot in live}
        self.said = dict(said)
        self.labelled = dict.fromkeys(labelled)
