"""HTTP mode: signature, age, replay, size, and malformed headers."""

from __future__ import annotations

import json

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bot.http import AGE, MOST_BYTES, signature, trusted
from bot.wire import Access
from bot.workspace import BOT_TOKEN
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
    """A signed event is handled once; a replay, a forgery and an oversized body are refused before parsing."""
    access = Access(BOT_TOKEN, "", story.workspace.api_url, SECRET)
    side = converse_for(story.workspace, story.views, story.clock, story.again, access=access)
    await side.start()
    runner = web.AppRunner(side.http())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    stamp = str(int(story.clock()))
    body = json.dumps({"type": "url_verification", "challenge": "c"}).encode()
    headers = {
        "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature(SECRET, stamp, body),
        "Content-Type": "application/json",
    }  # fmt: skip
    async with aiohttp.ClientSession() as session:

        async def post(data: bytes, **more: str) -> int:
            async with session.post(url, data=data, headers=headers | more) as answer:
                return answer.status

        assert await post(body) == 200
        assert await post(body) == 401
        assert await post(body + b" ") == 401
        assert await post(body, **{"X-Slack-Request-Timestamp": "soon"}) == 401
        assert await post(b"x" * (MOST_BYTES + 10)) == 413
    await runner.cleanup()
    await side.stop()
