"""The Slack side over Slack's own protocols, against the local workspace: cards, approvals, refusals, conversation."""

from __future__ import annotations

import asyncio

import pytest

from bot.workspace.people import labels, text_of
from core.incidents import changed
from tests.bot import examples as x

pytestmark = pytest.mark.servers


async def review(story, who: str) -> dict:
    """The review dialog, filled, as `who` opened it from the card."""
    card = await story.card(lambda m: "Review rollback" in labels(m))
    hands = story.people.as_user(who)
    await hands.click(card, "Review rollback")
    return await hands.wait_for_view(lambda v: v.get("callback_id") == "approve")


async def dialog(story, who: str, words: str) -> dict:
    return await story.people.as_user(who).wait_for_view(lambda v: words in text_of(v))


async def test_first_card_then_hypothesis_in_place(story):
    """The first card is posted from detector facts; the hypothesis edits the same message, the picture too."""
    first = await story.show(x.first())
    assert "Investigating" in text_of(first)
    await story.show(x.diagnosed(at=x.NOW + 9))
    after = await story.card(
        lambda m: "Review rollback" in labels(m) and any(b["type"] == "image" for b in m["blocks"])
    )
    assert after["ts"] == first["ts"]
    assert "E1" in text_of(after)
    assert (await story.calls())["chat.postMessage"] <= 2  # the card and one line in its thread


async def test_approve_and_be_refused(story):
    """A responder's approval is refused in the dialog; an approver's makes the incident approved."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    view = await review(story, "ben")
    assert "only an approver can approve" in text_of(view)
    await story.people.as_user("ben").submit(view, {"reason": "looks right"})
    refused = await dialog(story, "ben", "You are responder here")
    assert "Not approved" in text_of(refused)
    assert story.views.rows["inc_1f0c"].state == "diagnosed"

    view = await review(story, "ana")
    answer = await story.people.as_user("ana").submit(view, {"reason": "temperatures are in Celsius"})
    assert answer["ok"]
    await dialog(story, "ana", "Approved")
    incident = story.views.rows["inc_1f0c"]
    assert incident.state == "approved"
    assert incident.approvals[0].by.id == "U0ANA"
    assert incident.approvals[0].reason == "temperatures are in Celsius"
    await story.card(lambda m: "waiting to run" in text_of(m))


async def test_two_pairs_of_eyes(story):
    """Where two must approve, one person twice is refused, the other approver is asked with a link."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock(), required=2)))
    ana, chloe = story.people.as_user("ana"), story.people.as_user("chloe")
    await ana.submit(await review(story, "ana"), {"reason": "seen it"})
    await dialog(story, "ana", "1 of 2")
    await story.card(lambda m: "Approved 1/2" in text_of(m))
    asked = await chloe.wait_for_message("your approval is needed", channel="dm")
    assert "Open the card" in text_of(asked)

    await ana.submit(await review(story, "ana"), {"reason": "again"})
    await dialog(story, "ana", "somebody else must be the second pair of eyes")
    await chloe.submit(await review(story, "chloe"), {"reason": "me too"})
    await dialog(story, "chloe", "Approved. It is checked once more")
    assert story.views.rows["inc_1f0c"].state == "approved"


async def test_reason_is_required(story):
    """A blank reason keeps the dialog open with an error under the field."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    view = await review(story, "ana")
    answer = await story.people.as_user("ana").submit(view, {"reason": "   "})
    assert answer["ok"] is False
    assert "reason" in str(answer["errors"]).lower()
    assert story.views.rows["inc_1f0c"].state == "diagnosed"


async def test_a_dialog_is_filled_although_slack_stumbles(story):
    """Two failed updates leave no dialog on "Reading…"; when none gets through the person is told, alone."""
    card = await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    await story.people.fault("error", method="views.update", times=2)
    await review(story, "ana")
    await story.people.fault("error", method="views.update", times=3)
    await story.people.as_user("chloe").click(card, "Review rollback")
    await story.people.as_user("chloe").wait_for_message("could not be filled", channel="dm")


async def test_one_reject_ends_the_proposal(story):
    """Rejecting in the dialog ends the proposal for everyone and leaves the incident open."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    view = await review(story, "ana")
    state = {"reason": "wait for the weather team"}
    await story.people.as_user("ana").click(view, "reject", state=state)
    await dialog(story, "ana", "Rejected")
    incident = story.views.rows["inc_1f0c"]
    assert (incident.state, incident.plan) == ("diagnosed", None)
    card = await story.card(lambda m: "No action is proposed" in text_of(m))
    assert "Review rollback" not in labels(card)


