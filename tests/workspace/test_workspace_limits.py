"""Slack's limits, one row each: at the limit it passes, one beyond it is refused with the pointer Slack gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.workspace.errors import PersonError, SlackError
from bot.workspace.faults import Faults
from bot.workspace.limits import check_blocks, check_view
from bot.workspace.manifest import ManifestError, read_manifest
from bot.workspace.person import Person, people_of
from bot.workspace.rates import Rates
from bot.workspace.store import Store
from bot.workspace.tickets import Tickets


def plain(text: str) -> dict:
    return {"type": "plain_text", "text": text}


def option(value: str = "v", text: str = "t") -> dict:
    return {"text": plain(text), "value": value}


def button(**more) -> dict:
    return {"type": "button", "action_id": "a", "text": plain("ok"), **more}


def row(element: dict) -> dict:
    return {"type": "actions", "elements": [element]}


def ask(**more) -> dict:
    return {"title": plain("t"), "text": plain("t"), "confirm": plain("y"), "deny": plain("n"), **more}


def section(text: str) -> dict:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def table(rows: int, columns: int) -> dict:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * columns] * rows}


def thumbs(n: int) -> dict:
    buttons = [
        {"type": "icon_button", "action_id": f"a{i}", "icon": "trash", "text": plain("x")} for i in range(n)
    ]  # fmt: skip
    return {"type": "context_actions", "elements": buttons}


def select(n: int) -> dict:
    return row({"type": "static_select", "action_id": "a", "options": [option(str(i)) for i in range(n)]})


def overflow(n: int) -> dict:
    return row({"type": "overflow", "action_id": "a", "options": [option(str(i)) for i in range(n)]})


LIMITS = [
    ("section text 3,000", lambda n: [section("x" * n)], 3000, "/blocks/0/text/text"),
    ("10 fields", lambda n: [{"type": "section", "fields": [plain("f")] * n}], 10, "/blocks/0/fields"),
    ("field text 2,000", lambda n: [{"type": "section", "fields": [plain("f" * n)]}], 2000, "/blocks/0/fields/0/text"),
    ("header 150", lambda n: [{"type": "header", "text": plain("h" * n)}], 150, "/blocks/0/text/text"),
    ("50 blocks", lambda n: [{"type": "divider"}] * n, 50, "/blocks"),
    ("markdown 12,000", lambda n: [{"type": "markdown", "text": "m" * n}], 12000, "/blocks/0/text"),
    ("25 in actions", lambda n: [{"type": "actions", "elements": [button(action_id=str(i)) for i in range(n)]}], 25,
     "/blocks/0/elements"),
    ("10 in context", lambda n: [{"type": "context", "elements": [plain("c")] * n}], 10, "/blocks/0/elements"),
    ("5 in context_actions", lambda n: [thumbs(n)], 5, "/blocks/0/elements"),
    ("button text 75", lambda n: [row(button(text=plain("b" * n)))], 75, "/blocks/0/elements/0/text/text"),
    ("button value 2,000", lambda n: [row(button(value="v" * n))], 2000, "/blocks/0/elements/0/value"),
    ("action_id 255", lambda n: [row(button(action_id="a" * n))], 255, "/blocks/0/elements/0/action_id"),
    ("block_id 255", lambda n: [{"type": "divider", "block_id": "b" * n}], 255, "/blocks/0/block_id"),
    ("confirm title 100", lambda n: [row(button(confirm=ask(title=plain("t" * n))))], 100,
     "/blocks/0/elements/0/confirm/title/text"),
    ("confirm text 300", lambda n: [row(button(confirm=ask(text=plain("t" * n))))], 300,
     "/blocks/0/elements/0/confirm/text/text"),
    ("confirm buttons 30", lambda n: [row(button(confirm=ask(deny=plain("t" * n))))], 30,
     "/blocks/0/elements/0/confirm/deny/text"),
    ("100 options", lambda n: [select(n)], 100, "/blocks/0/elements/0/options"),
    ("overflow 5", lambda n: [overflow(n)], 5, "/blocks/0/elements/0/options"),
    ("option text 75", lambda n: [row({"type": "overflow", "action_id": "a", "options": [option(text="o" * n)]})], 75,
     "/blocks/0/elements/0/options/0/text/text"),
    ("100 table rows", lambda n: [table(n, 2)], 100, "/blocks/0/rows"),
    ("20 table cells", lambda n: [table(2, n)], 20, "/blocks/0/rows/0"),
    ("alt text 2,000", lambda n: [{"type": "image", "image_url": "http://127.0.0.1/x", "alt_text": "a" * n}], 2000,
     "/blocks/0/alt_text"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "most", "pointer"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS])
def test_a_limit_holds_exactly(make, most, pointer):
    """What Slack allows passes, and one more is refused at the very place."""
    assert check_blocks(make(most)) == []
    assert any(f"[json-pointer:{pointer}]" in m for m in check_blocks(make(most + 1)))


def view(**more) -> dict:
    return {"type": "modal", "title": plain("t"), "blocks": [], **more}


@pytest.mark.parametrize(
    ("make", "most", "pointer"),
    [
        (lambda n: view(title=plain("t" * n)), 24, "/view/title/text"),
        (lambda n: view(submit=plain("t" * n)), 24, "/view/submit/text"),
        (lambda n: view(close=plain("t" * n)), 24, "/view/close/text"),
        (lambda n: view(private_metadata="p" * n), 3000, "/view/private_metadata"),
        (lambda n: view(callback_id="c" * n), 255, "/view/callback_id"),
        (lambda n: view(blocks=[{"type": "divider"}] * n), 100, "/view/blocks"),
    ],
)
def test_a_views_limit_holds_exactly(make, most, pointer):
    """Titles and buttons of 24, metadata of 3,000 and 100 blocks are the last that pass."""
    assert check_view(make(most)) == []
    assert any(f"[json-pointer:{pointer}]" in m for m in check_view(make(most + 1)))


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ("no list", "must be an array"),
        ([{"type": "hologram"}], "unsupported type: hologram"),
        ([{"type": "section"}], "must define either `text` or `fields`"),
        ([section("")], "must be more than 0 characters"),
        ([row({"type": "plain_text_input", "action_id": "a"})], "unsupported type: plain_text_input"),
        ([{"type": "image", "alt_text": "a"}], "exactly one of `image_url` and `slack_file`"),
        ([{"type": "divider", "block_id": "b"}] * 2, "block_id `b` already exists"),
        ([{"type": "actions", "elements": [button(), button()]}], "already exists for other actions"),
        ([table(1, 1), table(1, 1)], "only one table"),
        ([row(button(style="purple"))], "must be one of primary, danger"),
    ],
)
def test_wrong_blocks_are_named(blocks, said):
    """What is not a length is refused in words too."""
    assert said in " ".join(check_blocks(blocks))


def test_a_modal_with_inputs_needs_a_submit_button():
    """Slack refuses input blocks in a modal that cannot be submitted."""
    one = {"type": "input", "label": plain("l"), "element": {"type": "plain_text_input", "action_id": "a"}}
    assert "submit" in " ".join(check_view(view(blocks=[one])))
    assert check_view(view(blocks=[one], submit=plain("ok"))) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "text", "elements", "fields", "accessory", "element", "rows", "confirm", "options", "title"]
    ), inner | st.sampled_from(["section", "actions", "button", "table", "input", "overflow", "image"]), max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(JSON, max_size=4))
def test_no_json_breaks_the_checker(blocks):
    """Any JSON at all is answered with a list of findings and never with an exception."""
    assert isinstance(check_blocks(blocks), list)


def test_posting_is_about_one_a_second_with_a_burst():
    """Five messages pass at once, the sixth waits a second, other channels are not held up."""
    rates = Rates()
    assert [rates.retry_after("chat.postMessage", "C1", 100.0) for _ in range(6)] == [0] * 5 + [1]
    assert rates.retry_after("chat.postMessage", "C2", 100.0) == 0
    assert rates.retry_after("chat.postMessage", "C1", 101.1) == 0


def test_a_tier_three_method_passes_fifty_times_a_minute():
    """chat.update's fifty-first call within a minute is told to wait."""
    rates = Rates()
    assert sum(rates.retry_after("chat.update", "C1", 5.0) > 0 for _ in range(51)) == 1


