"""One message per incident whatever happens: faults ordered from the workspace, restarts, bursts."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from bot.outbox import Allowance
from bot.workspace.people import labels, text_of
from core.errors import Retry
from core.incidents import changed, mark
from tests.bot import examples as x
from tests.bot.conftest import converse_for, told
from tests.servers import eventually


async def cards(story, who: str = "ana") -> list[dict]:
    """Every card in the channel, oldest first."""
    messages = await story.people.as_user(who).messages("ml-oncall", limit=500)
    return [m for m in messages if (m.get("metadata") or {}).get("event_type") == "middlewatch_incident"]


async def insist(story, incident, within: int = 20) -> None:
    """Deliver as the bus does: again after each Retry."""
    await story.views.put(incident)
    for _ in range(within):
        try:
            await story.converse.on_incident(changed(incident))
            return
        except Retry as wait:
            await asyncio.sleep(min(wait.after, 0.5))
    raise AssertionError("the card never came out")


def test_allowance_refills():
    """An allowance lets a burst through, then one per period; being told to wait empties it for that long."""
    some = Allowance(burst=2, per_second=1)
    assert some.wait(0.0) == 0
    some.take()
    some.take()
    assert some.wait(0.0) == pytest.approx(1.0)
    assert some.wait(1.0) == 0
    some.empty(5)
    assert some.wait(1.0) == pytest.approx(5.0)


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["rate_limit", "error", "lost_answer", "delay"])
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
async def test_faults_make_no_second_message(story, kind, method):
    """429, 500, a lost answer and a delay on posting or editing: in the end one card, showing the latest state."""
    if method == "chat.update":
        await story.show(x.first())
    await story.people.fault(kind, method=method, times=1, seconds=1)
    if method == "chat.postMessage":
        await insist(story, x.first())
    await insist(story, x.diagnosed(at=x.NOW + 9))
    await story.card(lambda m: "Review rollback" in labels(m), timeout=60)
    assert len(await cards(story)) == 1


@pytest.mark.servers
async def test_many_lost_answers_in_a_row(story):
    """Three lost answers to one post leave one card: our metadata is looked for before posting again."""
    await story.people.fault("lost_answer", method="chat.postMessage", times=3)
    await insist(story, x.first())
    assert len(await cards(story)) == 1


@pytest.mark.servers
async def test_restart_continues_the_same_message(story):
    """What changed while nobody was there is shown in the same message after the next start."""
    await story.show(x.first())
    await story.converse.stop()
    await story.views.put(x.diagnosed(at=x.NOW + 9))
    story.converse = converse_for(story.workspace, story.views, story.clock)
    await story.converse.start()
    await story.card(lambda m: "Review rollback" in labels(m))
    assert len(await cards(story)) == 1


@pytest.mark.servers
async def test_crash_between_posting_and_remembering(story):
    """A process that died after posting and before storing the timestamp adopts its message at the next start."""
    await story.show(x.first())
    row = dict(story.views.cards_["inc_1f0c"])
    story.views.cards_["inc_1f0c"] = {
        "channel": row["channel"], "lane": row["lane"], "posting": story.clock() - 1, "poster": "dead",
    }  # fmt: skip
    await insist(story, x.diagnosed(at=x.NOW + 9))
    await story.card(lambda m: "Review rollback" in labels(m))
    assert len(await cards(story)) == 1


@pytest.mark.servers
async def test_refused_blocks_are_reduced(story):
    """A picture that Slack does not know is dropped and the rest of the card shown."""
    await story.show(x.first())
    await eventually(lambda: story.views.cards_.get("picture:inc_1f0c"))
    story.views.cards_["picture:inc_1f0c"]["file"] = "F0NOSUCHFILE"
    await insist(story, x.diagnosed(at=x.NOW + 9))
    shown = await story.card(lambda m: "Review rollback" in labels(m))
    assert "What caused it?" in text_of(shown)


@pytest.mark.servers
async def test_a_deleted_card_is_posted_again(story):
    """A card that somebody deleted comes back once with the next change."""
    first = await story.show(x.first())
    await story.converse.desk.slack.chat_delete(channel=first["channel"], ts=first["ts"])
    await insist(story, x.diagnosed(at=x.NOW + 9))
    await story.card(lambda m: "Review rollback" in labels(m))
    assert len([m for m in await cards(story) if labels(m)]) == 1


@pytest.mark.servers
async def test_edits_that_show_the_same_are_skipped(story):
    """Further alerts that change nothing a reader sees cost no call."""
    incident = x.first()
    await story.show(incident)
    await eventually(lambda: story.views.cards_.get("picture:inc_1f0c"))
    await story.converse.desk.outbox.drain()
    before = (await story.calls()).get("chat.update", 0)
    for n in range(5):
        incident = mark(incident, now=x.NOW + 20 + n, actor="investigate", what="alert again")
        await insist(story, incident)
    await story.converse.desk.outbox.drain()
    assert (await story.calls()).get("chat.update", 0) == before
    assert story.views.cards_["inc_1f0c"]["revision"] == incident.revision


@pytest.mark.servers
async def test_calls_per_incident(story):
    """A whole incident costs one channel message and at most twelve edits."""
    for incident in (x.first(), x.diagnosed(), x.approved(), x.executing(), x.verifying(), x.resolved()):
        await insist(story, incident)
    await story.card(lambda m: "Confirmed" in text_of(m))
    await eventually(lambda: story.views.cards_.get("picture:inc_1f0c"))
    await story.converse.desk.outbox.drain()
    roots = [
        m for m in await story.people.as_user("ana").messages("ml-oncall") if m.get("thread_ts", m["ts"]) == m["ts"]
    ]
    assert len(roots) == 1
    assert (await story.calls())["chat.update"] <= 12


@pytest.mark.servers
async def test_two_processes_one_card(story):
    """A second Slack side on the same stores, given the same event at the same moment, posts nothing of its own."""
    other = converse_for(story.workspace, story.views, story.clock)
    await other.start()
    event = changed(await story.views.put(x.first()))

    async def delivered(side) -> bool:
        with contextlib.suppress(Retry):
            await side.on_incident(event)
            return True
        return False

    await asyncio.gather(*(eventually(lambda side=side: delivered(side)) for side in (story.converse, other)))
    assert len(await cards(story)) == 1
    await other.stop()


@pytest.mark.servers
async def test_cut_socket_comes_back(story):
    """After the sockets are cut the app reconnects and a click is answered; cards go on meanwhile."""
    await story.people.disconnect()
    await story.show(x.first())
    await story.people.wait_connected(30)
    card = await story.card(lambda m: "Acknowledge" in labels(m))
    await story.people.as_user("ben").click(card, "acknowledge")
    await story.card(lambda m: "Acknowledged by" in text_of(m))


@pytest.mark.servers
async def test_slack_away_at_start(tmp_path):
    """With Slack away the start does not fail, the bus is told to come again, and nothing is lost when it returns."""
    async with told(tmp_path) as running:
        await running.people.fault("error", method="auth.test", times=2)
        side = converse_for(running.workspace, running.views, running.clock)
        await side.start(within=0.05)
        with pytest.raises(Retry):
            await side.on_incident(changed(x.first()))
        await asyncio.wait_for(side.connected.wait(), 10)
        await running.views.put(x.first())
        await side.on_incident(changed(x.first()))
        assert len(await cards(running)) == 1
        await side.stop()


@pytest.mark.servers
async def test_a_burst_of_incidents(tmp_path):
    """Twelve incidents at once: one message each, within the channel's rate limit, no duplicate."""
    async with told(tmp_path) as running:
        incidents = [msgspec.structs.replace(x.first(), id=f"inc_{n:03d}") for n in range(12)]
        await asyncio.gather(*(insist(running, i, within=40) for i in incidents))
        shown = await cards(running)
        assert sorted(m["metadata"]["event_payload"]["incident"] for m in shown) == sorted(i.id for i in incidents)


@pytest.mark.servers
async def test_a_private_channel_by_its_name(story):
    """A card goes to a private channel the app was invited to; after a lost answer it is found there, not doubled."""
    team = story.workspace.team
    room = team.create_channel("war-room", private=True)
    for user in ("U0WATCHBOT", "U0ANA"):
        team.join(room, user)
    story.converse.desk.outbox.channel_of = lambda incident: "#war-room"
    await story.people.fault("lost_answer", method="chat.postMessage")
    await insist(story, x.first())
    shown = await story.people.as_user("ana").messages("war-room")
    assert len([m for m in shown if (m.get("metadata") or {}).get("event_type")]) == 1
