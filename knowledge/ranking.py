"""Which runbook, and which of its sections: candidates by words and by meaning, six scores each, one learnt sum."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import msgspec
import numpy as np

from core.errors import Unavailable
from knowledge.fusion import EXPRESSION_BESIDE, fuse, relevance
from knowledge.intent import offered, part
from knowledge.query import Query, names
from knowledge.runbooks import Runbook
from knowledge.shelf import BEST, FEATURES, ByWords, Shelf
from knowledge.vectors import Vectors
from knowledge.words import words

EVERYTHING = 256
NEAR, BY_WORDS, SECTIONED = 96, 48, 20
CONTENT, DEEPER, NAMED = 0.2, 0.05, 0.2
"""In the choice of a section: what its content weighs beside its heading, what each level of depth costs, and what it
earns by being headed as the part that was asked for (or loses as another one)."""


class Found(msgspec.Struct, frozen=True):
    """One candidate with everything known about why: the six scores in `FEATURES`' order, and its best section."""

    book: Runbook
    score: float
    relevance: float
    features: tuple[float, ...]
    section: int


class Asked(msgspec.Struct, frozen=True):
    """One text of the query, ready to compare: its vector (None without a model) and what its words earn."""

    text: str
    kind: str
    vector: np.ndarray | None
    words: ByWords


Near = Callable[[np.ndarray, int], Iterable[str]]
"""(vector, count) -> files of the nearest chunks."""


def rank(
    shelf: Shelf, vectors: Vectors | None, near: Near, query: Query, top: int, everything: int = EVERYTHING
) -> list[Found]:
    """The best `top` runbooks, fitting or not, each with the section that answers the question. Up to `everything`
    runbooks, each is a candidate; beyond, those near by words or by meaning are.
    """
    return compare(shelf, vectors, near, ask(shelf, vectors, query), query.question, top, everything)


def compare(
    shelf: Shelf, vectors: Vectors | None, near: Near, asked: list[Asked], question: str, top: int,
    everything: int = EVERYTHING,
) -> list[Found]:  # fmt: skip
    """`rank`, for a query ready to compare. Sections are chosen for the first 20; the others show their first."""
    if not asked or not shelf.books:
        return []
    slots = _candidates(shelf, near, asked, everything)
    features = [_features(shelf, vectors, each, slots) for each in asked]
    scores = [fuse(rows, each.kind) for rows, each in zip(features, asked, strict=True)]
    total = scores[0] + (EXPRESSION_BESIDE * scores[1] if len(scores) > 1 else 0.0)
    fits = relevance(features[0], scores[0], asked[0].kind if asked[0].vector is not None else "no_model")

    def place(slot: int, rank: int) -> int:
        if rank >= SECTIONED:
            return shelf.chunk_of[shelf.parts(slot)[0]].section
        return best(sections(shelf, vectors, slot, asked[0], question))

    return [
        Found(
            shelf.books[shelf.files[slots[at]]], float(total[at]), float(fits[at]), tuple(features[0][at].tolist()),
            place(int(slots[at]), rank),
        )
        for rank, at in enumerate(np.argsort(-total, kind="stable")[:top].tolist())
    ]  # fmt: skip


def ask(shelf: Shelf, vectors: Vectors | None, query: Query) -> list[Asked]:
    """The query's texts, the leading one first: words before the expression's names."""
    texts = [(query.words, "words"), (names(query.expression), "expression")]
    texts = [(text, kind) for text, kind in texts if text.strip()]
    embedded = None
    if vectors is not None and texts:
        with suppress(Unavailable):
            embedded = vectors.embedder.encode([text for text, _ in texts])
    return [
        Asked(text, kind, None if embedded is None else embedded[at], shelf.by_words(text))
        for at, (text, kind) in enumerate(texts)
    ]


def best(scores: dict[int, float]) -> int:
    """The place with the highest score, the earlier one of equals."""
    return max(scores, key=lambda place: (scores[place], -place))


def sections(shelf: Shelf, vectors: Vectors | None, slot: int, asked: Asked, question: str) -> dict[int, float]:
    """A score for each section with text, by its place in the runbook: the question against headings where there is
    one, and the text against contents.
    """
    parts = shelf.parts(slot)
    own = asked.words.chunk[parts]
    if asked.vector is not None:
        own = own + vectors.take(shelf.chunk_rows(parts)) @ asked.vector
    out: dict[int, float] = {}
    for at, score in zip(parts, own.tolist(), strict=True):
        place = shelf.chunk_of[at].section
        out[place] = max(out.get(place, -1.0), score)
    if question:
        known, wanted = shelf.books[shelf.files[slot]].sections, part(question)
        like = _like(vectors, question, [known[place].path for place in out])
        for (place, score), liking in zip(list(out.items()), like, strict=True):
            out[place] = CONTENT * score + liking - DEEPER * known[place].level
            if wanted and (kind := offered(known[place].path)):
                out[place] += NAMED if kind == wanted else -NAMED
    return out


def heading(path: Sequence[str]) -> str:
    """What is embedded of a heading path."""
    return " > ".join(path) or "Overview"


def _like(vectors: Vectors | None, question: str, paths: Sequence[tuple[str, ...]]) -> list[float]:
    """How much each heading path speaks of what the question asks."""
    if vectors is not None:
        with suppress(Unavailable):
            return (vectors.of([heading(path) for path in paths]) @ vectors.asked(question)).tolist()
    asked_words = set(words(question))
    return [float(len(asked_words & set(words(" ".join(path))))) for path in paths]


def _candidates(shelf: Shelf, near: Near, asked: list[Asked], everything: int) -> np.ndarray:
    if len(shelf.books) <= everything:
        return np.array(sorted(shelf.slots.values()), dtype=np.int64)
    chosen: set[int] = set()
    for each in asked:
        by_words = each.words.body + each.words.best + each.words.title
        chosen.update(np.argpartition(-by_words, BY_WORDS)[:BY_WORDS].tolist())
        if each.vector is not None:
            chosen.update(shelf.slots[file] for file in near(each.vector, NEAR) if file in shelf.slots)
    return np.array(sorted(slot for slot in chosen if shelf.slots.get(shelf.files[slot]) == slot), dtype=np.int64)


def _features(shelf: Shelf, vectors: Vectors | None, asked: Asked, slots: np.ndarray) -> np.ndarray:
    """(candidates, 6) in `FEATURES`' order; without vectors the first three are zero."""
    out = np.zeros((len(slots), len(FEATURES)))
    for column, scores in enumerate((asked.words.body, asked.words.best, asked.words.title), start=3):
        out[:, column] = scores[slots]
    if asked.vector is None:
        return out
    parts = [shelf.parts(slot) for slot in slots.tolist()]
    counts = np.array([len(some) for some in parts])
    cosines = vectors.take(shelf.chunk_rows([at for some in parts for at in some])) @ asked.vector
    cosines = cosines[np.lexsort((-cosines, np.repeat(np.arange(len(parts)), counts)))]
    starts = np.cumsum(counts) - counts
    reach = np.arange(BEST) < counts[:, None]
    nearest = cosines[np.minimum(starts[:, None] + np.arange(BEST), len(cosines) - 1)] * reach
    out[:, 0], out[:, 1] = nearest[:, 0], nearest.sum(axis=1) / reach.sum(axis=1)
    out[:, 2] = vectors.take(shelf.title_rows(slots)) @ asked.vector
    return out
