"""Rendering: every block type is drawn, and nothing the app sends becomes markup of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.workspace.compose import composed
from bot.workspace.errors import PersonError
from bot.workspace.forms import action_of, find, objections, state_of
from bot.workspace.html.blocks import block_html, blocks_html
from bot.workspace.html.look import Look
from bot.workspace.html.mrkdwn import markdown, mrkdwn
from bot.workspace.limits import BLOCKS, check_blocks
from bot.workspace.messages import with_ids

LOOK = Look(user=lambda u: {"U0ANA": "Ana Ruiz"}.get(u, u), channel=lambda c: "general", viewer="U0ANA")


def plain(text: str) -> dict:
    return {"type": "plain_text", "text": text}


def say(text: str) -> dict:
    return {"type": "mrkdwn", "text": text}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("*bold* and _it_ and ~no~", "<strong>bold</strong> and <em>it</em> and <del>no</del>"),
        ("a*b*c 2 * 3 * 4 snake_case_name", "a*b*c 2 * 3 * 4 snake_case_name"),
        ("`x < *y*`", "<code>x &lt; *y*</code>"),
        ("```a\n*b*```", "<pre>a\n*b*</pre>"),
        ("&gt; quoted\nnot", "<blockquote>quoted</blockquote>not"),
        ("<@U0ANA>", '<span class="mention me">@Ana Ruiz</span>'),
        ("<!channel>", '<span class="mention all">@channel</span>'),
        ("&lt;script&gt; & <b>", "&lt;script&gt; &amp; b"),
        ("<javascript:alert(1)|click>", "click"),
        ("<!date^0^{date_num} {time}|1970>", 'title="1970">1970-01-01 00:00</time>'),
        ("<!date^nonsense^{time}|then>", "then"),
    ],
)
def test_mrkdwn(given, shown):
    """Slack's markup means what it means in Slack."""
    assert shown in mrkdwn(given, LOOK)


def test_links_open_beside_and_keep_their_text():
    """A labelled link shows its label; a bare one itself without the full stop."""
    assert mrkdwn("<https://e.example/a?b=1&amp;c=2|runbook>", LOOK) == (
        '<a href="https://e.example/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer">runbook</a>'
    )
    assert ">https://e.example/x</a>." in mrkdwn("see https://e.example/x.", LOOK)
    assert "<a " not in mrkdwn("see https://e.example/x.", LOOK, verbatim=True)


OURS = {
    "strong", "em", "del", "s", "code", "pre", "br", "hr", "a", "span", "blockquote", "time", "p", "ul", "ol", "li",
    "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
    "svg", "path", "circle", "rect", "ellipse", "g",
}  # fmt: skip
NASTY = [
    "<", ">", "&lt;", "&gt;", "|", "*", "_", "`", "```", "!", "@", "#", "^", "\n", "<script>", "<img src=x onerror=y>",
    "<@U1>", "<!date^1^{time}^javascript:x|y>", "<javascript:x|y>", "](javascript:x)", "[a", "\ue000", "0\ue001",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(NASTY) | st.text(max_size=6), max_size=14).map("".join)


@given(HOSTILE)
def test_no_text_becomes_markup(text):
    """Whatever text arrives, the output holds no tags but ours and no link that runs a script."""
    for out in (mrkdwn(text, LOOK), markdown(text, LOOK)):
        assert set(re.findall(r"<\s*/?\s*([a-zA-Z][\w-]*)", out)) <= OURS
        assert "onerror=" not in re.sub(r">[^<]*<", "><", f">{out}<")
        assert not re.search(r"""href=["']?\s*javascript""", out, re.I)


def test_markdown_shows_raw_html_and_fetches_no_picture():
    """Raw HTML is text, a Markdown image is its words, a javascript link is none, alignment is a class."""
    out = markdown("<img src=x onerror=alert(1)> ![alt](http://e.example/p.png) [x](javascript:alert(1))", LOOK)
    assert "<img" not in out
    assert "alt" in out
    assert 'href="javascript' not in out
    assert '<td class="right">' in markdown("|a|\n|--:|\n|1|", LOOK)


