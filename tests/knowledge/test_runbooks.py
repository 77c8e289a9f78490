"""Reading runbooks: plain Markdown is enough, and nothing that a file holds can stop the rest."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.frontmatter import FrontMatter, Known
from knowledge.runbooks import MAX_BYTES, chunks, load, parse, pieces
from knowledge.search import Runbooks

GOOD = b"""---
title: PSI shift on a categorical feature
triggers: {detectors: [psi], signals: [feature]}
applies_to: {models: ["fraud-*"], features: ["currency"]}
causes: [schema_change, unit_change]
actions: [ticket, fallback, rollback]
success: {signal: psi, below: 0.1, within: 30m}
owner: "@ml-oncall"
last_verified: 2026-10-02
review_every: 90d
---
# Anything

## Meaning
One category grew.

```bash
# not a heading
```

### A closer look
Look closer.

## Impact

## Mitigation
Roll back.
"""


def errors(raw: bytes, known: Known | None = None) -> list[str]:
    return [str(complaint) for complaint in parse("a.md", raw, known)[1]]


def test_front_matter_becomes_typed_values():
    """Every documented key of the front matter is read into its own type."""
    book, complaints = parse("psi.md", GOOD)
    assert complaints == []
    assert book.title == "PSI shift on a categorical feature"
    front = book.front
    assert (front.detectors, front.signals, front.models, front.features) == (
        ("psi",),
        ("feature",),
        ("fraud-*",),
        ("currency",),
    )
    assert front.causes == ("schema_change", "unit_change")
    assert front.actions == ("ticket", "fallback", "rollback")
    assert (front.success.signal, front.success.below, front.success.within) == ("psi", 0.1, timedelta(minutes=30))
    assert (front.owner, front.last_verified, front.review_every) == (
        "@ml-oncall",
        date(2026, 10, 2),
        timedelta(days=90),
    )


def test_sections_keep_their_heading_path_and_their_line():
    """A section knows the headings above it and where it begins, and a comment inside code is no heading."""
    book, _ = parse("psi.md", GOOD)
    assert [(section.heading, section.line) for section in book.sections if section.text] == [
        ("Meaning", 14), ("Meaning > A closer look", 21), ("Mitigation", 26),
    ]  # fmt: skip
    assert "# not a heading" in book.sections[1].text


def test_a_section_without_text_gives_no_chunk():
    """An empty section is kept as a heading and not embedded."""
    book, _ = parse("psi.md", GOOD)
    assert [chunk.heading for chunk in chunks(book)] == ["Meaning", "Meaning > A closer look", "Mitigation"]


def test_plain_markdown_is_enough():
    """A file without front matter and without headings is a runbook named after its file."""
    book, complaints = parse("disk-full.md", b"Delete the old logs.")
    assert (book.title, complaints) == ("Disk full", [])
    assert [section.text for section in book.sections] == ["Delete the old logs."]


def test_revision_changes_with_content_alone():
    """The revision is a hash of the bytes: the same bytes have the same revision wherever they lie."""
    one, two, three = parse("a.md", GOOD)[0], parse("b.md", GOOD)[0], parse("a.md", GOOD + b" ")[0]
    assert one.revision == two.revision != three.revision


@pytest.mark.parametrize(
    ("line", "at", "words"),
    [
        ("causs: [unit_change]", 3, "unknown key 'causs' in front matter. Did you mean 'causes'?"),
        ("causes: [unit_chang]", 3, "unknown cause 'unit_chang'. Did you mean 'unit_change'?"),
        ("actions: [drop_database]", 3, "unknown action 'drop_database'. Known: fallback"),
        ("triggers: {signals: [metric]}", 3, "unknown signal 'metric'"),
        ("triggers: [psi]", 3, "triggers is not a mapping"),
        ("success: {signal: psi}", 3, "success does not say when it holds"),
        ("success: {signal: psi, below: lots}", 3, "below is not a number"),
        ("review_every: 90 nights", 3, "review_every is not a duration"),
        ("last_verified: soon", 3, "last_verified is not a date"),
        ("title: again", 3, "key 'title' appears twice"),
        ("owner: '<!channel> everyone'", 3, "is not a handle"),
        ("causes: {a: {b: c}}", 3, "causes is not a short list"),
        ("x: &a [1]\ny: *a", 2, "front matter uses a YAML alias"),
        ("causes: [unit_change", 4, "front matter is not YAML"),
    ],
)
def test_wrong_front_matter_is_named_by_file_and_line(line, at, words):
    """Each mistake in the front matter is named with file, line and remedy."""
    found = errors(f"---\ntitle: T\n{line}\n---\ntext\n".encode())
    assert found, "nothing was complained about"
    assert found[0].startswith(f"a.md:{at}: error: "), found
    assert words in found[0]


def test_wrong_front_matter_loses_every_privilege_and_keeps_the_prose():
    """One unknown id, and none of the front matter counts; the text stays searchable."""
    book, complaints = parse("a.md", b"---\nactions: [rollback]\ncauses: [nonsense]\n---\n## Mitigation\nRoll back.\n")
    assert complaints
    assert book.front == FrontMatter()
    assert book.sections[0].text == "Roll back."


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x89PNG\r\n\x1a\n\xff\xd8", "is not UTF-8"),
        (b"text\x00more", "NUL bytes"),
        (b"# Title\n\n" + b"word " * (1 << 20), "over 512 KiB"),
        (b"", "runbook has no text"),
        (b"---\ntitle: T\nno end", "no closing '---'"),
        (b"---\n" + b"[" * 5_000 + b"\n---\ntext", "front matter"),
    ],
)
def test_an_unreadable_file_is_reported_with_a_remedy(raw, words):
    """Binary, oversized, empty and unclosed files are named with what to do; none raises."""
    assert words in errors(raw)[0]


def test_load_goes_on_past_bad_files(tmp_path):
    """Bad files beside a good one cost nothing but their own line in the report."""
    (tmp_path / "good.md").write_bytes(GOOD)
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "big.md").write_bytes(b"x" * (5 << 20))
    (tmp_path / "README.md").write_text("about this folder")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.md").write_text("hidden")
    library = load(tmp_path)
    assert set(library.runbooks) == {"good.md"}
    assert {complaint.file for complaint in library.complaints} == {"binary.md", "big.md"}


def test_a_missing_folder_is_not_an_empty_library(tmp_path):
    """A typo in the runbook folder's name is an error that says what to set."""
    with pytest.raises(FileNotFoundError, match="set RUNBOOKS"):
        load(tmp_path / "nowhere")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    """A symbolic link cannot bring a file from elsewhere on the machine into the library."""
    root = tmp_path / "runbooks"
    root.mkdir()
    (tmp_path / "secret.md").write_text("secret")
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    assert load(root).runbooks == {}


