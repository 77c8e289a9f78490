"""Who is there, what they think: auth.test, apps.connections.open, users.*, usergroups.*, bots.info, reactions.*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SlackError
from ..messages import bot_profile, public
from ..team import APP_ID, BOT_ID, BOT_USER, DOMAIN, TEAM_ID
from ..web_api import method, wanted
from .conversations import page

if TYPE_CHECKING:
    from ..server import Workspace


@method("api.test")
async def api_test(ws: Workspace, args: dict) -> dict:
    return {"args": {k: v for k, v in args.items() if isinstance(v, str)}}


@method("auth.test")
async def auth_test(ws: Workspace, args: dict) -> dict:
    return {
        "url": f"{ws.url}/", "team": ws.team.name, "user": ws.team.manifest.bot_name, "team_id": TEAM_ID,
        "user_id": BOT_USER, "bot_id": BOT_ID, "app_id": APP_ID, "is_enterprise_install": False,
    }  # fmt: skip


@method("apps.connections.open", token="app")
async def connections_open(ws: Workspace, args: dict) -> dict:
    return {"url": f"{ws.url.replace('http', 'ws', 1)}/link/?ticket={ws.tickets.link()}&app_id={APP_ID}"}


@method("users.list", "users:read")
async def users_list(ws: Workspace, args: dict) -> dict:
    shown, cursor = page(ws.team.users(), args)
    return {"members": shown, "cache_ts": int(ws.team.now()), "response_metadata": {"next_cursor": cursor}}


@method("users.info", "users:read")
async def users_info(ws: Workspace, args: dict) -> dict:
    wanted(args, "user")
    return {"user": ws.team.user(str(args["user"]))}


@method("users.lookupByEmail", "users:read.email")
async def users_lookup_by_email(ws: Workspace, args: dict) -> dict:
    wanted(args, "email")
    for user_id in ws.team.people:
        user = ws.team.user(user_id)
        if user["profile"]["email"] == args["email"]:
            return {"user": user}
    raise SlackError("users_not_found")


@method("usergroups.list", "usergroups:read")
async def usergroups_list(ws: Workspace, args: dict) -> dict:
    return {"usergroups": ws.team.usergroups()}


@method("usergroups.users.list", "usergroups:read")
async def usergroups_users_list(ws: Workspace, args: dict) -> dict:
    wanted(args, "usergroup")
    for group in ws.team.groups:
        if group.id == args["usergroup"]:
            return {"users": ws.team.group_members(group)}
    raise SlackError("no_such_subteam")


@method("team.info", "team:read")
async def team_info(ws: Workspace, args: dict) -> dict:
    return {"team": {"id": TEAM_ID, "name": ws.team.name, "domain": DOMAIN, "url": f"{ws.url}/", "icon": {}}}


@method("bots.info", "users:read")
async def bots_info(ws: Workspace, args: dict) -> dict:
    if args.get("bot", BOT_ID) != BOT_ID:
        raise SlackError("bot_not_found")
    return {"bot": bot_profile(ws.team)}


def reacted(ws: Workspace, args: dict) -> tuple[dict, dict]:
    wanted(args, "channel", "timestamp")
    channel = ws.team.channel(args["channel"])
    message = ws.messages.get(channel["id"], str(args["timestamp"]))
    if message is None:
        raise SlackError("message_not_found")
    return channel, message


@method("reactions.add", "reactions:write")
async def reactions_add(ws: Workspace, args: dict) -> dict:
    channel, message = reacted(ws, args)
    if not args.get("name"):
        raise SlackError("invalid_name")
    ws.messages.react(channel, message, BOT_USER, str(args["name"]).strip(":"))
    return {}


@method("reactions.remove", "reactions:write")
async def reactions_remove(ws: Workspace, args: dict) -> dict:
    channel, message = reacted(ws, args)
    ws.messages.react(channel, message, BOT_USER, str(args.get("name") or "").strip(":"), add=False)
    return {}


@method("reactions.get", "reactions:read")
async def reactions_get(ws: Workspace, args: dict) -> dict:
    channel, message = reacted(ws, args)
    return {"type": "message", "channel": channel["id"], "message": public(message)}
