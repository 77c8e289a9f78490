"""The runbooks, searchable: hot, hybrid, and silent when nothing fits."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import numpy as np

from core.errors import Unavailable
from core.findings import RunbookCitation
from core.ports import Passage
from knowledge.frontmatter import Complaint, Known
from knowledge.fusion import FITS
from knowledge.index import Index
from knowledge.ranking import Found, Query, rank
from knowledge.runbooks import Runbook, files, load_file
from knowledge.shelf import Shelf, texts
from knowledge.vectors import Vectors
from knowledge.words import clean

MAX_QUERY = 4_000
MAX_PASSAGE = 2_000


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
        self.vectors, self.index, self.known, self.today = vectors, index, known, today
        self.shelf = Shelf()
        self.complaints: dict[str, tuple[Complaint, ...]] = {}
        self.without = self.without_index = ""
        """Why meaning is not searched, or not through the index, when that is so."""
        self._stats: dict[str, tuple[int, int, int]] = {}
        self._revisions: dict[str, str] = {}
        self._lock = threading.RLock()
        self._exact: tuple[np.ndarray, np.ndarray] | None = None
        self._loaded = False

    async def search(self, words: str, *, expression: str = "", question: str = "", top: int = 5) -> list[Passage]:
        """The best sections for an alert's words, its expression (names of metrics, features, labels) and a question.

        One passage a runbook, best first; empty when nothing fits.
        """
        return await asyncio.to_thread(self.passages, words, expression=expression, question=question, top=top)

    async def watch(self, every: float = 2.0) -> None:
        """Looks at the disk again and again until cancelled, so that an edit is searchable within seconds."""
        while True:
            await asyncio.to_thread(self.refresh)
            await asyncio.sleep(every)

    async def warm(self) -> None:
        """Loads runbooks, index and model, so that the first question does not wait for them."""
        await asyncio.to_thread(self._warm)

    def passages(self, words: str, *, expression: str = "", question: str = "", top: int = 5) -> list[Passage]:
        """`search`, for callers outside an event loop."""
        found = self.find(words, expression=expression, question=question, top=top)
        return [self._passage(item) for item in found if item.relevance >= FITS]

    def find(self, words: str, *, expression: str = "", question: str = "", top: int = 5) -> list[Found]:
        """Candidates best first, fitting or not."""
        words, expression, question = (clean(text, MAX_QUERY) for text in (words, expression, question))
        with self._lock:
            if not self._loaded:
                self.refresh()
            if not self.shelf.books or not (words + expression).strip():
                return []
            return rank(
                self.shelf,
                self.vectors if not self.without else None,
                self._near,
                Query(words, expression, question),
                top,
            )

    def refresh(self, progress: Callable[[int, int], None] | None = None) -> Refreshed:
        """Reads what changed on disk and indexes only that. A file that became unreadable is reported and taken out.

        Raises:
            FileNotFoundError: a root does not exist.
        """
        began = time.perf_counter()
        with self._lock:
            seen = self._look()
            removed = [file for file in self._stats if file not in seen]
            fresh: list[Runbook] = []
            for file, (path, stat) in seen.items():
                if self._stats.get(file) == stat:
                    continue
                book, complaints = load_file(path, file, self.known)
                self.complaints[file] = tuple(complaints)
                if book is None:
                    removed += [file] if file in self.shelf.books else []
                elif self._revisions.get(file) != book.revision:
                    fresh.append(book)
                self._stats[file] = stat
            gone = [file for file in removed if file in self.shelf.books]
            for file in removed:
                self._forget(file, keep_stat=file in seen)
            added = tuple(book.file for book in fresh if book.file not in self.shelf.books)
            changed = tuple(book.file for book in fresh if book.file in self.shelf.books)
            self._take_in(fresh, gone, progress)
            self._loaded = True
        return Refreshed(added, changed, tuple(gone), time.perf_counter() - began)

    def close(self) -> None:
        """Lets go of the index, so that another process may own it."""
        if self.index is not None:
            self.index.close()

    def _warm(self) -> None:
        self.refresh()
        if self.vectors is not None and not self.without:
            try:
                self.vectors.embedder.encode(["warm"])
            except Unavailable as why:
                self.without = str(why)

    def _look(self) -> dict[str, tuple[Path, tuple[int, int, int]]]:
        seen: dict[str, tuple[Path, tuple[int, int, int]]] = {}
        for root in self.roots:
            if not root.is_dir():
                raise FileNotFoundError(
                    f"runbook directory {str(root)!r} does not exist; create it, or set RUNBOOKS to the one you mean"
                )
            for path in files(root):
                try:
                    stat = os.stat(path)
                except OSError:
                    continue  # removed between listing and looking; the next look agrees
                seen.setdefault(
                    path.relative_to(root).as_posix(), (path, (stat.st_mtime_ns, stat.st_size, stat.st_ino))
                )
        return seen

    def _forget(self, file: str, keep_stat: bool) -> None:
        self.shelf.drop(file)
        self._revisions.pop(file, None)
        if not keep_stat:
            self._stats.pop(file, None)
            self.complaints.pop(file, None)

    def _take_in(self, fresh: list[Runbook], gone: list[str], progress: Callable[[int, int], None] | None) -> None:
        parted = [texts(book) for book in fresh]
        rows = self._embed([text for _, lines in parted for text in lines], progress)
        at = 0
        for book, (parts, lines) in zip(fresh, parted, strict=True):
            self.shelf.put(book, parts, None if rows is None else rows[at : at + len(lines)])
            self._revisions[book.file] = book.revision
            at += len(lines)
        if fresh or gone:
            self._exact = None
        self._sync_index(not self._loaded, fresh, gone)

    def _embed(self, lines: list[str], progress: Callable[[int, int], None] | None) -> np.ndarray | None:
        if self.vectors is None or self.without:
            return None
        try:
            return self.vectors.rows(lines, progress)
        except Unavailable as why:
            self.without = str(why)
            return None

    def _sync_index(self, first: bool, fresh: list[Runbook], gone: list[str]) -> None:
        """Makes the index hold what the shelf holds. Losing it costs speed, not answers: the exact search takes
        over.
        """
        if self.index is None or self.vectors is None or self.without or not (first or fresh or gone):
            return
        try:
            held = self.index.held() if first else {}
            stale = [file for file in held if file not in self.shelf.books] if first else gone
            for file in stale:
                self.index.drop(file)
            new = [book for book in fresh if held.get(book.file, ("",))[0] != book.revision]
            entries = [(book.file, book.revision, self._chunk_vectors(book.file)) for book in new]
            known = [entry for entry in entries if not first or entry[0] in held]
            self.index.put_many([entry for entry in entries if first and entry[0] not in held])
            for entry in known:
                self.index.put(*entry)
        except Unavailable as why:
            self.index.close()
            self.index, self.without_index = None, str(why)

    def _chunk_vectors(self, file: str) -> np.ndarray:
        return self.vectors.take(self.shelf.chunk_rows(self.shelf.parts(self.shelf.slots[file])))

    def _near(self, vector: np.ndarray, count: int) -> list[tuple[str, int]]:
        """(file, place of the chunk) of the nearest chunks; from the index, or exactly when there is none."""
        if self.index is not None:
            try:
                hits = self.index.near(vector, count)
                return [(hit.file, hit.place) for hit in hits if self._revisions.get(hit.file) == hit.revision]
            except Unavailable as why:
                self.index, self.without_index = None, str(why)
        if self._exact is None:
            slots, rows = self.shelf.rows()
            self._exact = slots, self.vectors.take(rows)
        slots, table = self._exact
        best = np.argsort(-(table @ vector))[:count]
        return [(self.shelf.chunk_of[at].file, 0) for at in slots[best].tolist()]

    def _passage(self, found: Found) -> Passage:
        book, section = found.book, found.book.sections[found.section]
        front, today = book.front, self.today()
        return Passage(
            citation=RunbookCitation(
                file=book.file, heading=section.heading or book.title, revision=book.revision,
                text=section.text[:MAX_PASSAGE], relevance=round(found.relevance, 4), stale=front.stale(today),
                last_verified=front.last_verified.isoformat() if front.last_verified else None,
            ),
            score=round(found.score, 4), title=book.title, causes=list(front.causes), actions=list(front.actions),
            owner=front.owner,
        )  # fmt: skip
