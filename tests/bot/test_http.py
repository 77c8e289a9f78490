"""HTTP mode: signature, age, replay, size, and malformed headers."""

from __future__ import annotations

import json

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.http import AGE, MOST_BYTES, served, signature, trusted
from bot.wire import Access
from bot.workspace import BOT_TOKEN
from core.errors import MiddlewatchError
from tests.bot.conftest import converse_for

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
NOW = 1_790_000_000


@given(st.text(max_size=40), st.text(max_size=90), st.binary(max_size=200))
def test_nothing_forged_is_trusted_and_nothing_raises(timestamp: str, given_: str, body: bytes):
    """Arbitrary headers and bodies are refused with a reason, never an exception."""
    assert trusted(SECRET, timestamp, given_, body, NOW)


def test_good_old_tampered_and_unconfigured():
    """A fresh, rightly signed request passes; an old one, a changed byte, a wrong secret or no secret do not."""
    body, stamp = b"payload=%7B%7D", str(NOW)
    good = signature(SECRET, stamp, body)
    assert trusted(SECRET, stamp, good, body, NOW) == ""
    assert "old" in trusted(SECRET, stamp, good, body, NOW + AGE + 1)
    assert "old" in trusted(SECRET, str(NOW + AGE + 1), good, body, NOW)
    assert "match" in trusted(SECRET, stamp, good, body + b" ", NOW)
    assert "match" in trusted("other", stamp, good, body, NOW)
    assert "secret" in trusted("", stamp, good, body, NOW)
    assert "malformed" in trusted(SECRET, "１７９", good, body, NOW)


@pytest.mark.servers
async def test_over_http(story):
    """With a signing secret alone Slack is awaited over HTTP: a mention is answered once, a forgery never read."""
    access = Access(BOT_TOKEN, "", story.workspace.api_url, SECRET, "127.0.0.1:0")
    await story.converse.stop()
    story.converse = side = converse_for(story.workspace, story.views, story.clock, access=access)
    await side.start(within=60)
    ben = story.people.as_user("ben")
    asked = await ben.say("general", "@middlewatch status")
    event = {"type": "app_mention", "user": "U0BEN", "channel": asked["channel"], "ts": asked["ts"],
             "text": "<@U0WATCHBOT> status"}  # fmt: skip
    told = {"type": "event_callback", "team_id": "T0LOCAL", "event_id": "Ev1", "event": event}
    stamp = str(int(story.clock()))

    async with aiohttp.ClientSession() as session:

        async def post(data: bytes, signed: bytes | None = None, **more: str) -> int:
            headers = {
                "X-Slack-Request-Timestamp": stamp, "Content-Type": "application/json",
                "X-Slack-Signature": signature(SECRET, stamp, data if signed is None else signed),
            }  # fmt: skip
            async with session.post(side.url, data=data, headers=headers | more) as answer:
                return answer.status

        body = json.dumps(told).encode()
        assert await post(body + b" ", signed=body) == 401
        assert await post(body, **{"X-Slack-Request-Timestamp": "soon"}) == 401
        assert await post(b"x" * (MOST_BYTES + 10)) == 413
        assert await post(json.dumps({"type": "url_verification", "challenge": "c"}).encode()) == 200
        assert await post(body) == 200
        assert await post(body) == 401
        assert await post(body, **{"X-Slack-Retry-Num": "1"}) == 200  # Slack's own retry: taken, and already done
    await ben.wait_for_message("Open incidents", channel="general", thread_ts=asked["ts"])
    replies = [m for m in await ben.messages("general", thread_ts=asked["ts"]) if m["user"] != "U0BEN"]
    assert len(replies) == 1


@pytest.mark.servers
async def test_a_port_that_is_taken_is_named(story):
    """Another listener on the port: the error names the variable and its value."""
    taken = story.workspace.url.removeprefix("http://")
    with pytest.raises(MiddlewatchError, match=f"SLACK_HTTP={taken}"):
        await served(story.converse.http(), taken)
