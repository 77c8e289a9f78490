"""Teaches the encoder a team's own alerts and runbooks, and keeps the lesson only if it wins on questions it never
saw.
"""

import os
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from knowledge.adapter import merge, train
from knowledge.embedder import SHIPPED, Embedder, plain
from knowledge.query import Query, names
from knowledge.questions import Question
from knowledge.ranking import rank
from knowledge.runbooks import Runbook
from knowledge.shelf import Shelf, texts
from knowledge.vectors import Vectors

LEAST_QUESTIONS, LEAST_BOOKS = 20, 6
SURE = 0.9
"""The share of bootstrap samples in which tuned must beat untuned."""


class Tuned(msgspec.Struct, frozen=True):
    """What came of it. `before` and `after` are nDCG@10 on the held-out questions; `sure` is the chance that it
    wins.
    """

    kept: bool
    before: float
    after: float
    sure: float
    learnt_from: int
    held_out: int
    path: Path | None = None


class TooFew(ValueError):
    """There is not enough to learn from, and still less to judge it by."""


def chosen(folder: Path) -> Path:
    """The adapter to use: the team's own where it has won, else the shipped one."""
    own = folder / "adapter.npz"
    return own if own.is_file() else SHIPPED


def tune(
    books: Sequence[Runbook], asked: Sequence[Question], folder: Path, *, epochs: int = 2, seed: int = 0,
    start: Path = SHIPPED, progress: Callable[[int, int], None] | None = None,
) -> Tuned:  # fmt: skip
    """Trains on three quarters of the runbooks' questions, judges on the rest, and writes `folder/adapter.npz` if
    it won.

    Raises:
        TooFew: fewer than 20 questions with a known answer, or answers in fewer than 6 runbooks.
    """
    known = {book.file: number for number, book in enumerate(books)}
    usable = [question for question in asked if question.answer in known]
    learn, held = split(usable, seed)
    if len(usable) < LEAST_QUESTIONS or len({question.answer for question in usable}) < LEAST_BOOKS:
        have = f"{len(usable)} questions answered by {len({question.answer for question in usable})} runbooks"
        need = f"{LEAST_QUESTIONS} questions and {LEAST_BOOKS} runbooks"
        raise TooFew(f"only {have}; {need} are needed: mark more hypotheses as right or wrong, then tune again")
    before = judge(books, held, Vectors(folder, Embedder(start)))
    arrays = _learn(
        books,
        [(text, known[question.answer]) for question in learn for text in said(question.query)],
        start,
        epochs,
        seed,
        progress,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        trial = Path(scratch, "adapter.npz")
        np.savez_compressed(trial, **arrays)
        after = judge(books, held, Vectors(Path(scratch), Embedder(trial)))
        sure = certainty(after - before, seed)
        if kept := bool(after.mean() > before.mean() and sure >= SURE):
            os.replace(trial, folder / "adapter.npz")
    path = folder / "adapter.npz" if kept else None
    return Tuned(kept, float(before.mean()), float(after.mean()), sure, len(learn), len(held), path)


def split(asked: Sequence[Question], seed: int) -> tuple[list[Question], list[Question]]:
    """(to learn from, held out): a quarter of the runbooks is held out with all its questions, so that nothing learnt
    about a runbook helps to judge it.
    """
    answers = sorted({question.answer for question in asked})
    random.Random(seed).shuffle(answers)
    out = set(answers[: max(1, len(answers) // 4)])
    return [q for q in asked if q.answer not in out], [q for q in asked if q.answer in out]


def said(query: Query) -> list[str]:
    """The texts of a query as they are embedded."""
    return [text for text in (query.words, names(query.expression)) if text.strip()]


def judge(books: Sequence[Runbook], held: Sequence[Question], vectors: Vectors | None) -> np.ndarray:
    """nDCG@10 of each held-out question, ranked the way the product ranks."""
    shelf = Shelf()
    for book in books:
        parts, lines = texts(book)
        shelf.put(book, parts, None if vectors is None else vectors.rows(lines))
    out = []
    for question in held:
        found = rank(shelf, vectors, lambda *_: [], question.query, 10, everything=len(books))
        place = next((at for at, item in enumerate(found) if item.book.file == question.answer), None)
        out.append(0.0 if place is None else 1 / np.log2(place + 2))
    return np.array(out)


def certainty(gains: np.ndarray, seed: int, samples: int = 2_000) -> float:
    """The share of paired bootstrap samples with a positive mean gain."""
    if not len(gains):
        return 0.0
    draw = np.random.default_rng(seed)
    means = gains[draw.integers(0, len(gains), (samples, len(gains)))].mean(axis=1)
    return float((means > 0).mean())


def _learn(
    books: Sequence[Runbook], pairs: list[tuple[str, int]], start: Path, epochs: int, seed: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """A new adapter that holds the old one and what was learnt on top: their ranks add up."""
    model = plain()
    old: dict[str, np.ndarray] = {}
    if start.is_file():
        merge(model, start)
        with np.load(start, allow_pickle=False) as held:
            old = {name: held[name] for name in held.files}
    passages = [texts(book)[1][1:] for book in books]
    new = train(model.eval(), passages, pairs, epochs=epochs, seed=seed, progress=progress)
    return {
        name: np.concatenate([old[name], new[name]], axis=0 if name.endswith(".a") else 1) if name in old else new[name]
        for name in new
    }
