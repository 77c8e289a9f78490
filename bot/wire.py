"""Clients of Slack's Web API, and what its failures mean. slack_sdk is imported when the first client is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.errors import MiddlewatchError, Unavailable

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

    from core.policy import Policy

log = logging.getLogger("middlewatch.slack")

SLACK = "https://slack.com/api/"
TIMEOUT = 10
"""Seconds for one call."""


class SlackFailure(MiddlewatchError):
    """A call failed; the subclass says what may be done about it."""


class Ratelimited(SlackFailure):
    """Nothing happened; ask again after `after` seconds."""

    def __init__(self, after: float):
        super().__init__(f"Slack asks to wait {after:g} s")
        self.after = after


class Away(SlackFailure):
    """Nothing reached Slack: asking again is safe."""


class Ambiguous(SlackFailure):
    """Slack may or may not have done it: look before asking again."""


class TooMuch(SlackFailure):
    """Slack refuses the blocks; show less."""


class Gone(SlackFailure):
    """The message is no longer there."""


class Blocked(SlackFailure):
    """Slack says no for a reason that time will not change; the message names it."""

    def __init__(self, error: str, method: str):
        super().__init__(f"Slack refused {method}: {error}{_REMEDY.get(error, '')}")
        self.error = error


_REMEDY = {
    "not_in_channel": ": invite the app to the channel (/invite @middlewatch)",
    "channel_not_found": ": no such channel ([routing] in the policy), or a private one (/invite @middlewatch)",
    "invalid_auth": ": SLACK_BOT_TOKEN is not valid for this workspace",
    "missing_scope": ": reinstall the app from bot/manifest.yaml",
    "is_archived": ": the channel is archived",
}
_BLOCKS = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "invalid_attachments"}
_UNSURE = {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}


def explained(error: Exception, method: str) -> SlackFailure:
    """`error` of a Web API call as one of the failures above."""
    import aiohttp
    from slack_sdk.errors import SlackApiError, SlackClientError

    if isinstance(error, SlackFailure):
        return error
    if isinstance(error, SlackApiError):
        return _answered(error, method)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Away(f"Slack cannot be reached for {method}")
    if isinstance(error, asyncio.TimeoutError | aiohttp.ClientError | OSError | SlackClientError):
        return Ambiguous(f"Slack did not answer {method}: {type(error).__name__}")
    raise error


@contextmanager
def calling(method: str) -> Iterator[None]:
    """Around a call: what goes wrong with Slack comes out as a SlackFailure, anything else as it is."""
    try:
        yield
    except Exception as error:
        raise explained(error, method) from error


@contextmanager
def tolerated(method: str) -> Iterator[None]:
    """Around a call nobody waits for: Slack's failures are logged, anything else comes out as it is."""
    try:
        with calling(method):
            yield
    except SlackFailure as failure:
        log.warning("%s", failure)


def _answered(error: Any, method: str) -> SlackFailure:
    response = error.response
    data = response.data if isinstance(getattr(response, "data", None), dict) else {}
    word = str(data.get("error", ""))
    if response.status_code == 429 or word in ("ratelimited", "rate_limited"):
        headers = {k.lower(): v for k, v in (response.headers or {}).items()}
        after = headers.get("retry-after", "1")
        return Ratelimited(float(after) if str(after).replace(".", "", 1).isdigit() else 1.0)
    if response.status_code >= 500 or word in _UNSURE or not word:
        return Ambiguous(f"Slack answered {method} with {response.status_code} {word}".rstrip())
    if word in _BLOCKS or (word == "invalid_arguments" and "blocks" in str(data.get("response_metadata", ""))):
        detail = "; ".join(str(m) for m in (data.get("response_metadata") or {}).get("messages", ())[:3])
        return TooMuch(f"Slack refused the blocks of {method}: {word} {detail}".rstrip())
    if word in ("message_not_found", "cant_update_message"):
        return Gone(f"{method}: the message is gone")
    return Blocked(word, method)


@dataclass(frozen=True)
class Access:
    """Where Slack is and how to enter. Tokens are plain here: this object is for clients alone and never printed."""

    bot_token: str
    app_token: str = ""
    api_url: str = SLACK
    signing_secret: str = ""
    listen: str = "127.0.0.1:3000"
    """host:port of HTTP mode."""

    def __repr__(self) -> str:
        return f"Access(api_url={self.api_url!r})"

    @property
    def over_http(self) -> bool:
        """Whether Slack comes to us instead of our going to it: a signing secret and no app-level token."""
        return bool(self.signing_secret) and not self.app_token

    @property
    def loopback(self) -> bool:
        return (urlsplit(self.api_url).hostname or "") in ("127.0.0.1", "localhost", "::1")

    @property
    def base(self) -> str:
        return self.api_url if self.api_url.endswith("/") else self.api_url + "/"


async def check_slack(access: Access, policy: Policy) -> str:
    """One line when everything Slack needs is there. Raises Unavailable naming what is missing and the remedy."""
    from bot.check_slack import missing

    wrong = await missing(access, policy)
    if wrong:
        raise Unavailable(" ".join(wrong))
    way = f"HTTP at {access.listen}" if access.over_http else "Socket Mode"
    return f"{access.base} answers, {way}; scopes, channels and roles are in order"


def client(access: Access, session: Any, *, patient: bool) -> AsyncWebClient:
    """A Web API client on a shared aiohttp session.

    A patient one waits out rate limits and repeats what surely never arrived; the other repeats nothing, because
    posting twice is worse than posting late.
    """
    from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
    from slack_sdk.web.async_client import AsyncWebClient

    handlers: Sequence[Any] = [AsyncRateLimitErrorRetryHandler(max_retry_count=2)] if patient else []
    made = AsyncWebClient(
        token=access.bot_token, base_url=access.base, timeout=TIMEOUT, session=session, retry_handlers=list(handlers)
    )
    if access.loopback:
        made.proxy = None  # the SDK ignores NO_PROXY
    return made
