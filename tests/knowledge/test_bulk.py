"""Ranking a benchmark in bulk: files in, a TREC run out. By words alone, so that it needs no model."""

import json

import pytest

from knowledge.bulk import BulkError, run

BOOKS = [
    {"_id": "a/Unit", "title": "UnitChange", "source": "a", "text": "# UnitChange\nTemperatures in Celsius."},
    {"_id": "a/Late", "title": "LateLabels", "source": "a", "text": "# LateLabels\nChargebacks have not arrived."},
    {"_id": "b/Unit", "title": "UnitOfB", "source": "b", "text": "# UnitOfB\nTemperatures in Celsius, Celsius."},
    {"_id": "b/Odd", "text": ""},
]
PARTS = [
    {
        "_id": "a/Unit#00",
        "doc_id": "a/Unit",
        "heading": "UnitChange > Meaning",
        "level": 2,
        "text": "## Meaning\nCelsius.",
    },
    {"_id": "a/Unit#01", "doc_id": "a/Unit", "heading": "UnitChange > Mitigation", "level": 2, "text": "Roll back."},
    {"_id": "a/Unit#02", "doc_id": "a/Unit", "heading": "UnitChange > Empty", "level": 2, "text": "", "empty": True},
]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def ranked(tmp_path, queries, **how):
    """query id -> [(id, score)], read back from the run as an evaluator reads it."""
    corpus, sections = lines(tmp_path / "corpus.jsonl", BOOKS), lines(tmp_path / "sections.jsonl", PARTS)
    asked, out = lines(tmp_path / "queries.jsonl", queries), tmp_path / "run.trec"
    assert run(corpus, sections, asked, out, vectors=None, **how) == len(queries)
    found: dict[str, list[tuple[str, float]]] = {}
    for line in out.read_text("utf-8").splitlines():
        query, _, name, place, score, _ = line.split()
        found.setdefault(query, []).append((name, float(score)))
        assert int(place) == len(found[query])
    return found


def test_every_document_is_ranked_with_a_falling_score(tmp_path):
    """Each query lists each runbook once, best first, and the scores say the same as the places."""
    (rows,) = ranked(tmp_path, [{"_id": "q", "text": "chargebacks have not arrived\nseverity=critical"}]).values()
    assert rows[0][0] == "a/Late"
    assert sorted(name for name, _ in rows) == sorted(book["_id"] for book in BOOKS)
    assert [score for _, score in rows] == sorted((score for _, score in rows), reverse=True)
    assert len({score for _, score in rows}) == len(rows)


def test_a_querys_own_project_comes_first_unless_told_otherwise(tmp_path):
    """An alert is answered by its project's runbooks; `everywhere` ranks all alike."""
    query = {"_id": "q", "text": "temperatures in Celsius, Celsius", "source": "a"}
    assert [name for name, _ in ranked(tmp_path, [query])["q"]][:2] == ["a/Unit", "a/Late"]
    both = [name for name, _ in ranked(tmp_path, [query], everywhere=True)["q"]][:2]
    assert sorted(both) == ["a/Unit", "b/Unit"]


def test_a_question_is_answered_with_sections(tmp_path):
    """A text that ends in a question lists sections, those of the best runbook first; an empty one is not listed."""
    found = ranked(tmp_path, [{"_id": "q", "text": "UnitChange Celsius\nWhat is the mitigation?", "source": "a"}])["q"]
    assert found[0][0] == "a/Unit#01"
    assert "a/Unit#02" not in [name for name, _ in found]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("not json", r"queries\.jsonl:2: not JSON"),
        ("[1]", r"queries\.jsonl:2: no text in _id, text\. Each line needs _id, text"),
        ('{"_id": "x", "text": 7}', r"queries\.jsonl:2: no text in text"),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad, words):
    """File, line and what each line needs."""
    corpus = lines(tmp_path / "corpus.jsonl", BOOKS)
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"_id": "q", "text": "t"}\n' + bad + "\n")
    with pytest.raises(BulkError, match=words):
        run(corpus, None, queries, tmp_path / "run", vectors=None)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """The path and what to do."""
    with pytest.raises(BulkError, match=r"none\.jsonl: cannot be read: No such file"):
        run(tmp_path / "none.jsonl", None, tmp_path / "q", tmp_path / "run", vectors=None)
