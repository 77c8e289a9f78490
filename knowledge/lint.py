"""What a careful reviewer would say about a runbook before it is merged: schema, dead links, hidden text, length."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import unquote

from knowledge.frontmatter import Complaint, Known
from knowledge.runbooks import Runbook, files, load
from knowledge.words import hidden, words

LONG_SECTION, LONG_BOOK = 600, 3_000
_FENCED = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]\n]*\]\(\s*<?([^)\s>]+)>?[^)\n]*\)")
_SMELLS = [
    (re.compile(r"\b(ignore|disregard|forget)\b.{0,30}\b(previous|above|all|your)\b.{0,20}\b(instruct|prompt)", re.I),
     "text tries to instruct a language model", "Write for people; a runbook cannot change what is allowed"),
    (re.compile(r"\b(you are now|act as|system prompt|as an ai)\b", re.I),
     "text addresses a language model", "Write for people; a runbook cannot change what is allowed"),
    (re.compile(r"<!(channel|here|everyone)>|(?<![\w@])@(here|channel|everyone)\b", re.I),
     "text mentions everybody", "Name one team or person"),
    (re.compile(r"<!--"), "text holds an HTML comment, which a reader does not see", "Say it openly, or take it out"),
    (re.compile(r"\]\(\s*(javascript|data|vbscript):", re.I), "link runs code or carries data", "Link to a page"),
    (re.compile(r"\b(xox[abps]-[\w-]{8,}|AKIA[0-9A-Z]{16}|ghp_\w{20,}|-----BEGIN [A-Z ]*PRIVATE KEY)"),
     "text holds what looks like a secret", "Take it out and rotate it: it is in the repository's history"),
]  # fmt: skip
_WANTED = ("meaning", "diagnosis", "mitigation")


def lint(roots: Iterable[Path], known: Known | None = None, today: date | None = None) -> list[Complaint]:
    """Every complaint about the runbooks under the roots, by file and line. Errors and warnings alike are worth a
    look.

    Raises:
        FileNotFoundError: a root does not exist.
    """
    roots = list(roots)
    library = load(roots, known)
    found = list(library.complaints)
    for root in roots:
        for path in files(root):
            file = path.relative_to(root).as_posix()
            if (book := library.runbooks.get(file)) is not None:
                found += examine(book, path.read_text("utf-8-sig", errors="replace"), path.parent, root)
    found += _twins(library.runbooks.values())
    if today is not None or library.runbooks:
        day = today or datetime.now(UTC).date()
        found += [_overdue(book) for book in library.runbooks.values() if book.front.stale(day)]
    return sorted(found)


def examine(book: Runbook, text: str, folder: Path, root: Path) -> list[Complaint]:
    """Complaints about one readable runbook's text. `folder` is where its relative links start."""

    def at(offset: int) -> int:
        return text[:offset].count("\n") + 1

    def say(line: int, what: str, remedy: str, level: str = "error") -> None:
        found.append(Complaint(book.file, line, level, what, remedy))

    found: list[Complaint] = []
    for offset in hidden(text)[:3]:
        say(
            at(offset),
            f"hidden character U+{ord(text[offset]):04X}",
            "Delete it; a reader cannot see it, a machine can",
        )
    for pattern, what, remedy in _SMELLS:
        for hit in list(pattern.finditer(text))[:3]:
            say(at(hit.start()), what, remedy)
    prose = _FENCED.sub(lambda code: "\n" * code[0].count("\n"), text)
    for link in _LINK.finditer(prose):
        if (what := _dead(link[1], folder, root)) is not None:
            say(prose[: link.start()].count("\n") + 1, what, "Correct the path, or take the link out")
    for section in book.sections:
        if (count := len(section.text.split())) > LONG_SECTION:
            say(
                section.line,
                f"section {section.heading!r} has {count} words",
                "Split it: nobody reads that at night",
                "warning",
            )
    if (count := len(book.text.split())) > LONG_BOOK:
        say(1, f"runbook has {count:,} words", "Split it by topic", "warning")
    headings = {word for section in book.sections for word in words(section.heading)}
    missing = [name for name in _WANTED if not set(words(name)) & headings]
    if book.front.causes and missing:
        say(1, f"no section on {', '.join(missing)}", "Answer what it means, how to tell, what to do", "warning")
    return found


def _dead(target: str, folder: Path, root: Path) -> str | None:
    """Why a link leads nowhere, or None. Only links within the library are followed; the web is not asked."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//|#", target):
        return None
    path = unquote(target.split("#", 1)[0].split("?", 1)[0])
    base = root if path.startswith("/") else folder
    there = (base / path.lstrip("/")).resolve()
    if not there.is_relative_to(root.resolve()):
        return f"link {target[:80]!r} leads out of the runbooks"
    return None if there.exists() else f"link {target[:80]!r} leads nowhere"


def _twins(books: Iterable[Runbook]) -> list[Complaint]:
    first: dict[str, str] = {}
    found = []
    for book in sorted(books, key=lambda book: book.file):
        title = " ".join(words(book.title))
        if title in first:
            what = f"title {book.title[:80]!r} is also that of {first[title]}"
            found.append(Complaint(book.file, 1, "warning", what, "Give each its own, or merge them"))
        first.setdefault(title, book.file)
    return found


def _overdue(book: Runbook) -> Complaint:
    verified, owner = book.front.last_verified, book.front.owner or "its owner"
    what = f"last verified {verified}, review overdue"
    return Complaint(book.file, 1, "warning", what, f"Ask {owner} to read it again and set last_verified")
