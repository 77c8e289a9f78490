"""BM25 over an inverted index that takes single additions and removals, so that one changed file costs milliseconds.

The ready-made libraries build a whole index at once; at 100,000 chunks that is many seconds for a one-word edit.

Reference: Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
"""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np


class Bm25:
    """Documents by slot number (small integers, reused after removal). `k1` saturates repetition, `b` discounts
    length.
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75):
        self.k1, self.b = k1, b
        self._slots: dict[str, array] = {}
        self._counts: dict[str, array] = {}
        self._terms: dict[int, tuple[str, ...]] = {}
        self._lengths = np.zeros(64, dtype=np.float32)
        self._total = 0.0

    def __len__(self) -> int:
        return len(self._terms)

    def add(self, slot: int, tokens: Sequence[str]) -> None:
        """Puts a document into a free slot."""
        if slot >= len(self._lengths):
            self._lengths = np.concatenate(
                [self._lengths, np.zeros(max(len(self._lengths), slot + 1 - len(self._lengths)), dtype=np.float32)]
            )
        counts = Counter(tokens)
        for term, count in counts.items():
            self._slots.setdefault(term, array("i")).append(slot)
            self._counts.setdefault(term, array("f")).append(count)
        self._terms[slot] = tuple(counts)
        self._lengths[slot] = len(tokens)
        self._total += len(tokens)

    def remove(self, slot: int) -> None:
        """Takes a document out; its slot may be used again."""
        for term in self._terms.pop(slot):
            slots, counts = self._slots[term], self._counts[term]
            at = slots.index(slot)
            slots.pop(at)
            counts.pop(at)
            if not slots:
                del self._slots[term], self._counts[term]
        self._total -= float(self._lengths[slot])
        self._lengths[slot] = 0.0

    def scores(self, query: Mapping[str, float]) -> np.ndarray:
        """One score a slot (float32, zeros where nothing matches) for weighted query terms.

        A term's weight is saturated like a document's, so that a long alert text does not win by repetition.
        """
        out = np.zeros(len(self._lengths), dtype=np.float32)
        if not self._terms:
            return out
        mean = max(self._total / len(self._terms), 1e-9)
        for term, weight in query.items():
            if (slots := self._slots.get(term)) is None:
                continue
            at, count = np.frombuffer(slots, dtype=np.int32), np.frombuffer(self._counts[term], dtype=np.float32)
            norm = self.k1 * (1 - self.b + self.b * self._lengths[at] / mean)
            out[at] += weight * self.idf(term) * count * (self.k1 + 1) / (count + norm)
            del at, count
        return out

    def idf(self, term: str) -> float:
        """How telling a term is: high for rare ones, near zero for one that is everywhere."""
        found = len(self._slots.get(term, ()))
        return math.log(1 + (len(self._terms) - found + 0.5) / (found + 0.5))
