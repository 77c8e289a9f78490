"""All runbooks in memory, ready to be compared with a question: inverted indexes and the rows of their vectors.

A runbook is compared in six ways: by its whole text, its best chunk and its title, each by words (BM25) and by
meaning (cosine). The scores are absolute: a cosine, and BM25 as a share of what the query's words could earn at
most. So a score does not depend on which other runbooks happen to be on the shelf, which is what makes "nothing
fits" learnable.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from knowledge.lexical import Bm25
from knowledge.runbooks import Chunk, Runbook, chunks
from knowledge.words import spaced, words

FEATURES = ("chunk", "body", "title", "words_body", "words_chunk", "words_title")
BEST = 3
"""How many of a runbook's nearest chunks make its `body` score."""


def passage(chunk: Chunk) -> str:
    """What is embedded for a chunk: its runbook's title in plain words and its heading stand in front of the text."""
    return f"{spaced(chunk.title)}. {chunk.heading}\n{chunk.text}"


class ByWords(msgspec.Struct, frozen=True):
    """Shares of what a text's words could earn, one array each: by runbook slot, and the last by chunk slot."""

    body: np.ndarray
    best: np.ndarray
    title: np.ndarray
    chunk: np.ndarray


class Shelf:
    """Runbooks by file. Not thread-safe; its owner holds a lock."""

    def __init__(self) -> None:
        self.books: dict[str, Runbook] = {}
        self.slots: dict[str, int] = {}
        self.files: list[str] = []
        self._body, self._title, self._chunk = Bm25(), Bm25(b=0.3), Bm25()
        self._parts: dict[int, list[int]] = {}
        self.chunk_of: dict[int, Chunk] = {}
        self._owner = np.zeros(64, dtype=np.int64)
        self._row = np.full(64, -1, dtype=np.int64)
        self._title_row = np.full(64, -1, dtype=np.int64)
        self._groups: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._free_docs: list[int] = []
        self._free_chunks: list[int] = []

    def put(self, book: Runbook, parts: Sequence[Chunk], rows: np.ndarray | None) -> None:
        """Adds a runbook in place of its earlier revision. `rows`: vector rows of its title and then of each chunk."""
        self.drop(book.file)
        self._groups = None
        slot = self._free_docs.pop() if self._free_docs else len(self.files)
        if slot == len(self.files):
            self.files.append(book.file)
            self._title_row = _room(self._title_row, slot)
        self.files[slot], self.slots[book.file], self.books[book.file] = book.file, slot, book
        self._title_row[slot] = -1 if rows is None else rows[0]
        self._title.add(slot, words(f"{book.title} {' '.join(book.front.causes)}"))
        self._body.add(slot, words(f"{book.title}\n{book.text}"))
        self._parts[slot] = []
        for place, chunk in enumerate(parts):
            at = self._free_chunks.pop() if self._free_chunks else len(self.chunk_of)
            self._owner, self._row = _room(self._owner, at), _room(self._row, at)
            self._owner[at], self._row[at] = slot, -1 if rows is None else rows[place + 1]
            self._chunk.add(at, words(f"{book.title}\n{chunk.heading}\n{chunk.text}"))
            self.chunk_of[at] = chunk
            self._parts[slot].append(at)

    def drop(self, file: str) -> None:
        """Takes a runbook off the shelf; an unknown one is no error."""
        slot = self.slots.pop(file, None)
        if slot is None:
            return
        self._groups = None
        for at in self._parts.pop(slot):
            self._chunk.remove(at)
            del self.chunk_of[at]
            self._free_chunks.append(at)
        self._body.remove(slot)
        self._title.remove(slot)
        self._free_docs.append(slot)
        del self.books[file]

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(chunk slots in use that have vectors, their vector rows): for an exact search without an index."""
        slots = np.array([at for at in self.chunk_of if self._row[at] >= 0], dtype=np.int64)
        return slots, self._row[slots] if len(slots) else slots

    def parts(self, slot: int) -> list[int]:
        """The chunk slots of one runbook, in its order."""
        return self._parts[slot]

    def by_words(self, text: str) -> "ByWords":
        """What the text's words earn in every runbook and every chunk, by slot."""
        terms, size = dict.fromkeys(words(text), 1.0), len(self.files)
        chunk = _share(self._chunk, terms, len(self._owner))
        best = np.zeros(size, dtype=np.float32)
        order, starts, owners = self._grouped()
        if len(order):
            best[owners] = np.maximum.reduceat(chunk[order], starts)
        return ByWords(_share(self._body, terms, size), best, _share(self._title, terms, size), chunk)

    def _grouped(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(chunk slots in use, a runbook's together; where each runbook's begin; its slot); kept until a change."""
        if self._groups is None:
            used = np.fromiter(self.chunk_of, dtype=np.int64, count=len(self.chunk_of))
            order = used[np.argsort(self._owner[used], kind="stable")]
            owners, starts = np.unique(self._owner[order], return_index=True)
            self._groups = order, starts, owners
        return self._groups

    def chunk_rows(self, slots: Sequence[int]) -> np.ndarray:
        return self._row[np.asarray(slots, dtype=np.int64)]

    def owners(self, slots: Sequence[int]) -> np.ndarray:
        """The runbook slot of each chunk slot."""
        return self._owner[np.asarray(slots, dtype=np.int64)]

    def title_rows(self, slots: Sequence[int]) -> np.ndarray:
        return self._title_row[np.asarray(slots, dtype=np.int64)]


def texts(book: Runbook) -> tuple[list[Chunk], list[str]]:
    """A runbook's chunks, and the texts to embed: its title, then each chunk."""
    parts = chunks(book)
    return parts, [spaced(book.title), *map(passage, parts)]


def _share(index: Bm25, terms: dict[str, float], size: int) -> np.ndarray:
    """BM25 as a share of what the terms would earn, each standing once in a document somewhat shorter than the
    mean.
    """
    most = sum(weight * index.idf(term) for term, weight in terms.items()) * (index.k1 + 1) / (1 + 0.6 * index.k1)
    scores = index.scores(terms)[:size] / max(most, 1e-9)
    return scores if len(scores) == size else np.concatenate([scores, np.zeros(size - len(scores), dtype=scores.dtype)])


def _room(array: np.ndarray, slot: int) -> np.ndarray:
    if slot < len(array):
        return array
    return np.concatenate([array, np.full(max(len(array), slot + 1 - len(array)), -1, dtype=array.dtype)])
