"""Runbooks: Markdown files, read whole, split by heading, named by content.

A file that cannot be read is reported and left out; a file whose front matter is wrong keeps its prose (it may
still help somebody at three in the morning) but loses every privilege its front matter would have given.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

import msgspec
from markdown_it import MarkdownIt

from knowledge.frontmatter import Complaint, FrontMatter, Known, check, split
from knowledge.words import clean

MAX_BYTES = 512 * 1024
MAX_SECTIONS = 400
CHUNK_WORDS = 180
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+|\n+")
_MARKUP = re.compile(r"[*`_]{1,3}(?=\S)|(?<=\S)[*`]{1,3}|\[([^\]]*)\]\([^)]*\)")
_SLUG = re.compile(r"[^\w]+")


class Section(msgspec.Struct, frozen=True):
    """One heading's own text. `path` holds the headings above it and itself, without the title; `line` is in the
    file.
    """

    path: tuple[str, ...]
    slug: str
    level: int
    line: int
    text: str

    @property
    def heading(self) -> str:
        return " > ".join(self.path)


class Runbook(msgspec.Struct, frozen=True):
    """One file: its title, its sections in order, its checked front matter, and the hash of its bytes as
    `revision`.
    """

    file: str
    revision: str
    title: str
    sections: tuple[Section, ...]
    front: FrontMatter = FrontMatter()

    @property
    def text(self) -> str:
        return "\n".join(f"{section.heading}\n{section.text}" for section in self.sections)


class Chunk(msgspec.Struct, frozen=True):
    """What is embedded and indexed: a section, or a run of sentences of a long one. `section` is its place in the
    runbook.
    """

    file: str
    revision: str
    section: int
    title: str
    heading: str
    text: str


class Library(msgspec.Struct, frozen=True):
    """All runbooks under the roots, by file, and what was wrong with the ones that are not or not wholly here."""

    runbooks: dict[str, Runbook]
    complaints: tuple[Complaint, ...] = ()


def revision(raw: bytes) -> str:
    """The first 12 hex digits of the content's SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:12]


def parse(file: str, raw: bytes, known: Known | None = None) -> tuple[Runbook | None, list[Complaint]]:
    """One file's bytes as a runbook, or None with the reason. Never raises, whatever the bytes."""
    if len(raw) > MAX_BYTES:
        return None, [_too_big(file, len(raw))]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        line = raw[: broken.start].count(b"\n") + 1
        return None, [
            Complaint(
                file, line, "error", f"byte 0x{raw[broken.start]:02x} is not UTF-8", "Save the file as UTF-8 text"
            )
        ]
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        return None, [
            Complaint(
                file, line, "error", "file holds NUL bytes", "A runbook is Markdown text; move binaries elsewhere"
            )
        ]
    source, body, offset = split(text.replace("\r\n", "\n"))
    front, complaints = FrontMatter(), []
    if source and not body.strip():
        what = "front matter has no closing '---', or no text follows"
        complaints.append(Complaint(file, 1, "error", what, "Close it and write the runbook below"))
    elif source:
        front, complaints = check(file, source, known or Known())
    title, sections = _sections(clean(body, MAX_BYTES), offset)
    title = front.title or title or _name(file)
    if not any(section.text for section in sections):
        complaints.append(Complaint(file, offset + 1, "error", "runbook has no text", "Write at least one section"))
        return None, complaints
    if len(sections) > MAX_SECTIONS:
        complaints.append(
            Complaint(file, 1, "error", f"{len(sections)} headings, over {MAX_SECTIONS}", "Split the file by topic")
        )
        sections = sections[:MAX_SECTIONS]
    return Runbook(file, revision(raw), title, tuple(sections), front), complaints


def files(root: Path) -> Iterator[Path]:
    """The runbooks' paths under a directory, in order; see `listing`."""
    return (Path(path) for _, path, _ in listing(root))


def listing(root: Path | str, below: str = "") -> Iterator[tuple[str, str, os.stat_result]]:
    """(name below the root, path, stat) of each Markdown file, in order, without hidden folders, README.md, names that
    begin with `_`, or links that lead outside. One system call a file: a watched library is listed every few seconds.
    """
    with os.scandir(os.path.join(root, below)) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = entry.name
        if name.startswith((".", "_")):
            continue
        with suppress(FileNotFoundError, RuntimeError):  # removed meanwhile, or a link to itself: nothing to read
            if entry.is_dir(follow_symlinks=False):
                yield from listing(root, os.path.join(below, name))
            elif name.lower().endswith((".md", ".markdown")) and name.lower() != "readme.md":
                if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(Path(root).resolve()):
                    continue
                stat = entry.stat()
                if S_ISREG(stat.st_mode):
                    yield os.path.join(below, name).replace(os.sep, "/"), entry.path, stat