async def test_acknowledge_and_refusal_are_private(story):
    """A viewer's acknowledgement is refused to them alone; a responder's shows on the card."""
    card = await story.show(x.first())
    await story.people.as_user("dev").click(card, "acknowledge")
    told = await story.people.as_user("dev").wait_for_message(lambda m: m["ephemeral"], channel="ml-oncall")
    assert "needs the role responder" in text_of(told)
    await story.people.as_user("ben").click(card, "acknowledge")
    await story.card(lambda m: "Acknowledged by" in text_of(m))
    assert story.views.rows["inc_1f0c"].acknowledged_by == "T0LOCAL/U0BEN"


async def test_not_an_incident(story):
    """Dismissing asks for a reason and ends the incident with it."""
    card = await story.show(x.diagnosed())
    ben = story.people.as_user("ben")
    await ben.click(card, "Not an incident")
    view = await ben.wait_for_view(lambda v: v.get("callback_id") == "dismiss")
    await ben.submit(view, {"reason": "planned by the provider"})
    done = await story.card(lambda m: "Dismissed" in text_of(m))
    assert "planned by the provider" in text_of(done)
    assert story.views.rows["inc_1f0c"].outcome.verdict == "dismissed"


async def test_snooze_shows_what_it_would_have_hidden(story):
    """The snooze dialog previews, follows the choice, and stores a silence under the person's own right."""
    card = await story.show(x.diagnosed())
    ben = story.people.as_user("ben")
    await ben.click(card, "more", "Snooze…")
    view = await ben.wait_for_view(lambda v: v.get("callback_id") == "snooze")
    assert "1 alert in 1 incident" in text_of(view)
    await ben.submit(view, {"seconds": "28800", "scope": "*", "reason": "backfill until noon"})
    await dialog(story, "ben", "Quiet until")
    silence = story.views.silences_[0]
    assert (silence.model, silence.signal, silence.by) == ("flight-delay", "*", "T0LOCAL/U0BEN")
    assert silence.until == pytest.approx(story.clock() + 28_800, abs=30)


async def test_feedback_and_postmortem(story):
    """After the end the card asks whether the cause was right, and drafts a postmortem with the timeline."""
    card = await story.show(x.resolved())
    ben = story.people.as_user("ben")
    await ben.click(card, "Partly")
    view = await ben.wait_for_view(lambda v: v.get("callback_id") == "feedback")
    await ben.submit(view, {"reason": "the provider changed the unit, not us"})
    await dialog(story, "ben", "evaluation case")
    assert story.views.rows["inc_1f0c"].feedback[0].true_cause == "the provider changed the unit, not us"
    assert story.views.counts["ledger:e_detector:partly"] == 1
    await ben.click(await story.card(lambda m: True), "Postmortem")
    thread = await ben.wait_for_message(lambda m: m.get("files"), channel="ml-oncall", thread_ts=card["ts"])
    assert thread["files"][0]["name"] == "postmortem-inc_1f0c.md"


async def test_commands_answer_with_citations(story):
    """`/mw status`, `why`, `incidents` answer the person alone, with where the numbers come from."""
    await story.show(x.diagnosed())
    ben = story.people.as_user("ben")
    for line, words in {
        "/mw status": "flight-delay", "/mw why flight-delay": "E3", "/mw incidents": "inc_1f0c", "/mw help": "silence",
        "/mw audit inc_1f0c": "revision 2", "/mw changes flight-delay": "chg_41", "/mw blast weather": "gate-planner",
        "/mw runbook temperatures in the wrong unit": "5/9", "/mw forecast flight-delay": "No forecast",
        "/mw handoff": "waiting for approval", "/mw wyh flight-delay": "Did you mean",
        "/mw why flight-dealy": "flight-delay", "/mw why nonsense": "I know no model",
    }.items():  # fmt: skip
        before = len(await ben.ephemerals())
        await ben.command("ml-oncall", line)
        told = await ben.wait_for_message(lambda m: m["ephemeral"], channel="ml-oncall")
        while len(await ben.ephemerals()) == before:
            await story.people.get("/people/wait", since=0, timeout=1)
        told = (await ben.ephemerals())[-1]
        assert words in text_of(told), f"{line}: {text_of(told)}"


