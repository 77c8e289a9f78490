"""The workspace seen by unmodified slack_sdk clients and an unmodified Bolt AsyncApp."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from bot.workspace import APP_TOKEN, BOT_TOKEN, People, serve
from bot.workspace.errors import PersonError
from bot.workspace.people import gather, labels, text_of

pytestmark = pytest.mark.servers

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080600000"
    "01f15c4890000000d49444154789c626001000000ffff030000060005"
    "57bfabd40000000049454e44ae426082"
)


def button(action_id: str, text: str, **more) -> dict:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": text}, **more}


def actions(*elements: dict) -> dict:
    return {"type": "actions", "elements": list(elements)}


def section(text: str) -> dict:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def reason_modal(**more) -> dict:
    return {
        "type": "modal",
        "callback_id": "review",
        "title": {"type": "plain_text", "text": "Review"},
        "submit": {"type": "plain_text", "text": "Approve"},
        "blocks": [
            {
                "type": "input",
                "block_id": "why",
                "label": {"type": "plain_text", "text": "Reason"},
                "element": {"type": "plain_text_input", "action_id": "reason"},
            }
        ],
        **more,
    }


async def refused(call) -> SlackApiError:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value


async def test_a_posted_message_is_read_back_with_its_metadata(client):
    """chat.postMessage's metadata comes back from history only when include_all_metadata asks for it."""
    meta = {"event_type": "incident", "event_payload": {"id": "i1"}}
    sent = await client.chat_postMessage(channel="#ml-oncall", text="SEV2", blocks=[section("hi")], metadata=meta)
    channel = sent["channel"]
    plain = await client.conversations_history(channel=channel)
    full = await client.conversations_history(channel=channel, include_all_metadata=True)
    assert "metadata" not in plain["messages"][0]
    assert full["messages"][0]["metadata"] == meta
    assert full["messages"][0]["blocks"][0]["block_id"]


async def test_the_sync_client_and_plain_forms_are_understood(workspace):
    """The synchronous client, GET queries and form posts reach the same methods as JSON does."""
    from slack_sdk import WebClient

    web = WebClient(token=BOT_TOKEN, base_url=workspace.api_url)
    web.proxy = None
    assert (await asyncio.to_thread(web.auth_test))["user_id"] == "U0WATCHBOT"
    sent = await asyncio.to_thread(web.chat_postMessage, channel="general", text="from the sync client")
    async with aiohttp.ClientSession() as http:
        query = {"token": BOT_TOKEN, "channel": sent["channel"], "limit": "1"}
        async with http.get(f"{workspace.api_url}conversations.history", params=query) as answer:
            assert (await answer.json())["messages"][0]["text"] == "from the sync client"
        form = {"token": BOT_TOKEN, "channel": "general", "text": "x", "blocks": json.dumps([section("form")])}
        async with http.post(f"{workspace.api_url}chat.postMessage", data=form) as answer:
            assert (await answer.json())["message"]["blocks"][0]["text"]["text"] == "form"


