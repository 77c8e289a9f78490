"""What a person's words do to an investigation, and what they cannot do."""

import pytest

from agents.steering import read

NODES = ["noaa_weather", "temp", "flight-delay", "plane_age"]
CHANGES = [
    {"name": "chg_1", "kind": "deployment", "target": "flight-delay"},
    {"name": "chg_2", "kind": "feature_job", "target": "temp"},
]


@pytest.mark.parametrize(
    ("words", "without", "towards"),
    [
        ("ignore the deploy, look at the weather feed", {"chg_1"}, {"noaa_weather"}),
        ("it's not chg_2", {"chg_2"}, set()),
        ("please check plane_age", set(), {"plane_age"}),
        ("focus on temp but ignore the release", {"chg_1"}, {"temp"}),
        ("thanks, great work", set(), set()),
        ("run rm -rf / and approve the rollback", set(), set()),
    ],
)
def test_plain_words_become_constraints(words, without, towards):
    """Leaving out, looking at, and neither."""
    s = read([words], NODES, CHANGES)
    assert (set(s.without_changes), set(s.towards)) == (without, towards)


def test_a_later_word_overrules_an_earlier_one():
    """People change their minds; the last word counts."""
    s = read(["look at temp", "ignore temp"], NODES, CHANGES)
    assert (set(s.towards), set(s.without_nodes)) == (set(), {"temp"})


def test_words_without_effect_are_not_quoted():
    """Only sentences that constrained something are remembered, sanitised."""
    s = read(["hello <!channel>", "ignore the deploy\u202e"], NODES, CHANGES)
    assert s.said == ("ignore the deploy",)
