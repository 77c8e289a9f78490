"""Socket Mode and interactivity seen by an unmodified Bolt AsyncApp."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from workspace_parts import actions, button, reason_modal, refused, section

from bot.workspace import APP_TOKEN, BOT_TOKEN, serve
from bot.workspace.errors import PersonError
from bot.workspace.people import gather, labels, text_of

pytestmark = pytest.mark.servers


async def test_click_modal_errors_and_submit(bolt_app, connect, people, client):
    """Button, views.open, inline errors, update in place: the whole interactive round trip over Socket Mode."""
    seen: list[dict] = []

    @bolt_app.action("review")
    async def on_review(ack, body, client):
        await ack()
        seen.append(body)
        await client.views_open(trigger_id=body["trigger_id"], view=reason_modal(private_metadata="n0nce"))

    @bolt_app.view("review")
    async def on_submit(ack, body, view, client):
        reason = view["state"]["values"]["why"]["reason"]["value"]
        if len(reason) < 10:
            await ack(response_action="errors", errors={"why": "Say more."})
            return
        await ack()
        assert view["private_metadata"] == "n0nce"
        message = seen[0]["message"]
        await client.chat_update(
            channel=seen[0]["channel"]["id"], ts=message["ts"], text=f"approved: {reason}", blocks=[section(reason)]
        )

    async with connect(bolt_app):
        ana = people.as_user("ana")
        await client.chat_postMessage(
            channel="ml-oncall", text="card", blocks=[section("drift"), actions(button("review", "Review rollback"))]
        )
        card = await ana.wait_for_message(lambda m: "Review rollback" in labels(m), channel="ml-oncall")
        await ana.click(card, "Review rollback")
        view = await ana.wait_for_view()
        assert (await ana.submit(view, {"reason": ""}))["errors"] == {"why": "Please complete this required field."}
        assert (await ana.submit(view, {"reason": "short"}))["errors"] == {"why": "Say more."}
        assert (await ana.submit(view, {"reason": "temperatures are Celsius"}))["ok"]
        changed = await ana.wait_for_message("approved: temperatures are Celsius", channel="ml-oncall")
        assert changed["ts"] == card["ts"]
        assert changed["edits"] == 1
        assert await ana.views() == []
    body = seen[0]
    assert body["user"]["id"] == "U0ANA"
    assert body["container"] == {
        "type": "message", "message_ts": card["ts"], "channel_id": "C0MLONCALL", "is_ephemeral": False,
    }  # fmt: skip
    assert body["actions"][0]["block_id"] == body["message"]["blocks"][1]["block_id"]


async def test_a_trigger_opens_one_view_within_three_seconds(tmp_path, unused_clock):
    """A trigger id is spent by its first use and dead after three seconds."""
    from slack_sdk.web.async_client import AsyncWebClient

    clock = unused_clock
    async with await serve(data_dir=tmp_path / "w", clock=clock) as workspace:
        web = AsyncWebClient(token=BOT_TOKEN, base_url=workspace.api_url)
        web.proxy = None
        trigger = workspace.tickets.trigger("U0ANA")
        await web.views_open(trigger_id=trigger, view=reason_modal())
        again = await refused(web.views_open(trigger_id=trigger, view=reason_modal()))
        assert again.response["error"] == "exchanged_trigger_id"
        late = workspace.tickets.trigger("U0ANA")
        clock.now += 3.1
        assert (await refused(web.views_open(trigger_id=late, view=reason_modal()))).response["error"] == (
            "expired_trigger_id"
        )


@pytest.fixture
def unused_clock():
    class Clock:
        now = 1_700_000_000.0

        def __call__(self) -> float:
            return self.now

    return Clock()


async def test_slash_command_answers_ephemerally_and_in_channel(bolt_app, connect, people):
    """A command's ack text is seen by its author alone; respond(in_channel) is seen by all."""

    @bolt_app.command("/mw")
    async def on_command(ack, command, respond):
        await ack(f"you asked {command['text']}")
        await respond(text="for everyone", response_type="in_channel")

    async with connect(bolt_app):
        ana, ben = people.as_user("ana"), people.as_user("ben")
        await ana.command("general", "/mw status")
        whisper = await ana.wait_for_message("you asked status", channel="general")
        assert whisper["ephemeral"]
        await ben.wait_for_message("for everyone", channel="general")
        assert await ben.ephemerals() == []
        with pytest.raises(PersonError, match="/nope is not a valid command"):
            await ana.command("general", "/nope")


async def test_response_url_is_used_five_times_at_most(bolt_app, connect, people):
    """The sixth answer through one response_url is refused."""
    statuses: list[int] = []
    done = asyncio.Event()

    @bolt_app.command("/mw")
    async def on_command(ack, respond):
        await ack()
        for number in range(6):
            statuses.append((await respond(f"answer {number}")).status_code)
        done.set()

    async with connect(bolt_app):
        await people.as_user("ana").command("general", "/mw help")
        await asyncio.wait_for(done.wait(), 5)
    assert statuses == [200] * 5 + [404]


