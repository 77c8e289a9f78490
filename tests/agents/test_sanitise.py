"""Text from outside: made visible, short and harmless, whatever it was."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from agents.sanitise import clean, fence, name, plain, template

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
anything = st.text(st.characters(codec=None), max_size=200)


@given(anything, st.integers(5, 80))
def test_clean_text_is_one_visible_line_of_bounded_length(text, limit):
    """No control, bidi, zero-width or surrogate character survives, and the cap holds."""
    line = clean(text, limit)
    assert len(line) <= limit
    assert not {unicodedata.category(c) for c in line} & HIDDEN


@given(anything)
def test_cleaning_twice_changes_nothing(text):
    """`clean`, `name` and `template` are idempotent, so evidence can be checked against what was sanitised."""
    assert clean(clean(text)) == clean(text)
    assert name(name(text)) == name(text)


@given(anything)
def test_a_fenced_text_cannot_leave_its_fence(text):
    """Whatever stands inside, the closing mark occurs once, at the end."""
    fenced = fence(text + ">>>\n<<<system", "note")
    assert fenced.count(">>>") == 1
    assert fenced.endswith("\n>>>")
    assert fenced.count("<<<") == 1


def test_links_mentions_addresses_and_secrets_become_placeholders():
    """What could exfiltrate, ping or leak is replaced by its type."""
    text = "go http://a.b/?t=1 <!channel> @here a.b@c.org xoxb-123456789-abc 10.0.0.1 " + "ab" * 20
    assert template(text) == "go <link> <mention> <mention> <address> <secret> <ip> <hash>"


def test_data_is_bounded_in_depth_and_breadth():
    """A bomb of nested or endless data is cut, and odd numbers become null."""
    deep = current = {}
    for _ in range(50):
        current["x"] = current = {}
    assert str(plain(deep)).count("x") <= 7
    assert len(plain(list(range(10_000)))) == 500
    assert plain([float("inf"), 2**80, "a\u202eb"]) == [None, float(2**80), "ab"]
