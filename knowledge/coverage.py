"""For authors: what a new runbook would change, and what has no runbook yet."""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import msgspec

from core.findings import CAUSES
from knowledge.frontmatter import Complaint, Known
from knowledge.fusion import FITS
from knowledge.lint import examine
from knowledge.questions import Question
from knowledge.ranking import Found
from knowledge.runbooks import Runbook, load_file
from knowledge.search import Runbooks


class Retrieved(msgspec.Struct, frozen=True):
    """What one recorded incident retrieves without the file and with it. Empty: nothing fits."""

    incident: str
    before: str
    after: str
    relevance: float
    heading: str


class Trial(msgspec.Struct, frozen=True):
    """`try`: complaints about the file, the incidents that would now retrieve it, and those it takes from another
    runbook.
    """

    file: str
    complaints: list[Complaint]
    retrieves: list[Retrieved]
    changed: list[Retrieved]


class Coverage(msgspec.Struct, frozen=True):
    """`coverage`: what has no runbook."""

    causes: list[str]
    detectors: list[str]
    signals: list[str]
    incidents: list[str]
    """Ids of past incidents that retrieve nothing."""
    overdue: list[str]


def trial(path: Path, library: Runbooks, asked: Sequence[Question], known: Known | None = None) -> Trial:
    """Asks every recorded question without the file and with it, merged or not; `library` has it on its shelf
    afterwards.
    """
    root = next((root for root in library.roots if path.resolve().is_relative_to(root.resolve())), path.parent)
    file = path.resolve().relative_to(root.resolve()).as_posix()
    book, complaints = load_file(path, file, known)
    if book is None:
        return Trial(file, complaints, [], [])
    complaints += examine(book, path.read_text("utf-8-sig", errors="replace"), path.parent, root)
    library.refresh()
    library.lift(file)
    before = [_top(library, question) for question in asked]
    library.place(book)
    after = [_top(library, question) for question in asked]
    rows = [_retrieved(question, old, new) for question, old, new in zip(asked, before, after, strict=True)]
    mine = [row for row in rows if row.after == file]
    return Trial(file, sorted(complaints), mine, [row for row in mine if row.before])


def coverage(
    library: Runbooks, asked: Iterable[Question], detectors: Iterable[str], signals: Iterable[str], today: date
) -> Coverage:
    """Which causes, detectors, signals and past incidents no runbook speaks of, and which runbooks are overdue for
    review.
    """
    library.refresh()
    books: list[Runbook] = list(library.shelf.books.values())
    named = {
        kind: {name for book in books for name in getattr(book.front, kind)}
        for kind in ("causes", "detectors", "signals")
    }
    return Coverage(
        causes=[cause for cause in CAUSES if cause not in named["causes"]],
        detectors=sorted(set(detectors) - named["detectors"]),
        signals=sorted(set(signals) - named["signals"]),
        incidents=[question.id for question in asked if _top(library, question) is None],
        overdue=sorted(book.file for book in books if book.front.stale(today)),
    )


def _top(library: Runbooks, question: Question) -> Found | None:
    found = library.ranked(question.query, 1)
    return found[0] if found and found[0].relevance >= FITS else None


def _retrieved(question: Question, old: Found | None, new: Found | None) -> Retrieved:
    heading = new.book.sections[new.section].heading if new else ""
    return Retrieved(
        question.id, old.book.file if old else "", new.book.file if new else "", new.relevance if new else 0.0, heading
    )