def load(roots: Path | Iterable[Path], known: Known | None = None) -> Library:
    """Every runbook under the roots. Files are named by their path below their root; a twin in a later root is
    reported.

    Raises:
        FileNotFoundError: a root does not exist (a typo in `RUNBOOKS` must not look like an empty library).
    """
    runbooks: dict[str, Runbook] = {}
    complaints: list[Complaint] = []
    for root in [roots] if isinstance(roots, Path) else roots:
        if not root.is_dir():
            raise FileNotFoundError(
                f"runbook directory {str(root)!r} does not exist; create it, or set RUNBOOKS to the one you mean"
            )
        for file, path, _ in listing(root):
            runbook, found = load_file(Path(path), file, known)
            complaints += found
            if runbook and file in runbooks:
                complaints.append(
                    Complaint(file, 1, "error", "another root has a runbook of this name", "Rename one of the two")
                )
            elif runbook:
                runbooks[file] = runbook
    return Library(runbooks, tuple(complaints))


def load_file(path: Path, file: str, known: Known | None = None) -> tuple[Runbook | None, list[Complaint]]:
    """`parse` of a file on disk; a file over the limit is not even read."""
    if "\ufffd" in (shown := file.encode("utf-8", "surrogateescape").decode("utf-8", "replace")) and shown != file:
        return None, [Complaint(shown, 1, "error", "the file's name is not UTF-8", "Rename it; nothing could cite it")]
    try:
        size = path.stat().st_size
        return parse(file, path.read_bytes(), known) if size <= MAX_BYTES else (None, [_too_big(file, size)])
    except OSError as broken:
        return None, [
            Complaint(file, 1, "error", f"cannot be read: {broken.strerror}", "Check the path and its permissions")
        ]


def chunks(runbook: Runbook) -> list[Chunk]:
    """The runbook's sections with text, long ones split between sentences with one sentence of overlap."""
    return [
        Chunk(runbook.file, runbook.revision, place, runbook.title, section.heading, part)
        for place, section in enumerate(runbook.sections)
        if section.text
        for part in pieces(section.text)
    ]


def pieces(text: str, limit: int = CHUNK_WORDS) -> list[str]:
    """The text in runs of whole sentences of at most `limit` words; a sentence longer than that is cut by words.

    >>> pieces("One two. Three four. Five.", limit=4)
    ['One two. Three four.', 'Three four. Five.']
    """
    if len(text.split()) <= limit:
        return [text]
    sentences: list[list[str]] = []
    for sentence in _SENTENCE.split(text):
        tokens = sentence.split()
        sentences += [tokens[at : at + limit] for at in range(0, len(tokens), limit)]
    out, run = [], []
    for tokens in sentences:
        if run and sum(map(len, run)) + len(tokens) > limit:
            out.append(run)
            run = [run[-1]] if len(run[-1]) + len(tokens) <= limit else []
        run.append(tokens)
    return [" ".join(token for tokens in run for token in tokens) for run in [*out, run]]


def plain(markup: str) -> str:
    """A heading's text without emphasis, code marks and link targets."""
    return re.sub(r"\s+", " ", _MARKUP.sub(lambda found: found[1] or "", markup)).strip()


def _sections(body: str, offset: int) -> tuple[str, list[Section]]:
    """(the first level-1 heading, sections). Headings inside code fences are code, which is why a real parser is
    used.
    """
    lines = body.split("\n")
    parser = MarkdownIt("commonmark").disable(["inline", "reference"])
    tokens = parser.parse(body)
    marks = [
        (token.map[0], token.map[1], int(token.tag[1]), plain(tokens[at + 1].content) or "Untitled")
        for at, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0
    ]
    title = next((name for _, _, level, name in marks if level == 1), "")
    sections, path, seen = [], [], {}
    starts = [(0, 0, 0, ""), *marks]
    for (start, after, level, name), following in zip(starts, [*[m[0] for m in marks], len(lines)], strict=True):
        path = [*[above for above in path if above[0] < level], (level, name)] if level else path
        names = tuple(name for _, name in path if not (_ == 1 and name == title))
        text = "\n".join(lines[after:following]).strip()
        if level or text:
            slug = _SLUG.sub("-", name.lower()).strip("-") or "top"
            seen[slug] = seen.get(slug, 0) + 1
            sections.append(
                Section(names, slug if seen[slug] == 1 else f"{slug}-{seen[slug]}", level, offset + start + 1, text)
            )
    return title, sections


def _too_big(file: str, size: int) -> Complaint:
    what = f"file is {size / 1024:,.0f} KiB, over {MAX_BYTES // 1024} KiB"
    return Complaint(file, 1, "error", what, "Split it by topic, or link to the log it holds")


def _name(file: str) -> str:
    stem = Path(file).stem
    return re.sub(r"[-_]+", " ", stem).strip().capitalize() if re.search(r"[-_]", stem) else stem
