"""Which runbook, and which of its sections: candidates by words and by meaning, six scores each, one learnt sum."""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from core.errors import Unavailable
from knowledge.fusion import EXPRESSION_BESIDE, fuse, relevance
from knowledge.runbooks import Runbook
from knowledge.shelf import BEST, FEATURES, Shelf
from knowledge.vectors import Vectors
from knowledge.words import spaced, words

EVERYTHING = 256
"""Up to so many runbooks, each is a candidate."""
NEAR, BY_WORDS = 96, 48


class Query(msgspec.Struct, frozen=True):
    """What is asked: the alert's words, its expression or names of things, and a question about them. Any may be
    empty.
    """

    words: str
    expression: str = ""
    question: str = ""


class Found(msgspec.Struct, frozen=True):
    """One candidate with everything known about why: the six scores in `FEATURES`' order, and its best section."""

    book: Runbook
    score: float
    relevance: float
    features: tuple[float, ...]
    section: int


Near = Callable[[np.ndarray, int], list[tuple[str, int]]]


def rank(shelf: Shelf, vectors: Vectors | None, near: Near, query: Query, top: int) -> list[Found]:
    """The best `top` runbooks, fitting or not, each with the section that answers the question."""
    said, named = meaning(query.words), names(query.expression)
    slots = None
    total: np.ndarray | None = None
    first: np.ndarray | None = None
    lead = None
    for text, kind, weight in ((said, "words", 1.0), (named, "expression", EXPRESSION_BESIDE if said else 1.0)):
        if not text:
            continue
        vector = _vector(vectors, text)
        if slots is None:
            slots, lead = _candidates(shelf, near, f"{said}\n{named}", vector), vector
        features = _features(shelf, vectors, text, vector, slots)
        score = weight * fuse(features, kind)
        total, first = (score, features) if total is None else (total + score, first)
    if total is None or not len(slots):
        return []
    fits = relevance(first, total)
    return [
        Found(
            shelf.books[shelf.files[slots[at]]], float(total[at]), float(fits[at]), tuple(map(float, first[at])),
            section(shelf, vectors, slots[at], said or named, query.question, lead),
        )
        for at in np.argsort(-total, kind="stable")[:top].tolist()
    ]  # fmt: skip


def meaning(text: str) -> str:
    """The words of an alert as one reads them aloud."""
    return " ".join(text.split())


def names(expression: str) -> str:
    """The names in an expression (metrics, labels, features), as plain words."""
    return " ".join(spaced(part) for part in expression.split())


def section(
    shelf: Shelf, vectors: Vectors | None, slot: int, text: str, question: str, vector: np.ndarray | None
) -> int:
    """The place of the section that answers: by the question against headings where there is one, and by the text
    against contents.
    """
    scores = sections(shelf, vectors, slot, text, question, vector)
    return max(scores, key=lambda place: (scores[place], -place))


def sections(
    shelf: Shelf, vectors: Vectors | None, slot: int, text: str, question: str, vector: np.ndarray | None
) -> dict[int, float]:
    """A score for each section with text, by its place in the runbook."""
    parts = shelf.parts(slot)
    terms = dict.fromkeys(Counter(words(text)), 1.0)
    lexical = shelf.chunk_words(terms)[parts]
    own = lexical + (
        vectors.take(shelf.chunk_rows(parts)) @ vector if vectors is not None and vector is not None else 0.0
    )
    out: dict[int, float] = {}
    for at, score in zip(parts, own.tolist(), strict=True):
        place = shelf.chunk_of[at].section
        out[place] = max(out.get(place, -1.0), score)
    if question:
        book = shelf.books[shelf.files[slot]]
        for place, like in zip(
            out, _like(vectors, question, [book.sections[place].path for place in out]), strict=True
        ):
            out[place] = 0.5 * out[place] + like
    return out


def _like(vectors: Vectors | None, question: str, paths: Sequence[tuple[str, ...]]) -> list[float]:
    """How much each heading path speaks of what the question asks."""
    asked = set(words(question))
    plain = [len(asked & set(words(" ".join(path)))) for path in paths]
    if vectors is None:
        return [float(count) for count in plain]
    try:
        table = vectors.of([question, *(" > ".join(path) or "Overview" for path in paths)])
    except Unavailable:
        return [float(count) for count in plain]
    return [float(score) + 0.3 * count for score, count in zip(table[1:] @ table[0], plain, strict=True)]


def _vector(vectors: Vectors | None, text: str) -> np.ndarray | None:
    if vectors is None:
        return None
    try:
        return vectors.embedder.encode([text])[0]
    except Unavailable:
        return None


def _candidates(shelf: Shelf, near: Near, text: str, vector: np.ndarray | None) -> np.ndarray:
    if len(shelf.books) <= EVERYTHING:
        return np.array(sorted(shelf.slots.values()), dtype=np.int64)
    by_words = sum(shelf.by_words(text))
    chosen = set(np.argpartition(-by_words, min(BY_WORDS, len(by_words) - 1))[:BY_WORDS].tolist())
    if vector is not None:
        chosen |= {shelf.slots[file] for file, _ in near(vector, NEAR) if file in shelf.slots}
    return np.array(sorted(slot for slot in chosen if shelf.files[slot] in shelf.slots), dtype=np.int64)


def _features(
    shelf: Shelf, vectors: Vectors | None, text: str, vector: np.ndarray | None, slots: np.ndarray
) -> np.ndarray:
    """(candidates, 6) in `FEATURES`' order; without vectors the first three are zero."""
    out = np.zeros((len(slots), len(FEATURES)))
    for column, scores in enumerate(shelf.by_words(text), start=3):
        out[:, column] = scores[slots]
    if vectors is None or vector is None:
        return out
    parts = [shelf.parts(slot) for slot in slots.tolist()]
    cosines = vectors.take(shelf.chunk_rows([at for some in parts for at in some])) @ vector
    at = 0
    for row, some in enumerate(parts):
        best = np.sort(cosines[at : at + len(some)])[::-1][:BEST]
        out[row, 0], out[row, 1] = (best[0], best.mean()) if len(some) else (0.0, 0.0)
        at += len(some)
    out[:, 2] = vectors.take(shelf.title_rows(slots)) @ vector
    return out
