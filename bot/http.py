"""Slack over HTTP instead of Socket Mode: signature, age and replay are checked here, before anything is parsed."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.errors import MiddlewatchError
from core.ports import Cards

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger("middlewatch.http")

MOST_BYTES = 1_000_000
AGE = 300
"""Seconds a signed request stays good; a second use within them is a replay."""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's v0 signature. Source: docs.slack.dev, "Verifying requests from Slack"."""
    base = b"v0:" + timestamp.encode("utf-8", "replace") + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


def trusted(secret: str, timestamp: str, given: str, body: bytes, now: float) -> str:
    """'' when the request is Slack's and fresh, else what is wrong with it. Never raises on malformed headers."""
    if not secret:
        return "no signing secret is configured"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "the timestamp is malformed"
    if abs(now - int(timestamp)) > AGE:
        return "the request is too old"
    expected = signature(secret, timestamp, body)
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        return "the signature does not match"
    return ""


async def served(app: web.Application, listen: str) -> web.AppRunner:
    """`app` at host:port, until the runner is cleaned up. Raises MiddlewatchError when the port is taken."""
    from aiohttp import web

    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    except OSError as error:
        await runner.cleanup()
        raise MiddlewatchError(f"cannot listen on SLACK_HTTP={listen} ({error.strerror}): choose another") from error
    return runner


def http_app(app: Any, secret: str, cards: Cards, now: Callable[[], float] = time.time) -> web.Application:
    """An aiohttp application that answers `POST /slack/events` for the given Bolt app."""
    from aiohttp import web
    from slack_bolt.adapter.aiohttp import to_aiohttp_response
    from slack_bolt.request.async_request import AsyncBoltRequest

    async def on_request(request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text="too large")
        given = request.headers.get("X-Slack-Signature", "")
        wrong = trusted(secret, request.headers.get("X-Slack-Request-Timestamp", ""), given, body, now())
        if wrong:
            log.warning("refused a request: %s", wrong)
            return web.Response(status=401, text=wrong)
        retried = "X-Slack-Retry-Num" in request.headers
        if not retried and not await cards.once(f"signature:{given}", 2 * AGE):
            log.warning("refused a request: it was replayed")
            return web.Response(status=401, text="replayed")
        bolt = AsyncBoltRequest(
            body=body.decode("utf-8", "replace"),
            query=request.query_string,
            headers=dict(request.headers),  # type: ignore[arg-type]
        )
        return await to_aiohttp_response(await app.async_dispatch(bolt))

    served = web.Application(client_max_size=MOST_BYTES)
    served.router.add_post("/slack/events", on_request)
    return served
