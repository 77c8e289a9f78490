"""Rules of cards, dialogs and approvals that no other test holds: coalescing, light dialogs, times, links, digests."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

import bot
from bot.actions import Actions
from bot.charts import worth_drawing
from bot.conversation.freetext import Words, understand
from bot.conversation.look import health
from bot.modals import review
from bot.outbox import Outbox
from bot.workspace.people import text_of
from core.approval import nonce_row
from core.errors import Unavailable
from tests.bot import examples as x
from tests.bot.ports import Views
from tests.bot.test_cards import GALLERY, drawn


class Message:
    """A card that is out already; `shown` are the revisions it was edited to."""

    def __init__(self) -> None:
        self.shown: list[int] = []
        self.cards = self

    async def card(self, incident_id: str):
        return {"ts": "1.1", "lane": "#ml-oncall"}

    async def show(self, lane: str, incident):
        self.shown.append(incident.revision)
        return incident

    async def has_news(self, incident) -> bool:
        return False


async def test_edits_wait_for_one_another_and_a_state_change_for_nothing():
    """Five quiet changes within the pause cost no edit; a change of state is one edit, at once, showing the latest."""
    message, incident = Message(), x.diagnosed()
    outbox = Outbox(message, lambda i: "#ml-oncall", coalesce=3_600)
    for n in range(5):
        await outbox.show(msgspec.structs.replace(incident, revision=10 + n), urgent=False)
    assert (message.shown, outbox.waiting()) == ([], 1)
    await asyncio.wait_for(outbox.show(msgspec.structs.replace(incident, revision=15), urgent=True), 60)
    assert message.shown == [15]
    await outbox.stop()


async def test_a_dialog_opens_before_anything_is_looked_up():
    """Who clicked is asked of Slack only while a light dialog stands open already: the trigger lives three seconds."""
    views, opened, filled = Views(), asyncio.Event(), []
    incident = await views.put(x.diagnosed())
    value = await views.issue(nonce_row(incident, "dismiss"), ttl=60)

    class Slack:
        async def views_open(self, trigger_id, view):
            assert "Reading" in text_of(view)
            opened.set()
            return {"view": {"id": "V1"}}

        async def views_update(self, view_id, view, **_):
            filled.append((view_id, text_of(view)))
            return {"ok": True}

    async def person(team, user):
        await opened.wait()
        return x.BEN

    people = SimpleNamespace(person=person)
    desk = SimpleNamespace(slack=Slack(), nonces=views, incidents=views, people=people, policy=x.policy())
    body = {"user": {"id": "U0BEN", "team_id": "T0LOCAL"}, "trigger_id": "t", "actions": [{"value": value}]}
    await asyncio.wait_for(Actions(desk).on_dismiss(_ack, body), 60)
    [(view, words)] = filled
    assert view == "V1"
    assert "Why is it not an incident?" in words


async def _ack(**_) -> None:
    """Slack is content."""


def test_the_review_says_all_that_must_be_known_before_a_yes():
    """Plan, versions, diff, undo, success test, who else must approve, expiry, and a reason that is not optional."""
    plan = x.plan(required=2)
    view = review(x.diagnosed(p=plan), plan, x.policy(), "nonce", "approver")
    text = json.dumps(view, ensure_ascii=False)
    for said in (
        plan.summary, plan.undo, "- version: 2", "+ version: 1", "fresh rows of version 1", "0 of 2", "*Expires*",
        "2 different people must approve", plan.digest[:12], plan.policy_version[:12],
    ):  # fmt: skip
        assert said in text, said
    reason = next(b for b in view["blocks"] if b["type"] == "input")
    assert not reason.get("optional")
    assert view["private_metadata"] == "nonce"


def test_a_button_stands_for_a_row_that_no_model_wrote():
    """Behind a nonce are the incident, the plan's digest and the purpose, and nothing else."""
    incident = x.diagnosed()
    row = nonce_row(incident, "review")
    assert row == {"incident": incident.id, "digest": incident.plan.digest, "purpose": "review"}


@pytest.mark.parametrize("which", GALLERY)
def test_times_are_the_readers_own_with_utc_beside(which: str):
    """Every moment on a card is Slack's date with its UTC reading as the fallback."""
    moments = re.findall(r"<!date[^>]*>", json.dumps(drawn(GALLERY[which]).blocks))
    assert moments
    assert all(re.fullmatch(r"<!date\^\d+\^[^|]+\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>", m) for m in moments)