EXAMPLES: dict[str, dict] = {
    "section": {"text": say("*hi*"), "fields": [say("a")], "accessory": {
        "type": "static_select", "action_id": "s", "options": [{"text": plain("One"), "value": "1"}]}},
    "header": {"text": plain("SEV2")},
    "divider": {},
    "image": {"image_url": "http://127.0.0.1:1/p.png", "alt_text": "drift"},
    "actions": {"elements": [
        {"type": "button", "action_id": "b", "text": plain("Go"), "style": "primary"},
        {"type": "overflow", "action_id": "o", "options": [{"text": plain("More"), "value": "m"}]},
        {"type": "datepicker", "action_id": "d", "initial_date": "2013-03-01"},
    ]},
    "context": {"elements": [say("E1")]},
    "context_actions": {"elements": [{
        "type": "feedback_buttons", "action_id": "f",
        "positive_button": {"text": plain("Right"), "value": "r"},
        "negative_button": {"text": plain("Wrong"), "value": "w"},
    }]},
    "input": {"label": plain("Reason"), "element": {"type": "plain_text_input", "action_id": "r", "multiline": True}},
    "markdown": {"text": "# Title\n**bold**"},
    "rich_text": {"elements": [{"type": "rich_text_list", "style": "bullet", "elements": [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": "one", "style": {"bold": True}}]}]}]},
    "table": {"rows": [[{"type": "raw_text", "text": "h"}], [{"type": "raw_number", "value": 3}]]},
    "data_table": {"caption": "Models", "rows": [
        [{"type": "raw_text", "text": "h"}], [{"type": "raw_text", "text": "v"}]]},
    "data_visualization": {"title": "PSI", "chart": {"type": "line", "series": [
        {"name": "temp", "data": [{"label": "1", "value": 0.1}, {"label": "2", "value": 0.9}]}]}},
    "task_card": {"task_id": "t", "title": "Read telemetry", "status": "in_progress", "details": "window 43"},
    "plan": {"title": "Looking", "tasks": [{"task_id": "t", "title": "One", "status": "complete"}]},
    "alert": {"text": say("careful"), "level": "warning"},
    "card": {"title": say("v2"), "body": say("deployed")},
    "carousel": {"elements": [{"type": "card", "title": say("v2")}]},
    "container": {"title": plain("Evidence"), "child_blocks": [{"type": "section", "text": say("E1")}]},
    "video": {"alt_text": "a", "title": plain("t"), "thumbnail_url": "https://e/x", "video_url": "https://e/v"},
    "file": {"external_id": "x"},
    "call": {"call_id": "R1"},
}  # fmt: skip


def test_there_is_an_example_of_every_block_type():
    """A type that the limits know is drawn in the test below."""
    assert set(EXAMPLES) == set(BLOCKS)


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_every_block_type_is_legal_and_drawn(kind):
    """Each block type passes the limits and shows its words; only calls are shown as not drawn."""
    block = {"type": kind, **EXAMPLES[kind]}
    assert check_blocks([block]) == []
    out = blocks_html(with_ids([block]), LOOK)
    assert ("does not draw" in out) == (kind == "call")
    for words in _plain_words(EXAMPLES[kind]):
        assert words in out


def _plain_words(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "plain_text" else []
        return own + [w for k, v in value.items() if k != "text" for w in _plain_words(v)] + (
            _plain_words(value["text"]) if isinstance(value.get("text"), dict) else []
        )  # fmt: skip
    return [w for v in value for w in _plain_words(v)] if isinstance(value, list) else []


JUNK = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.just([]) | st.just({}) | st.just([1])


def spoilt(draw, value: object) -> object:
    """`value` with one random part replaced by junk or removed."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        changed = {k: v for k, v in value.items() if k != key}
        return changed if draw(st.integers(0, 5)) == 0 else changed | {key: spoilt(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], spoilt(draw, value[at]), *value[at + 1 :]]
    return draw(JUNK)


@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_what_the_limits_let_pass_can_be_drawn(data):
    """A spoilt block is either refused by the limits or drawn: it never breaks the page."""
    kind = data.draw(st.sampled_from(sorted(EXAMPLES)))
    block = {"type": kind, **{k: spoilt(data.draw, v) for k, v in EXAMPLES[kind].items()}}
    if check_blocks([block]) == []:
        assert blocks_html(with_ids([block]), LOOK)
        state_of(with_ids([block]))


def test_an_unknown_block_is_shown_as_such():
    """A type from the future appears with its name and its JSON, escaped."""
    out = block_html({"type": "hologram", "block_id": "b", "text": "<script>"}, LOOK)
    assert "hologram" in out
    assert "&lt;script&gt;" in out


def test_pictures_from_elsewhere_are_not_fetched():
    """An image on another host becomes a link, never an img."""
    out = block_html({"type": "image", "block_id": "b", "image_url": "https://e.example/x.png", "alt_text": "x"}, LOOK)
    assert "<img" not in out
    assert "not fetched" in out


FORM = with_ids(
    [
        {"type": "input", "block_id": "why", "label": plain("Why"),
         "element": {"type": "plain_text_input", "action_id": "reason", "min_length": 10}},
        {"type": "input", "block_id": "n", "label": plain("N"), "optional": True,
         "element": {"type": "number_input", "action_id": "count", "is_decimal_allowed": False, "max_value": "5"}},
        {"type": "input", "block_id": "pick", "label": plain("P"), "optional": True, "element": {
            "type": "multi_static_select", "action_id": "many",
            "options": [{"text": plain("One"), "value": "1"}, {"text": plain("Two"), "value": "2"}],
            "initial_options": [{"text": plain("One"), "value": "1"}]}},
    ]
)  # fmt: skip


def test_state_has_slacks_shape():
    """What is typed, chosen and left alone becomes state.values as Slack sends it."""
    state = state_of(FORM, {"reason": "because of Celsius", "pick": {"many": ["Two"]}})
    assert state["why"]["reason"] == {"type": "plain_text_input", "value": "because of Celsius"}
    assert state["n"]["count"] == {"type": "number_input", "value": None}
    assert [o["value"] for o in state["pick"]["many"]["selected_options"]] == ["2"]
    assert [o["value"] for o in state_of(FORM)["pick"]["many"]["selected_options"]] == ["1"]


@pytest.mark.parametrize(
    ("typed", "block", "said"),
    [
        ({}, "why", "required"),
        ({"reason": "short"}, "why", "at least 10"),
        ({"reason": "long enough", "count": "2.5"}, "n", "whole number"),
        ({"reason": "long enough", "count": "9"}, "n", "at most 5"),
        ({"reason": "long enough", "count": "nine"}, "n", "a number"),
    ],
)
def test_inputs_are_refused_as_slacks_client_does(typed, block, said):
    """Missing, short and non-numeric input is objected to before the app sees it."""
    assert said in objections(FORM, state_of(FORM, typed))[block]


def test_a_button_that_is_gone_says_what_is_there():
    """A stale click is told which actions the message has now."""
    with pytest.raises(PersonError, match=r"no 'approve' here any more \(actions here: count, many, reason\)"):
        find(FORM, "approve")


def test_an_overflow_action_carries_the_chosen_option():
    """block_actions' entry for an overflow names the option and refuses one that is not offered."""
    blocks = with_ids([{"type": "actions", **EXAMPLES["actions"]}])
    block, element = find(blocks, "o")
    assert action_of(block, element, "m", "1.0")["selected_option"]["value"] == "m"
    with pytest.raises(PersonError, match="not one of the options"):
        action_of(block, element, "zzz", "1.0")


def test_typed_text_is_escaped_and_mentions_resolved():
    """@names and #names become ids, everything else is escaped text; rich_text says the same."""
    who = {"@ana": ("user", "U0ANA"), "#general": ("channel", "C0GENERAL")}.get
    text, blocks = composed("<b> @ana & @zoe in #general `x<y` https://e.example/?a&b @here", who)
    assert text == (
        "&lt;b&gt; <@U0ANA> &amp; @zoe in <#C0GENERAL|general> `x&lt;y` <https://e.example/?a&amp;b> <!here>"
    )
    kinds = [e["type"] for e in blocks[0]["elements"][0]["elements"]]
    assert {"user", "channel", "link", "broadcast", "text"} == set(kinds)
