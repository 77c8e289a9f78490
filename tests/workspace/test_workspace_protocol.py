"""The Web API seen by unmodified slack_sdk clients."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from workspace_parts import PNG, refused, section

from bot.workspace import APP_TOKEN, BOT_TOKEN, People, serve
from bot.workspace.errors import PersonError

pytestmark = pytest.mark.servers


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
