"""conversations.*: places, their history, their members."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from ..errors import SlackError
from ..messages import public
from ..team import BOT_USER
from ..web_api import flag, method, wanted

if TYPE_CHECKING:
    from ..server import Workspace

READ = ("channels:read", "groups:read", "im:read", "mpim:read")
HISTORY = ("channels:history", "groups:history", "im:history", "mpim:history")


def page(items: list, args: dict, default: int = 100, most: int = 1000) -> tuple[list, str]:
    """One page of `items` and the cursor of the next. Raises `invalid_cursor`, `invalid_limit`."""
    try:
        limit = int(args.get("limit") or default)
        start = int(base64.urlsafe_b64decode(str(args.get("cursor") or "").encode() or b"MA==").decode() or 0)
    except ValueError as error:
        raise SlackError("invalid_cursor" if args.get("cursor") else "invalid_limit") from error
    if not 1 <= limit <= most:
        raise SlackError("invalid_limit")
    end = start + limit
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else ""
    return items[start:end], following


def readable(ws: Workspace, args: dict) -> dict:
    """The channel whose history is asked for. Raises `channel_not_found`, `missing_scope`, `not_in_channel`."""
    wanted(args, "channel")
    channel = ws.team.channel(args["channel"])
    scope = {"im": "im:history", "group": "groups:history"}.get(ws.team.channel_type(channel), "channels:history")
    if ws.team.manifest.lacks((scope,)):
        provided = ",".join(sorted(ws.team.manifest.scopes or ()))
        raise SlackError("missing_scope", needed=scope, provided=provided)
    if BOT_USER not in channel["_members"]:
        raise SlackError("not_in_channel")
    return channel


def within(messages: list[dict], args: dict) -> list[dict]:
    """Those between `oldest` and `latest` (exclusive unless `inclusive`)."""
    try:
        oldest, latest = float(args.get("oldest") or 0), float(args.get("latest") or "inf")
    except ValueError as error:
        raise SlackError("invalid_ts_oldest") from error
    both = flag(args, "inclusive")
    return [
        m for m in messages
        if oldest < float(m["ts"]) < latest or (both and float(m["ts"]) in (oldest, latest))
    ]  # fmt: skip


@method("conversations.list", *READ)
async def list_(ws: Workspace, args: dict) -> dict:
    kinds = (args.get("types") or "public_channel").split(",")
    for kind, scope in (("public_channel", "channels:read"), ("private_channel", "groups:read"), ("im", "im:read")):
        if kind in kinds and ws.team.manifest.lacks((scope,)):
            provided = ",".join(sorted(ws.team.manifest.scopes or ()))
            raise SlackError("missing_scope", needed=scope, provided=provided)
    found = []
    for channel in ws.team.channels():
        kind = "im" if channel["is_im"] else "private_channel" if channel["is_private"] else "public_channel"
        if kind == "private_channel" and BOT_USER not in channel["_members"]:
            continue  # an app never hears of a private channel that it was not invited to
        if kind in kinds and not (flag(args, "exclude_archived") and channel["is_archived"]):
            found.append(ws.team.channel_object(channel))
    shown, cursor = page(found, args)
    return {"channels": shown, "response_metadata": {"next_cursor": cursor}}


@method("conversations.info", *READ)
async def info(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel")
    return {"channel": ws.team.channel_object(ws.team.channel(args["channel"]))}


@method("conversations.history", *HISTORY)
async def history(ws: Workspace, args: dict) -> dict:
    channel = readable(ws, args)
    newest_first = list(reversed(within(ws.messages.in_channel(channel["id"]), args)))
    shown, cursor = page(newest_first, args)
    metadata = flag(args, "include_all_metadata")
    return {
        "messages": [public(m, metadata) for m in shown], "has_more": bool(cursor), "pin_count": 0,
        "response_metadata": {"next_cursor": cursor},
    }  # fmt: skip


@method("conversations.replies", *HISTORY)
async def replies(ws: Workspace, args: dict) -> dict:
    wanted(args, "ts")
    channel = readable(ws, args)
    thread = ws.messages.thread(channel["id"], str(args["ts"]))
    if not thread:
        raise SlackError("thread_not_found")
    chosen = thread[:1] + within(thread[1:], args)
    shown, cursor = page(chosen, args, default=1000)
    metadata = flag(args, "include_all_metadata")
    return {
        "messages": [public(m, metadata) for m in shown], "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }  # fmt: skip


@method("conversations.open", "im:write", "mpim:write")
async def open_(ws: Workspace, args: dict) -> dict:
    if args.get("channel"):
        channel = ws.team.channel(args["channel"])
    else:
        users = [u for u in str(args.get("users") or "").split(",") if u]
        if not users:
            raise SlackError("users_list_not_supplied")
        if len(users) > 1:
            raise SlackError("not_supported", ["[ERROR] this workspace has no group direct messages"])
        if users[0] not in ws.team.people:
            raise SlackError("user_not_found")
        channel = ws.team.open_dm(users[0])
    if flag(args, "return_im"):
        return {"channel": ws.team.channel_object(channel), "no_op": True, "already_open": True}
    return {"channel": {"id": channel["id"]}, "no_op": True, "already_open": True}


@method("conversations.create", "channels:manage", "groups:write")
async def create(ws: Workspace, args: dict) -> dict:
    channel = ws.team.create_channel(str(args.get("name") or ""), private=flag(args, "is_private"))
    return {"channel": ws.team.channel_object(channel)}


@method("conversations.join", "channels:join")
async def join(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel")
    channel = ws.team.channel(args["channel"])
    if channel["is_im"]:
        raise SlackError("method_not_supported_for_channel_type")
    new = ws.team.join(channel, BOT_USER)
    more = {} if new else {"warning": "already_in_channel", "response_metadata": {"warnings": ["already_in_channel"]}}
    return {"channel": ws.team.channel_object(channel), **more}


@method("conversations.leave", "channels:manage", "channels:join")
async def leave(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel")
    ws.team.leave(ws.team.channel(args["channel"]), BOT_USER)
    return {}


@method("conversations.invite", "channels:manage", "groups:write")
async def invite(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel", "users")
    channel = ws.team.channel(args["channel"])
    for user in str(args["users"]).split(","):
        if user not in ws.team.people:
            raise SlackError("user_not_found")
        ws.team.join(channel, user)
    return {"channel": ws.team.channel_object(channel)}


@method("conversations.members", *READ)
async def members(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel")
    shown, cursor = page(ws.team.channel(args["channel"])["_members"], args)
    return {"members": shown, "response_metadata": {"next_cursor": cursor}}