async def test_mention_streams_an_answer_with_feedback(story):
    """A mention is answered in its thread by a stream that ends with thumbs; thumbs down keeps the question."""
    ben = story.people.as_user("ben")
    asked = await ben.say("general", "@middlewatch why flight-delay")
    answer = await ben.wait_for_message("has had no incident", channel="general", thread_ts=asked["ts"])
    (plan,) = [b for b in answer["blocks"] if b["type"] == "plan"]
    assert [(t["task_id"], t["status"]) for t in plan["tasks"]] == [("understand", "complete"), ("read", "complete")]
    assert plan["tasks"][0]["output"] == "`why flight-delay`"
    await ben.click(answer, "answer_feedback", "Not helpful")
    await ben.wait_for_message("Thank you", channel="general")
    assert story.views.counts["answers:unhelpful"] == 1


async def test_lineage_is_drawn_and_told(story):
    """`lineage` answers with a picture whose alternative text says what feeds the model and what it feeds."""
    ben = story.people.as_user("ben")
    asked = await ben.say("dm", "lineage flight-delay")
    answer = await ben.wait_for_message(
        lambda m: any(b["type"] == "image" for b in m["blocks"]), channel="dm", thread_ts=asked["ts"]
    )
    picture = next(b for b in answer["blocks"] if b["type"] == "image")
    assert "Fed, nearest first, by weather_features (job)" in picture["alt_text"]
    assert "gate-planner" in picture["alt_text"]


async def test_show_draws_a_chart(story):
    """`show temp of flight-delay since 6h` answers with a picture and its alternative text."""
    ben = story.people.as_user("ben")
    asked = await ben.say("dm", "show temp of flight-delay since 6h")
    answer = await ben.wait_for_message(
        lambda m: any(b["type"] == "image" for b in m["blocks"]), channel="dm", thread_ts=asked["ts"]
    )
    image = next(b for b in answer["blocks"] if b["type"] == "image")
    assert "PSI of temp over 7 windows" in image["alt_text"] or "PSI of temp over 6 windows" in image["alt_text"]


async def test_direct_messages_only_read(story):
    """What changes something is refused in a direct message and said to belong into the channel."""
    ben = story.people.as_user("ben")
    asked = await ben.say("dm", "freeze because I say so")
    await ben.wait_for_message("only read", channel="dm", thread_ts=asked["ts"])
    assert "frozen" not in story.views.flags_


async def test_free_text_without_a_model(story):
    """A plain question finds its command by words and says how it was understood; an unclear one offers buttons."""
    ben = story.people.as_user("ben")
    asked = await ben.say("dm", "what changed around flight-delay lately?")
    answer = await ben.wait_for_message("Understood as", channel="dm", thread_ts=asked["ts"])
    assert "chg_41" in text_of(answer)
    asked = await ben.say("dm", "purple monkey dishwasher")
    unsure = await ben.wait_for_message(
        lambda m: m["user"] != "U0BEN" and not m["streaming"] and labels(m), channel="dm", thread_ts=asked["ts"]
    )
    assert labels(unsure)


async def test_steering_from_the_thread(story):
    """Words in the thread of a running investigation become its constraints, under the person's own right."""
    card = await story.show(x.first())
    ben = story.people.as_user("ben")
    await ben.say("ml-oncall", "ignore the deploy, look at the weather feed", thread_ts=card["ts"])
    await ben.wait_for_message("Investigating again with", channel="ml-oncall", thread_ts=card["ts"])
    after = story.views.rows["inc_1f0c"]
    assert after.steering == ["ignore the deploy, look at the weather feed"]
    assert (after.timeline[-1].what, after.timeline[-1].actor) == ("investigate again", "T0LOCAL/U0BEN")


async def test_stopping_from_the_thread(story):
    """ "stop" in the thread ends the investigation; the card says who ended it, and a guest may not."""
    card = await story.show(x.first())
    await story.people.as_user("dev").say("ml-oncall", "stop", thread_ts=card["ts"])
    await story.people.as_user("ben").wait_for_message("Guests, bots", channel="ml-oncall", thread_ts=card["ts"])
    assert story.views.rows["inc_1f0c"].revision == 1
    await story.people.as_user("ben").say("ml-oncall", "please stop", thread_ts=card["ts"])
    stopped = await story.card(lambda m: "stopped by <@U0BEN>" in text_of(m))
    assert "Investigation stopped: needs a person" in text_of(stopped)
    assert len(stopped["text"]) <= 300