def test_triggers_and_response_urls_run_out(tmp_path):
    """A trigger works once and for 3 s; a response URL 5 times and for 30 min."""
    now = [1000.0]
    tickets = Tickets(Store(tmp_path / "t.sqlite"), lambda: now[0])
    trigger = tickets.trigger("U1")
    assert tickets.redeem(trigger) == "U1"
    with pytest.raises(SlackError, match="exchanged_trigger_id"):
        tickets.redeem(trigger)
    late = tickets.trigger("U1")
    now[0] += 3.5
    with pytest.raises(SlackError, match="expired_trigger_id"):
        tickets.redeem(late)
    key = tickets.response_url("C1", "U1")
    for _ in range(5):
        tickets.respond(key)
    with pytest.raises(SlackError, match="used_url"):
        tickets.respond(key)
    old = tickets.response_url("C1", "U1")
    now[0] += 1801
    with pytest.raises(SlackError, match="expired_url"):
        tickets.respond(old)


def test_a_fault_is_used_up():
    """An order for two calls of one method touches neither a third call nor another method."""
    faults = Faults()
    faults.order("error", "chat.update", times=2)
    assert faults.take("chat.postMessage", "error") is None
    assert [bool(faults.take("chat.update", "error")) for _ in range(3)] == [True, True, False]
    with pytest.raises(PersonError, match="is not one of"):
        faults.order("meteor")


def test_an_unreadable_manifest_names_the_file_and_the_place(tmp_path):
    """Wrong YAML and wrong types say which file and what was expected."""
    path = tmp_path / "manifest.yaml"
    path.write_text("features: [1]")
    with pytest.raises(ManifestError, match=r"manifest\.yaml: features is list, expected a mapping"):
        read_manifest(path)
    path.write_text("a: [")
    with pytest.raises(ManifestError, match="not YAML"):
        read_manifest(path)


def test_people_are_checked():
    """Names that would make two equal ids, or no id, are refused by name."""
    with pytest.raises(ValueError, match="two people are called 'ana'"):
        people_of([Person("ana"), {"name": "ana"}])
    with pytest.raises(ValueError, match="'Ana B'"):
        Person("Ana B")
    with pytest.raises(ValueError, match="kind 'robot'"):
        Person("rob", kind="robot")