async def test_mentions_direct_messages_and_home_reach_the_app(bolt_app, connect, people):
    """app_mention, message.im, app_home_opened and reaction_added arrive with the fields Bolt's listeners use."""
    heard: asyncio.Queue = asyncio.Queue()

    @bolt_app.event("app_mention")
    async def on_mention(event, say):
        await say(text=f"hello <@{event['user']}>", thread_ts=event["ts"])
        await heard.put(("mention", event["text"]))

    @bolt_app.event("message")
    async def on_message(event):
        if event.get("channel_type") == "im":
            await heard.put(("im", event["text"]))

    @bolt_app.event("app_home_opened")
    async def on_home(event, client):
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section("all quiet")]})

    @bolt_app.event("reaction_added")
    async def on_reaction(event):
        await heard.put(("reaction", event["reaction"]))

    async with connect(bolt_app):
        ana = people.as_user("ana")
        said = await ana.say("general", "@middlewatch why fraud-scorer & co?")
        assert said["text"] == "<@U0WATCHBOT> why fraud-scorer &amp; co?"
        assert await asyncio.wait_for(heard.get(), 5) == ("mention", said["text"])
        reply = await ana.wait_for_message("hello <@U0ANA>", channel="general", thread_ts=said["ts"])
        await ana.react(reply, "eyes")
        assert await asyncio.wait_for(heard.get(), 5) == ("reaction", "eyes")
        await ana.say("dm", "status?")
        assert await asyncio.wait_for(heard.get(), 5) == ("im", "status?")
        await ana.open_home()
        assert "all quiet" in text_of(await ana.wait_for_home())


async def test_an_unacked_event_is_delivered_four_times(workspace, people):
    """An event nobody acks comes again with retry_attempt 1, 2, 3 and then no more."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {APP_TOKEN}"}) as http:
        async with http.post(f"{workspace.api_url}apps.connections.open") as answer:
            url = (await answer.json())["url"]
        async with http.ws_connect(url) as socket:
            assert (await socket.receive_json())["type"] == "hello"
            workspace.hub.ack_seconds = 0.05
            await people.as_user("ana").say("general", "@middlewatch hello")
            got = [await socket.receive_json() for _ in range(8)]
            mentions = [e for e in got if e["payload"]["event"]["type"] == "app_mention"]
            assert [e["retry_attempt"] for e in mentions] == [0, 1, 2, 3]
            assert len({e["payload"]["event_id"] for e in mentions}) == 1
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive(0.3)


async def test_a_cut_connection_loses_no_event(bolt_app, connect, people):
    """A mention typed while the socket is down reaches the app when it is back."""
    heard = asyncio.Event()

    @bolt_app.event("app_mention")
    async def on_mention(event):
        if "after the cut" in event["text"]:
            heard.set()

    @bolt_app.event("message")
    async def on_message():
        """Acked, not used."""

    async with connect(bolt_app, ping_interval=0.2):
        await people.disconnect()
        await people.as_user("ana").say("general", "@middlewatch after the cut")
        await asyncio.wait_for(heard.wait(), 15)


async def test_a_duplicated_interaction_has_two_envelopes(bolt_app, connect, people, client):
    """The duplicate fault delivers one click twice, as a double delivery would."""
    clicks: asyncio.Queue = asyncio.Queue()

    @bolt_app.action("go")
    async def on_go(ack, body):
        await ack()
        await clicks.put(body["trigger_id"])

    async with connect(bolt_app):
        await people.fault("duplicate", "interactive")
        await client.chat_postMessage(channel="general", text="t", blocks=[actions(button("go", "Go"))])
        ana = people.as_user("ana")
        await ana.click(await ana.wait_for_message("t", channel="general"), "Go")
        first, second = [await asyncio.wait_for(clicks.get(), 5) for _ in range(2)]
        assert first == second


async def test_confirm_dialogs_must_be_answered(bolt_app, connect, people, client):
    """A click on an element with `confirm` is refused until it is confirmed."""
    pressed = asyncio.Event()

    @bolt_app.action("drop")
    async def on_drop(ack):
        await ack()
        pressed.set()

    plain = lambda text: {"type": "plain_text", "text": text}  # noqa: E731
    ask = {"title": plain("Sure?"), "text": plain("It is final."), "confirm": plain("Yes"), "deny": plain("No")}
    async with connect(bolt_app):
        await client.chat_postMessage(
            channel="general", text="t", blocks=[actions(button("drop", "Drop", style="danger", confirm=ask))]
        )
        ana = people.as_user("ana")
        message = await ana.wait_for_message("t", channel="general")
        with pytest.raises(PersonError, match="confirmation"):
            await ana.click(message, "drop", confirm=False)
        assert not pressed.is_set()
        await ana.click(message, "drop")
        await asyncio.wait_for(pressed.wait(), 5)


async def test_nobody_gets_a_click_when_no_app_is_connected(workspace, client, people):
    """With no socket a click fails for the person with a sentence, and is not delivered later."""
    workspace.hub.ack_seconds = 0.1
    await client.chat_postMessage(channel="general", text="t", blocks=[actions(button("go", "Go"))])
    ana = people.as_user("ana")
    message = await ana.wait_for_message("t", channel="general")
    results = await gather(ana.click(message, "Go"))
    assert isinstance(results[0], PersonError)
    assert "is not connected" in results[0].reason