async def test_freeze_stops_approvals(story):
    """The kill switch in chat refuses approvals until an admin thaws."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    ana = story.people.as_user("ana")
    view = await review(story, "ana")
    await ana.command("ml-oncall", "/mw freeze something smells")
    await ana.wait_for_message("Frozen by", channel="ml-oncall")
    await ana.submit(view, {"reason": "go"})
    await dialog(story, "ana", "frozen")
    assert story.views.rows["inc_1f0c"].state == "diagnosed"


async def test_an_approver_takes_a_version_as_usual(story):
    """A responder is refused; an approver's word is kept with its reason, for the audit log too; not while frozen."""
    await story.show(x.diagnosed())
    ana, ben = story.people.as_user("ana"), story.people.as_user("ben")
    await ben.command("ml-oncall", "/mw rebaseline flight-delay 2 looks fine")
    await ben.wait_for_message("needs the role approver", channel="ml-oncall")
    await ana.command("ml-oncall", "/mw rebaseline flight-delay 2")
    await ana.wait_for_message("Say the model, the version and why", channel="ml-oncall")
    await ana.command("ml-oncall", "/mw rebaseline flight-delai version 2 new weather source")
    await ana.wait_for_message("moved on purpose; its next rows become its baseline", channel="ml-oncall")
    [kept] = story.views.rebaselines_.values()
    assert (kept.tenant, kept.model, kept.version, kept.by) == ("acme", "flight-delay", "2", "T0LOCAL/U0ANA")
    entry = story.views.rows["inc_1f0c"].timeline[-1]
    assert (entry.what, entry.reason, entry.actor) == (
        "approved a new baseline for flight-delay version 2", "new weather source", "T0LOCAL/U0ANA",
    )  # fmt: skip
    await ana.command("ml-oncall", "/mw rebaseline flight-delay 77 next week's release")
    await ana.wait_for_message("it has not served yet", channel="ml-oncall")
    await ana.command("ml-oncall", "/mw freeze something smells")
    await ana.wait_for_message("Frozen by", channel="ml-oncall")
    await ana.command("ml-oncall", "/mw rebaseline flight-delay 78 hurry")
    await ana.wait_for_message("frozen, and so are approvals", channel="ml-oncall")
    assert [version for _, _, version in story.views.rebaselines_] == ["2", "77"]


async def test_home(story):
    """App Home shows what waits for me, open incidents, models and Middlewatch itself; a guest sees nothing."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    ana = story.people.as_user("ana")
    await ana.open_home()
    home = await ana.wait_for_home(lambda v: "Waiting for you (1)" in text_of(v))
    for words in ("Open incidents (1)", "flight-delay", "Middlewatch itself", "you are approver", "unit-change.md"):
        assert words in text_of(home)
    assert "Your stale runbooks" in text_of(home)  # Ana is on call; Chloé is not
    await story.people.as_user("chloe").open_home()
    others = text_of(await story.people.as_user("chloe").wait_for_home())
    assert "Stale runbooks" in others
    assert "Your stale" not in others
    await story.people.as_user("dev").open_home()
    guest = await story.people.as_user("dev").wait_for_home()
    assert "flight-delay" not in text_of(guest)


async def test_events_delivered_twice_count_once(story):
    """A redelivered event is acked and does nothing; two deliveries of an incident make one card."""
    await story.people.fault("duplicate", method="events_api")
    ben = story.people.as_user("ben")
    asked = await ben.say("general", "@middlewatch status")
    await ben.wait_for_message("Open incidents", channel="general", thread_ts=asked["ts"])
    event = changed(await story.views.put(x.first()))
    await asyncio.gather(*(story.converse.on_incident(event) for _ in range(3)))
    messages = await ben.messages("ml-oncall")
    assert len([m for m in messages if (m.get("metadata") or {}).get("event_type")]) == 1
    replies = await ben.messages("general", thread_ts=asked["ts"])
    assert len([m for m in replies if m["user"] != "U0BEN"]) == 1
