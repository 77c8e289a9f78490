"""Many queries at once, over files in the form of the BEIR benchmarks: for evaluation by others' means.

Input is JSON lines: a corpus (`_id`, `title`, `text`, perhaps `source`), perhaps its sections (`_id`, `doc_id`,
`heading`, `level`, `text`), and queries (`_id`, `text`, perhaps `source` and `expr`). Output is a TREC run. A query
that ends in a question is answered with sections where they are given, any other with documents.

The score of the first line is the chance that it fits at all, so that one threshold says "none of these".
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from knowledge.query import asks, understood
from knowledge.ranking import Asked, Found, ask, compare, sections
from knowledge.runbooks import Chunk, Runbook, Section, parse
from knowledge.shelf import Shelf, texts
from knowledge.vectors import Vectors

EVERYTHING = 5_000
DEPTH = 1_000
SECTIONS_OF = 20
"""Of so many runbooks all sections are listed, of the others the best one."""


class BulkError(ValueError):
    """A line of an input file cannot be used: `file:line: what. remedy`."""


class Bulk:
    """A corpus on the shelf, ready for many queries."""

    def __init__(
        self,
        corpus: Path,
        sections: Path | None,
        vectors: Vectors | None,
        progress: Callable[[int, int], None] | None = None,
    ):
        self.vectors, self.shelf = vectors, Shelf()
        self.source: dict[str, str] = {}
        own: dict[str, list[dict[str, Any]]] = {}
        for row in _lines(sections, ("_id", "doc_id", "heading", "text")) if sections else ():
            own.setdefault(row["doc_id"], []).append(row)
        rows = list(_lines(corpus, ("_id", "text")))
        for done, row in enumerate(rows, 1):
            self.source[row["_id"]] = str(row.get("source", ""))
            book = _book(row, own.get(row["_id"]))
            parts, lines = texts(book)
            self.shelf.put(book, parts, vectors.rows(lines) if vectors else None)
            if progress:
                progress(done, len(rows))

    def ranked(self, query: dict[str, Any], everywhere: bool = False) -> list[tuple[str, float]]:
        """(id, score) of one query, best first. Runbooks of the query's own `source` come before others, unless
        `everywhere`: an alert's own project answers it, where it has runbooks at all.
        """
        asked = understood(query["text"], str(query.get("expr", "")))
        ready = ask(self.shelf, self.vectors, asked)
        found = compare(self.shelf, self.vectors, self._near, ready, asked.question, DEPTH, EVERYTHING)
        mine = str(query.get("source", ""))
        if mine and not everywhere:
            found.sort(key=lambda item: self.source[item.book.file] != mine)
        lines = list(
            self._sections(found, ready, asked.question)
            if asks(asked.question)
            else ((item.book.file, item.relevance) for item in found)
        )
        out, least = [], 1.0
        for place, (name, fits) in enumerate(lines[:DEPTH]):
            least = min(least, fits)
            out.append((name, least - 1e-7 * place))
        return out

    def rows_of(self, file: str) -> tuple[list[Chunk], np.ndarray | None]:
        """A document's chunks and vector rows, as `Shelf.put` takes them: to lift it and put it back."""
        slot = self.shelf.slots[file]
        places = self.shelf.parts(slot)
        rows = np.concatenate([self.shelf.title_rows([slot]), self.shelf.chunk_rows(places)])
        return [self.shelf.chunk_of[at] for at in places], rows if self.vectors else None

    def _sections(self, found: list[Found], ready: list[Asked], question: str) -> Iterator[tuple[str, float]]:
        for item in found[:SECTIONS_OF]:
            scores = sections(self.shelf, self.vectors, self.shelf.slots[item.book.file], ready[0], question)
            for place in sorted(scores, key=lambda place: (-scores[place], place)):
                yield item.book.sections[place].slug or item.book.file, item.relevance
        for item in found[SECTIONS_OF:]:
            yield item.book.sections[item.section].slug or item.book.file, item.relevance

    def _near(self, vector: Any, count: int) -> list[str]:
        slots, rows = self.shelf.rows()
        nearest = slots[(-(self.vectors.take(rows) @ vector)).argsort()[:count]]
        return [self.shelf.chunk_of[at].file for at in nearest.tolist()]


def run(
    corpus: Path, sections: Path | None, queries: Path, out: Path, *, vectors: Vectors | None, everywhere: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:  # fmt: skip
    """Ranks every query and writes the run (`query-id Q0 id rank score tag`); the number of queries.

    Raises:
        BulkError: a line of an input cannot be used.
    """
    bulk = Bulk(corpus, sections, vectors)
    asked = list(_lines(queries, ("_id", "text")))
    with out.open("w", encoding="utf-8") as trec:
        for done, query in enumerate(asked, 1):
            for place, (name, score) in enumerate(bulk.ranked(query, everywhere), 1):
                trec.write(f"{query['_id']} Q0 {name} {place} {score:.7f} middlewatch\n")
            if progress:
                progress(done, len(asked))
    return len(asked)


def _book(row: dict[str, Any], own: list[dict[str, Any]] | None) -> Runbook:
    name, title = row["_id"], str(row.get("title") or "")
    if own is None:
        book, complaints = parse(name, row["text"].encode("utf-8", "replace"))
        if book is None:
            book = Runbook(name, "", title or name, (Section((), "", 0, 1, title or str(complaints[0].what)),))
        sections = tuple(msgspec.structs.replace(section, slug="") for section in book.sections)
        return msgspec.structs.replace(book, title=title or book.title, sections=sections)
    parts = [_section(part, title) for part in own if not part.get("empty")]
    return Runbook(name, "", title or name, tuple(parts) or (Section((), "", 0, 1, title or name),))


def _section(part: dict[str, Any], title: str) -> Section:
    path = [step.strip() for step in part["heading"].split(" > ")]
    text = part["text"].strip()
    body = text.partition("\n")[2].strip() if text.startswith("#") else text
    return Section(
        tuple(path[1:] if path[0] == title.strip() else path),
        part["_id"],
        int(part.get("level", 2)),
        1,
        body or path[-1],
    )


def _lines(path: Path, needed: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    try:
        stream = path.open(encoding="utf-8", errors="replace")
    except OSError as broken:
        raise BulkError(f"{path}: cannot be read: {broken.strerror}. Check the path") from broken
    with stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as broken:
                raise BulkError(f"{path}:{number}: not JSON ({broken}). Write one object a line") from broken
            missing = [key for key in needed if not isinstance(row, dict) or not isinstance(row.get(key), str)]
            if missing:
                raise BulkError(
                    f"{path}:{number}: no text in {', '.join(missing)}. Each line needs {', '.join(needed)}"
                )
            yield row
