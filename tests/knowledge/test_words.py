"""Words, expressions and the lexical index."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import knowledge.query
import knowledge.runbooks
import knowledge.words
from knowledge.lexical import Bm25
from knowledge.query import Query, is_expression, names, understood
from knowledge.words import clean, hidden, words


@pytest.mark.parametrize("module", [knowledge.words, knowledge.query, knowledge.runbooks])
def test_examples_in_docstrings_hold(module):
    """The examples in the docstrings are executed."""
    assert doctest.testmod(module).failed == 0


def test_three_spellings_meet_in_the_same_words():
    """camelCase, snake_case and prose give the same words, so that titles, metrics and alerts find one another."""
    assert words("featurePsiShift") == words("feature_psi_shift") == [*words("feature psi shift"), "featurepsishift"]


def test_hidden_characters_are_found_and_removed():
    """A zero-width space is found where it stands, and gone after cleaning."""
    assert hidden("ab\u200bcd") == [2]
    assert clean("ab\u200bcd") == "abcd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('sum by (pod) (rate(errors_total{job="x"}[5m])) / sum by (pod) (rate(all_total[5m])) > 0.1', True),
        ("absent(up)", True),
        ("feature:psi:max == 0", True),
        ("kubelet_ttl_seconds < 604800", True),
        ("PSI of temp (window 5) is > 3 since the deployment", False),
        ("drift", False),
        ("The queue length within the cycle > 10 for model fraud", False),
    ],
)
def test_expressions_are_told_from_sentences(text, expected):
    """A formula over metrics is told from a sentence that merely holds a number or a sign."""
    assert is_expression(text) is expected


def test_an_expression_is_about_its_metrics_and_label_values():
    """Functions, windows, groupings, label keys and template holes are left out of an expression's names."""
    text = 'sum by (le) (rate(serve_latency_bucket{phase=~"fetch", job="api", ns="{{ $x }}"}[5m]))'
    assert names(text) == "serve latency bucket fetch"


def test_a_mixed_query_is_taken_apart():
    """Label lines are dropped, a last line that asks is the question, and a bare expression is not taken for words."""
    assert understood("Null rate up\nseverity=critical\nWhat is the impact?") == Query(
        "Null rate up", "", "What is the impact?"
    )
    assert understood("up == 0\nseverity=critical") == Query("", "up == 0", "")


def test_rare_words_count_more_than_common_ones():
    """A document with the query's rare word beats one with its common word."""
    index = Bm25()
    for slot, tokens in enumerate([["drift", "psi"], ["drift", "celsius"], ["drift", "nulls"]]):
        index.add(slot, tokens)
    assert int(np.argmax(index.scores({"drift": 1.0, "celsius": 1.0}))) == 1


@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8), min_size=1, max_size=12), st.data())
@settings(max_examples=80, deadline=None)
def test_removal_leaves_no_trace(documents, data):
    """An index after removals scores as one that never held those documents."""
    gone = data.draw(st.sets(st.integers(0, len(documents) - 1)))
    index, fresh = Bm25(), Bm25()
    for slot, tokens in enumerate(documents):
        index.add(slot, tokens)
        if slot not in gone:
            fresh.add(slot, tokens)
    for slot in gone:
        index.remove(slot)
    query = dict.fromkeys("abc", 1.0)
    kept = [slot for slot in range(len(documents)) if slot not in gone]
    assert len(index) == len(kept)
    assert np.allclose(index.scores(query)[kept], fresh.scores(query)[kept], atol=1e-5)
    assert all(math.isclose(index.idf(term), fresh.idf(term)) for term in "abcdef")