def test_hidden_characters_do_not_reach_the_text():
    """Bidirectional overrides, zero-width marks and control characters are dropped while reading."""
    book, _ = parse("a.md", "## Me\u202eaning\nROLL\u200bBACK \x1b[31mnow\n".encode())
    assert (book.sections[0].heading, book.sections[0].text) == ("Meaning", "ROLLBACK  [31mnow")


def test_overdue_review_is_told_by_the_day():
    """A runbook is stale the day after its review was due, and never without a promise to review it."""
    front = FrontMatter(last_verified=date(2026, 1, 1), review_every=timedelta(days=90))
    assert not front.stale(date(2026, 4, 1))
    assert front.stale(date(2026, 4, 2))
    assert not FrontMatter(last_verified=date(2001, 1, 1)).stale(date(2026, 4, 2))


@given(st.binary(max_size=2_000))
@settings(max_examples=150, deadline=None)
def test_no_bytes_at_all_can_raise(raw):
    """Whatever the bytes, parsing gives a runbook or a complaint."""
    book, complaints = parse("any.md", raw)
    assert book is not None or complaints


@given(st.text(max_size=400), st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_no_front_matter_at_all_can_raise(front, body):
    """Whatever stands between the fences, parsing gives a runbook or a complaint."""
    book, complaints = parse("any.md", f"---\n{front}\n---\n{body}".encode("utf-8", "replace"))
    assert book is not None or complaints


@given(st.lists(st.text("abc. \n", max_size=60), max_size=12), st.integers(3, 30))
@settings(max_examples=100, deadline=None)
def test_pieces_lose_no_word_and_stay_within_the_limit(parts, limit):
    """Splitting a long section keeps every word, and no piece is longer than the limit."""
    text = "\n".join(parts)
    got = pieces(text, limit)
    assert set(" ".join(got).split()) == set(text.split())
    assert all(len(piece.split()) <= limit for piece in got)


def test_five_hundred_headings_are_cut_with_a_word():
    """More headings than a reader could use are cut and reported."""
    book, complaints = parse("a.md", "".join(f"## H{number}\ntext\n" for number in range(500)).encode())
    assert len(book.sections) == 400
    assert "500 headings" in str(complaints[0])


def test_max_bytes_is_the_documented_half_mebibyte():
    """The limit in the complaint is the limit in force."""
    assert parse("a.md", b"x" * MAX_BYTES)[0] is not None
    assert parse("a.md", b"x" * (MAX_BYTES + 1))[0] is None


def test_a_link_to_itself_and_a_name_that_is_no_text_stop_nobody(tmp_path):
    """A looping link, a dangling one and a file name that is not UTF-8: the rest is read and searched."""
    (tmp_path / "good.md").write_text("# Good\n\nRestart the ingest job.")
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.md")).write_text("# Bad\n\nRestart the ingest job.")
    library = Runbooks(tmp_path)
    library.refresh()
    assert [p.citation.file for p in library.passages("restart the ingest job", asked=True)] == ["good.md"]
    assert [c.what for cs in library.complaints.values() for c in cs] == ["the file's name is not UTF-8"]
