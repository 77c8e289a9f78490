"""The Web API's front door: decode the call, check token, scope, faults and rate, run the method, answer.

Methods live in `methods/`; each is `async def method(ws, args) -> dict` registered under its Slack name
with the scopes of which any one suffices.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from .errors import SlackError

if TYPE_CHECKING:
    from .server import Workspace

Method = Callable[["Workspace", dict], Awaitable[dict]]
STRUCTURED = (
    "blocks", "attachments", "metadata", "view", "chunks", "files", "prompts", "unfurls", "loading_messages",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One Web API method. `token` is `bot` or `app` (Socket Mode's xapp token)."""

    call: Method
    scopes: tuple[str, ...] = ()
    token: str = "bot"


METHODS: dict[str, Entry] = {}


def method(name: str, *scopes: str, token: str = "bot") -> Callable[[Method], Method]:
    """Register a Web API method under its Slack name."""

    def keep(call: Method) -> Method:
        METHODS[name] = Entry(call, scopes, token)
        return call

    return keep


def flag(args: dict, key: str, default: bool = False) -> bool:
    """A boolean argument in any of the forms the SDKs send it."""
    value = args.get(key, default)
    return value in (True, 1, "1", "true", "True")


def wanted(args: dict, *keys: str) -> None:
    """Raises SlackError `invalid_arguments` naming each missing argument."""
    missing = [k for k in keys if args.get(k) in (None, "")]
    if missing:
        raise SlackError("invalid_arguments", [f"[ERROR] missing required field: {k}" for k in missing])


async def arguments(request: web.Request) -> dict:
    """Query, form and JSON arguments as one dict; structured ones decoded. Raises `invalid_json`."""
    args: dict = dict(request.query)
    if request.method == "POST":
        if request.content_type == "application/json":
            args |= await _json(request)
        else:
            args |= dict(await request.post())
    for key in STRUCTURED:
        if isinstance(args.get(key), str):
            try:
                args[key] = json.loads(args[key])
            except ValueError:
                if key == "blocks":
                    raise SlackError("invalid_blocks_format") from None
    return args


async def _json(request: web.Request) -> dict:
    body = await request.read()
    if not body:
        return {}
    try:
        decoded = json.loads(body)
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(decoded, dict):
        raise SlackError("json_not_object")
    return decoded


class Calls:
    """The last calls the app made: for the panel, and for counting calls per incident."""

    def __init__(self) -> None:
        self.log: deque[dict] = deque(maxlen=2000)
        self.count: dict[str, int] = {}

    def note(self, name: str, args: dict, answer: str, took: float, at: float) -> None:
        self.count[name] = self.count.get(name, 0) + 1
        where = args.get("channel") or args.get("channel_id") or args.get("user_id") or ""
        self.log.append({"at": at, "method": name, "channel": where, "answer": answer, "ms": round(took * 1000, 2)})


async def handle(ws: Workspace, request: web.Request) -> web.Response:
    """Answer one call of `/api/<method>`."""
    name, started = request.match_info["method"], time.perf_counter()
    args: dict = {}
    try:
        args = await arguments(request)
        entry = _allowed(ws, name, args, request)
        body, status = await _run(ws, name, entry, args), 200
    except SlackError as error:
        body, status = error.body(), error.status
    answer = "ok" if body.get("ok") else body["error"]
    ws.calls.note(name, args, answer, time.perf_counter() - started, ws.team.now())
    if answer == "outage":
        return web.Response(status=500, text="upstream connect error or disconnect/reset before headers")
    headers = _scope_headers(ws, name)
    if status == 429:
        headers["Retry-After"] = str(body.pop("retry_after"))
    return web.json_response(body, status=status, headers=headers)


def _allowed(ws: Workspace, name: str, args: dict, request: web.Request) -> Entry:
    entry = METHODS.get(name)
    if entry is None:
        raise SlackError("unknown_method", req_method=name)
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else args.get("token", "")
    args.pop("token", None)
    if not token:
        raise SlackError("not_authed")
    if token not in (ws.bot_token, ws.app_token):
        raise SlackError("invalid_auth")
    if token != (ws.app_token if entry.token == "app" else ws.bot_token) and name != "auth.test":
        raise SlackError("not_allowed_token_type")
    if ws.team.manifest.lacks(entry.scopes):
        provided = ",".join(sorted(ws.team.manifest.scopes or ()))
        raise SlackError("missing_scope", needed=entry.scopes[0], provided=provided)
    return entry


async def _run(ws: Workspace, name: str, entry: Entry, args: dict) -> dict:
    if fault := ws.faults.take(name, "delay"):
        await asyncio.sleep(fault.seconds)
    if fault := ws.faults.take(name, "rate_limit"):
        raise SlackError("ratelimited", status=429, retry_after=max(1, int(fault.seconds)))
    if ws.faults.take(name, "error"):
        raise SlackError("outage")
    wait = ws.rates.retry_after(name, str(args.get("channel", "")), ws.team.now())
    if wait:
        raise SlackError("ratelimited", status=429, retry_after=wait)
    body = {"ok": True, **await entry.call(ws, args)}
    if ws.faults.take(name, "lost_answer"):
        raise SlackError("outage")
    return body


def _scope_headers(ws: Workspace, name: str) -> dict[str, str]:
    scopes = ws.team.manifest.scopes
    headers = {"X-Slack-Req-Id": "local"}
    if scopes is not None:
        headers["X-OAuth-Scopes"] = ",".join(sorted(scopes))
    if name in METHODS:
        headers["X-Accepted-OAuth-Scopes"] = ",".join(METHODS[name].scopes)
    return headers
