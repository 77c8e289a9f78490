"""The runbooks, searchable: hot, hybrid, and silent when nothing fits."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import numpy as np

from core.errors import Unavailable
from core.findings import RunbookCitation
from core.ports import Passage
from knowledge.frontmatter import Complaint, Known
from knowledge.fusion import FITS, FITS_ASKED
from knowledge.index import Index
from knowledge.query import Query, asks, understood
from knowledge.ranking import Found, heading, rank
from knowledge.runbooks import Runbook, listing, load_file
from knowledge.shelf import Shelf, texts
from knowledge.vectors import Vectors

MAX_PASSAGE = 2_000
WHAT_TO_DO = "How do I mitigate or fix this?"
BATCH = 32
"""Runbooks embedded at a time, so that a large first build becomes searchable as it goes."""
Progress = Callable[[int, int], None]
Stat = tuple[int, int, int]


class Refreshed(msgspec.Struct, frozen=True):
    """What a look at the disk changed."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    seconds: float = 0.0


class Runbooks:
    """Search over the Markdown files under `roots`. Thread-safe; a changed file is seen at the next `refresh`.

    Args:
        vectors: vectors of texts; None searches by words alone.
        index: the nearest-chunk index; None compares with every chunk, which is exact and fine up to some ten
        thousand.
        today: for telling what is overdue for review.
    """

    def __init__(
        self, roots: Path | Iterable[Path], *, vectors: Vectors | None = None, index: Index | None = None,
        known: Known | None = None, today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ):  # fmt: skip
        self.roots = [roots] if isinstance(roots, Path) else list(roots)
        self.vectors, self.known, self.today = vectors, known, today
        self.index = index if vectors is not None else None
        if self.index is not None:
            self.index.model = vectors.embedder.name
        self.shelf = Shelf()
        self.complaints: dict[str, tuple[Complaint, ...]] = {}
        self.trouble = ""
        """Why the last look at the disk failed, when it did; what was known is still searched."""
        self.without = self.without_index = ""
        """Why meaning is not searched, or not through the index, when that is so."""
        self._stats: dict[str, Stat] = {}
        self._revisions: dict[str, str] = {}
        self._lock, self._refreshing = threading.RLock(), threading.RLock()
        self._exact: tuple[np.ndarray, np.ndarray] | None = None
        self._loaded = False

    async def search(
        self, words: str, *, expression: str = "", question: str = "", top: int = 5, asked: bool = False
    ) -> list[Passage]:
        """The best sections for an alert's words, its expression (names of metrics, features, labels) and a question.

        One passage a runbook, best first; empty when nothing fits. A question ("What does this mean?") chooses the
        section; without one it is the section that says what to do. `asked`: a person asks and will judge, so weaker
        fits are shown too.
        """
        how = {"expression": expression, "question": question, "top": top, "asked": asked}
        return await asyncio.to_thread(self.passages, words, **how)

    async def watch(self, every: float = 2.0) -> None:
        """Looks at the disk again and again until cancelled, so that an edit is searchable within seconds. A folder
        that vanishes (a checkout being replaced) is waited for, and what was known stays.
        """
        while True:
            began = time.perf_counter()
            try:
                await asyncio.to_thread(self.refresh)
                self.trouble = ""
            except OSError as broken:
                self.trouble = str(broken)
            await asyncio.sleep(max(every, 10 * (time.perf_counter() - began)))

    async def warm(self) -> None:
        """Loads runbooks, index and model, so that the first question does not wait for them."""
        await asyncio.to_thread(self._warm)

    def passages(
        self, words: str, *, expression: str = "", question: str = "", top: int = 5, asked: bool = False
    ) -> list[Passage]:
        """`search`, for callers outside an event loop."""
        found, least = (
            self.find(words, expression=expression, question=question, top=top),
            FITS_ASKED if asked else FITS,
        )
        return [self._passage(item) for item in found if item.relevance >= least]

    def find(self, words: str, *, expression: str = "", question: str = "", top: int = 5) -> list[Found]:
        """Candidates best first, fitting or not. Without a real question the section that says what to do is chosen."""
        query = understood(words, expression, question)
        if not asks(query.question):
            query = msgspec.structs.replace(query, question=WHAT_TO_DO)
        return self.ranked(query, top)

    def ranked(self, query: Query, top: int) -> list[Found]:
        """Candidates best first, for a query taken apart already."""
        if not self._loaded:
            self.refresh()
        with self._lock:
            return rank(self.shelf, None if self.without else self.vectors, self._near, query, top)

    def overdue(self) -> list[Runbook]:
        """Runbooks whose review is overdue, the longest first."""
        with self._lock:
            stale = [book for book in self.shelf.books.values() if book.front.stale(self.today())]
        return sorted(stale, key=lambda book: (book.front.last_verified, book.file))

    def refresh(self, progress: Progress | None = None) -> Refreshed:
        """Reads what changed on disk and indexes only that; searches go on meanwhile. A file that became unreadable
        is reported and taken out.

        Raises:
            FileNotFoundError: a root does not exist.
        """
        began = time.perf_counter()
        with self._refreshing:
            first, (fresh, gone) = not self._loaded, self._read()
            added = tuple(book.file for book in fresh if book.file not in self.shelf.books)
            changed = tuple(book.file for book in fresh if book.file in self.shelf.books)
            with self._lock:
                for file in gone:
                    self.lift(file)
            self._take_in(fresh, progress)
            self._sync_index(first, fresh, gone)
            self._loaded = True
        return Refreshed(added, changed, tuple(gone), time.perf_counter() - began)

    def place(self, book: Runbook) -> None:
        """Puts one runbook on the shelf, on disk or not; the index is not told."""
        self._take_in([book], None)

    def lift(self, file: str) -> None:
        """Takes one runbook off the shelf until it changes on disk."""
        with self._lock:
            self.shelf.drop(file)
            self._revisions.pop(file, None)
            self._exact = None

    def close(self) -> None:
        """Lets go of the index, so that another process may own it."""
        if self.index is not None:
            self.index.close()

    def _warm(self) -> None:
        self.refresh()
        if self.vectors is not None and not self.without:
            with suppress(Unavailable):
                self.vectors.asked(WHAT_TO_DO)

    def _read(self) -> tuple[list[Runbook], list[str]]:
        """(runbooks new or changed on disk, files that are no longer there or no longer readable)."""
        seen = self._look()
        gone = [file for file in self._stats if file not in seen]
        for file in gone:
            del self._stats[file]
            self.complaints.pop(file, None)
        fresh: list[Runbook] = []
        for file, (path, stat) in seen.items():
            if self._stats.get(file) == stat:
                continue
            book, complaints = load_file(Path(path), file, self.known)
            self.complaints[file], self._stats[file] = tuple(complaints), stat
            if book is None:
                gone.append(file)
            elif self._revisions.get(file) != book.revision:
                fresh.append(book)
        return fresh, [file for file in gone if file in self.shelf.books]

    def _look(self) -> dict[str, tuple[str, Stat]]:
        seen: dict[str, tuple[str, Stat]] = {}
        for root in self.roots:
            if not root.is_dir():
                raise FileNotFoundError(
                    f"no runbook directory {str(root)!r}; create it, or set RUNBOOKS to the one you mean"
                )
            for file, path, stat in listing(root):
                seen.setdefault(file, (path, (stat.st_mtime_ns, stat.st_size, stat.st_ino)))
        return seen

    def _take_in(self, fresh: list[Runbook], progress: Progress | None) -> None:
        """By words at once, by meaning as the vectors come."""
        parted = [(book, *texts(book)) for book in fresh]
        if len(fresh) > BATCH:
            for book, parts, _ in parted:
                self._put(book, parts, None)
            self._loaded = True
        for start in range(0, len(parted), BATCH):
            batch = parted[start : start + BATCH]
            headings = {heading(section.path) for book, *_ in batch for section in book.sections}
            rows = self._embed([*(text for *_, lines in batch for text in lines), *sorted(headings)])
            at = 0
            for book, parts, lines in batch:
                self._put(book, parts, None if rows is None else rows[at : at + len(lines)])
                at += len(lines)
            if progress:
                progress(min(start + BATCH, len(parted)), len(parted))

    def _put(self, book: Runbook, parts: list, rows: np.ndarray | None) -> None:
        with self._lock:
            self.shelf.put(book, parts, rows)
            self._revisions[book.file] = book.revision
            self._exact = None

    def _embed(self, lines: list[str]) -> np.ndarray | None:
        if self.vectors is None or self.without:
            return None
        try:
            return self.vectors.rows(lines)
        except Unavailable as why:
            self.without = str(why)
            return None

    def _sync_index(self, first: bool, fresh: list[Runbook], gone: list[str]) -> None:
        """Makes the index hold what the shelf holds. Losing it costs speed, not answers: the exact search takes
        over.
        """
        if self.index is None or self.without or not (first or fresh or gone):
            return
        try:
            held = self.index.held() if first else {}
            for file in [file for file in held if file not in self.shelf.books] if first else gone:
                self.index.drop(file)
            new = [book for book in fresh if held.get(book.file, ("",))[0] != book.revision]
            entries = [(book.file, book.revision, self._chunk_vectors(book.file)) for book in new]
            self.index.put_many([entry for entry in entries if first and entry[0] not in held])
            for entry in entries:
                if not first or entry[0] in held:
                    self.index.put(*entry)
        except Unavailable as why:
            self._lose_index(why)

    def _lose_index(self, why: Unavailable) -> None:
        self.close()
        self.index, self.without_index = None, str(why)

    def _chunk_vectors(self, file: str) -> np.ndarray:
        return self.vectors.take(self.shelf.chunk_rows(self.shelf.parts(self.shelf.slots[file])))

    def _near(self, vector: np.ndarray, count: int) -> list[str]:
        """Files of the nearest chunks; from the index, or exactly when there is none."""
        if self.index is not None:
            try:
                hits = self.index.near(vector, count)
                return [hit.file for hit in hits if self._revisions.get(hit.file) == hit.revision]
            except Unavailable as why:
                self._lose_index(why)
        if self._exact is None:
            slots, rows = self.shelf.rows()
            self._exact = slots, self.vectors.take(rows)
        slots, table = self._exact
        return [self.shelf.chunk_of[at].file for at in slots[np.argsort(-(table @ vector))[:count]].tolist()]

    def _passage(self, found: Found) -> Passage:
        book, section = found.book, found.book.sections[found.section]
        front = book.front
        citation = RunbookCitation(
            file=book.file,
            heading=section.heading or book.title,
            revision=book.revision,
            text=section.text[:MAX_PASSAGE],
            relevance=round(found.relevance, 4),
            last_verified=front.last_verified.isoformat() if front.last_verified else None,
            stale=front.stale(self.today()),
        )
        return Passage(
            citation=citation, score=round(found.score, 4), title=book.title, causes=list(front.causes),
            actions=list(front.actions), owner=front.owner,
        )  # fmt: skip
