"""`check --slack` says what is missing, with the remedy."""

from __future__ import annotations

import msgspec
import pytest

from bot.check_slack import missing
from bot.wire import Access
from bot.workspace import APP_TOKEN, BOT_TOKEN
from core.policy import Roles, Routing
from tests.bot import examples as x

pytestmark = pytest.mark.servers


async def test_a_good_set_up_lacks_nothing(story):
    """With the manifest's scopes, the channel and known approvers there is nothing to say."""
    assert await missing(Access(BOT_TOKEN, APP_TOKEN, story.workspace.api_url), x.policy()) == []


async def test_what_is_missing_is_named(story):
    """A missing channel, group, person, approver and app token are each named with what to do."""
    policy = msgspec.structs.replace(
        x.policy(), routing=Routing(channel="#nowhere"), roles=Roles(responder=["@nobody", "U0GHOST"])
    )
    said = " ".join(await missing(Access(BOT_TOKEN, "", story.workspace.api_url), policy))
    for words in ("#nowhere", "@nobody", "U0GHOST", "Nobody may approve", "SLACK_APP_TOKEN"):
        assert words in said
    assert BOT_TOKEN not in said


async def test_a_wrong_token_is_said_without_showing_it(story):
    """A token Slack does not take is refused in words, and never shown."""
    said = await missing(Access("xoxb-wrong-canary", APP_TOKEN, story.workspace.api_url), x.policy())
    assert "SLACK_BOT_TOKEN is not valid" in said[0]
    assert "canary" not in said[0]