def test_no_message_unfurls_links():
    """Each call that posts a message says `unfurl_links=False`: nothing is fetched into a channel."""
    calls = [
        (path.name, call)
        for path in Path(bot.__file__).parent.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".chat_postMessage")
    ]
    assert len(calls) >= 5
    for name, call in calls:
        assert "unfurl_links=False" in [f"{k.arg}={ast.unparse(k.value)}" for k in call.keywords], name


def test_nothing_to_see_is_not_drawn():
    """Without shapes and without windows of the signal there is no picture; either of them is worth one."""
    bare = x.detection("quality:auc", reference_histogram=None, current_histogram=None)
    assert not worth_drawing(bare, x.windows())
    assert worth_drawing(x.detection(), [])
    assert worth_drawing(x.detection(reference_histogram=None), x.windows())


@pytest.mark.parametrize(
    "change",
    [
        {"action": "fallback"}, {"parameters": {"from": "2", "to": "0"}}, {"evidence_digest": "0" * 64},
        {"policy_version": "other"}, {"created": x.NOW + 1}, {"required": 2}, {"undo": "nothing"},
        {"success": msgspec.structs.replace(x.plan().success, signal="score")},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_an_approval_is_for_exactly_what_was_shown(change: dict):
    """Action, parameters, evidence, policy, success test: whatever differs, the digest differs."""
    plan = x.plan()
    assert msgspec.structs.replace(plan, **change).digest != plan.digest
    assert msgspec.structs.replace(plan).digest == plan.digest


async def test_a_language_model_calls_a_command_that_reads():
    """With a language model the command it calls is what was understood; of those that write it is shown none."""

    class Model:
        name = "model"

        async def choose(self, system, user, tools, *, timeout):
            assert not {"silence", "ack", "freeze", "thaw", "rebaseline"} & set(tools)
            return "changes", Words(words="flight-delay")

    desk = SimpleNamespace(llm=Model())
    assert (await understand(desk, "did anybody touch it?", None)).text == "changes flight-delay"


@pytest.mark.parametrize(
    ("found", "words"),
    [((3, 0), "3 messages waiting, 0 dead letters"), ((0, 2), "2 dead letters (`python -m bot dead` says why)"),
     (Unavailable("away"), "the message bus does not answer")],
)  # fmt: skip
async def test_middlewatch_says_how_it_is_itself(found, words: str):
    """Home and `status` say what waits, what could not be read, and how often the cause stayed open."""

    async def backlog():
        if isinstance(found, Exception):
            raise found
        return found

    views = Views()
    await views.put(x.abstention())
    outbox, policy = SimpleNamespace(waiting=lambda: 0), SimpleNamespace(frozen=False)
    desk = SimpleNamespace(flags=views, incidents=views, outbox=outbox, backlog=backlog, rules=_given(policy))
    told = await health(desk)
    assert words in told
    assert "not sure of the cause in 1 of 1 incidents" in told


def _given(value):
    async def given():
        return value

    return given


@pytest.mark.servers
async def test_writing_commands_in_the_channel(story):
    """`silence` shows what it would have hidden, `ack` is kept, and `thaw` needs an admin."""
    await story.show(x.diagnosed())
    ben = story.people.as_user("ben")
    await ben.command("ml-oncall", "/mw silence flight-delay 2h planned backfill")
    told = await ben.wait_for_message("What this would have hidden", channel="ml-oncall")
    assert "1 alert in 1 incident" in text_of(told)
    assert [(s.model, s.reason) for s in story.views.silences_] == [("flight-delay", "planned backfill")]
    await ben.command("ml-oncall", "/mw ack inc_1f0c")
    await ben.wait_for_message("Acknowledged `inc_1f0c`", channel="ml-oncall")
    assert story.views.rows["inc_1f0c"].acknowledged_by == "T0LOCAL/U0BEN"
    await story.views.set_flag("frozen", b"{}")
    await ben.command("ml-oncall", "/mw thaw")
    await ben.wait_for_message("needs the role admin", channel="ml-oncall")
    assert "frozen" in story.views.flags_
