"""BM25 over an inverted index that takes single additions and removals, so that one changed file costs milliseconds.

The ready-made libraries build a whole index at once; at 100,000 chunks that is many seconds for a one-word edit.

Reference: Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
"""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

KEPT = 2_000


class Bm25:
    """Documents by slot number (small integers, reused after removal). `k1` saturates repetition, `b` discounts
    length.
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75):
        self.k1, self.b = k1, b
        self._slots: dict[str, array] = {}
        self._counts: dict[str, array] = {}
        self._terms: dict[int, tuple[str, ...]] = {}
        self._earned: dict[str, tuple[np.ndarray, np.ndarray]] = {}
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
        self._earned.clear()
        self._terms[slot] = tuple(counts)
        self._lengths[slot] = len(tokens)
        self._total += len(tokens)

    def remove(self, slot: int) -> None:
        """Takes a document out; its slot may be used again."""
        self._earned.clear()
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
        for term, weight in query.items():
            if term in self._slots:
                slots, earned = self._postings(term)
                out[slots] += np.float32(weight * self.idf(term)) * earned
        return out

    def _postings(self, term: str) -> tuple[np.ndarray, np.ndarray]:
        """(slots, what the term earns there but for its rarity); kept until the index changes, for common words are
        many.
        """
        if (known := self._earned.get(term)) is None:
            slots = np.array(self._slots[term], dtype=np.int64)
            count = np.array(self._counts[term], dtype=np.float32)
            mean = max(self._total / len(self._terms), 1e-9)
            norm = self.k1 * (1 - self.b + self.b * self._lengths[slots] / mean)
            if len(self._earned) >= KEPT:
                self._earned.clear()
            known = self._earned[term] = slots, (count * (self.k1 + 1) / (count + norm)).astype(np.float32)
        return known

    def idf(self, term: str) -> float:
        """How telling a term is: high for rare ones, near zero for one that is everywhere."""
        found = len(self._slots.get(term, ()))
        return math.log(1 + (len(self._terms) - found + 0.5) / (found + 0.5))