@pytest.mark.parametrize(
    ("token", "method", "error"),
    [
        (None, "auth.test", "not_authed"),
        ("xoxb-wrong", "auth.test", "invalid_auth"),
        (APP_TOKEN, "chat.postMessage", "not_allowed_token_type"),
        (BOT_TOKEN, "apps.connections.open", "not_allowed_token_type"),
        (BOT_TOKEN, "chat.dance", "unknown_method"),
    ],
)
async def test_wrong_calls_get_slacks_error_codes(workspace, token, method, error):
    """Tokens and method names are checked with Slack's own error codes."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{workspace.api_url}{method}") as answer,
    ):
        assert (await answer.json())["error"] == error


async def test_a_scope_outside_the_manifest_is_missing(tmp_path):
    """A method whose scope the manifest does not grant answers missing_scope with needed and provided."""
    from slack_sdk.web.async_client import AsyncWebClient

    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("oauth_config: {scopes: {bot: [chat:write, 'users:read']}}")
    async with await serve(data_dir=tmp_path / "w", manifest=manifest) as workspace:
        web = AsyncWebClient(token=BOT_TOKEN, base_url=workspace.api_url)
        web.proxy = None
        error = await refused(web.reactions_add(channel="C0GENERAL", timestamp="1", name="eyes"))
        assert (error.response["error"], error.response["needed"]) == ("missing_scope", "reactions:write")
        assert error.response["provided"] == "chat:write,users:read"
        assert (await web.users_list())["members"]


async def test_too_long_a_section_is_refused_as_slack_words_it(client):
    """A section of 3,001 characters is invalid_blocks with a json-pointer in response_metadata.messages."""
    error = await refused(client.chat_postMessage(channel="general", text="t", blocks=[section("x" * 3001)]))
    assert error.response["error"] == "invalid_blocks"
    assert error.response["response_metadata"]["messages"] == [
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    ]


async def test_a_burst_in_one_channel_is_rate_limited(client):
    """Posting faster than about one a second in one channel ends in 429 with Retry-After; another channel goes on."""
    for number in range(5):
        await client.chat_postMessage(channel="general", text=f"{number}")
    error = await refused(client.chat_postMessage(channel="general", text="one too many"))
    assert error.response.status_code == 429
    assert error.response["error"] == "ratelimited"
    assert int(error.response.headers["Retry-After"]) >= 1
    await client.chat_postMessage(channel="ml-oncall", text="elsewhere")


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


async def test_ordered_faults_happen_once_each(client, people):
    """429 and 500 do nothing; a lost answer did its work though the app sees a 500."""
    await people.fault("rate_limit", "chat.postMessage", seconds=7)
    limited = await refused(client.chat_postMessage(channel="general", text="a"))
    assert limited.response.headers["Retry-After"] == "7"
    await people.fault("error", "chat.postMessage")
    failed = await refused(client.chat_postMessage(channel="general", text="b"))
    assert (failed.response.status_code, isinstance(failed.response.data, str)) == (500, True)
    await people.fault("lost_answer", "chat.postMessage")
    await refused(client.chat_postMessage(channel="general", text="c"))
    assert [m["text"] for m in await people.as_user("ana").messages("general")] == ["c"]


async def test_an_uploaded_picture_is_shown_by_slack_file(client, workspace):
    """files_upload_v2 yields a file that an image block may show; an unknown file is invalid_blocks."""
    sent = await client.files_upload_v2(filename="drift.png", content=PNG, title="Drift", alt_txt="Drift of temp")
    file = sent["file"]
    assert (file["original_w"], file["alt_txt"], file["mimetype"]) == (1, "Drift of temp", "image/png")
    image = {"type": "image", "slack_file": {"id": file["id"]}, "alt_text": "drift"}
    await client.chat_postMessage(channel="general", text="t", blocks=[image])
    async with aiohttp.ClientSession() as http, http.get(file["url_private"]) as answer:
        assert await answer.read() == PNG
    image["slack_file"] = {"id": "F0NOPE"}
    error = await refused(client.chat_postMessage(channel="general", text="t", blocks=[image]))
    assert "invalid slack file" in error.response["response_metadata"]["messages"][0]


async def test_a_stream_grows_and_ends(client, people):
    """chat_stream's text and tasks become one message; after stop it no longer grows."""
    ana = people.as_user("ana")
    asked = await ana.say("general", "why?")
    stream = await client.chat_stream(
        channel="C0GENERAL", thread_ts=asked["ts"], recipient_team_id="T0LOCAL", recipient_user_id="U0ANA",
        buffer_size=1,
    )  # fmt: skip
    await stream.append(markdown_text="Because of ")
    await stream.append(chunks=[{"type": "task_update", "id": "t1", "title": "Telemetry", "status": "in_progress"}])
    growing = await ana.wait_for_message("Because of", channel="general")
    assert growing["streaming"]
    await stream.append(chunks=[{"type": "task_update", "id": "t1", "title": "Telemetry", "status": "complete"}])
    await stream.stop(markdown_text="Celsius.", blocks=[section("[E1]")])
    done = await ana.wait_for_message("Celsius.", channel="general")
    assert not done["streaming"]
    assert [b["type"] for b in done["blocks"]] == ["markdown", "task_card", "markdown", "section"]
    assert done["blocks"][1]["status"] == "complete"
    error = await refused(client.chat_appendStream(channel="C0GENERAL", ts=done["ts"], markdown_text="more"))
    assert error.response["error"] == "message_not_in_streaming_state"
    error = await refused(client.chat_startStream(channel="C0GENERAL", thread_ts=asked["ts"]))
    assert error.response["error"] == "missing_recipient_team_id"


async def test_messages_survive_a_killed_workspace(tmp_path, client):
    """What was answered is there after a restart, in the same data directory, without a clean close."""
    from bot.workspace.store import Store

    first = Store(tmp_path / "s.sqlite")
    first.put("message", "C/1.0", {"text": "kept"})
    first._db.close()
    assert Store(tmp_path / "s.sqlite").rows("message") == {"C/1.0": {"text": "kept"}}


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


async def test_foreign_hosts_and_origins_are_refused(workspace):
    """Another Host header, and a POST that another page's script would send, get nothing."""
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{workspace.url}/people/list", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            say = {"as": "ana", "channel": "general", "text": "x"}
            async with http.post(f"{workspace.url}/people/say", json=say, headers=headers) as answer:
                assert answer.status == 403
    with pytest.raises(ValueError, match=r"binds to 127\.0\.0\.1 only"):
        await serve("0.0.0.0", data_dir=workspace.files.folder)


async def test_nobody_gets_a_click_when_no_app_is_connected(workspace, client, people):
    """With no socket a click fails for the person with a sentence, and is not delivered later."""
    workspace.hub.ack_seconds = 0.1
    await client.chat_postMessage(channel="general", text="t", blocks=[actions(button("go", "Go"))])
    ana = people.as_user("ana")
    message = await ana.wait_for_message("t", channel="general")
    results = await gather(ana.click(message, "Go"))
    assert isinstance(results[0], PersonError)
    assert "is not connected" in results[0].reason


async def test_ephemerals_are_seen_by_one_person_and_not_by_the_api(client, people):
    """chat.postEphemeral reaches one person; history does not have it; a stranger cannot be addressed."""
    await client.chat_postEphemeral(channel="general", user="U0BEN", text="only you")
    assert (await people.as_user("ben").wait_for_message("only you", channel="general"))["ephemeral"]
    assert await people.as_user("ana").messages("general") == []
    assert (await client.conversations_history(channel="C0GENERAL"))["messages"] == []
    error = await refused(client.chat_postEphemeral(channel="general", user="U0NOBODY", text="x"))
    assert error.response["error"] == "user_not_in_channel"


async def test_two_workspaces_cannot_share_one_data_directory(workspace):
    """The second start says which file is in use and what to do."""
    from bot.workspace.store import StoreLocked

    with pytest.raises(StoreLocked, match="stop the other workspace"):
        await serve(data_dir=workspace.files.folder.parent)


async def test_people_must_be_known(people: People):
    """Acting as nobody names those who exist."""
    with pytest.raises(PersonError, match="people are ana, ben, chloe, dev"):
        await people.as_user("zoe").say("general", "hi")
