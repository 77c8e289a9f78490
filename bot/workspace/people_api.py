"""The people interface: JSON over HTTP by which the page and scripts act as a person. Table in `bot.workspace`."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from .errors import PersonError, SlackError
from .gestures import operable
from .messages import public

if TYPE_CHECKING:
    from .server import Workspace

Handler = Callable[["Workspace", dict], Awaitable[dict]]
READS: dict[str, Handler] = {}
ACTS: dict[str, Handler] = {}
LONGEST_WAIT = 60.0


def read(name: str) -> Callable[[Handler], Handler]:
    """Register `GET /people/<name>`."""
    return lambda handler: READS.setdefault(name, handler)


def act(name: str) -> Callable[[Handler], Handler]:
    """Register `POST /people/<name>`."""
    return lambda handler: ACTS.setdefault(name, handler)


async def on_get(ws: Workspace, request: web.Request) -> web.Response:
    """Answer a read."""
    return await _answer(ws, READS, request.match_info["what"], dict(request.query))


async def on_post(ws: Workspace, request: web.Request) -> web.Response:
    """Answer a gesture; the body must be a JSON object."""
    if request.content_type != "application/json":
        return web.json_response({"ok": False, "error": "send application/json"}, status=415)
    try:
        args = json.loads(await request.read() or b"{}")
    except ValueError:
        args = None
    if not isinstance(args, dict):
        return web.json_response({"ok": False, "error": "the body must be a JSON object"}, status=400)
    return await _answer(ws, ACTS, request.match_info["what"], args)


async def _answer(ws: Workspace, table: dict[str, Handler], name: str, args: dict) -> web.Response:
    handler = table.get(name)
    if handler is None:
        known = ", ".join(sorted(table))
        return web.json_response({"ok": False, "error": f"no /people/{name}; there are: {known}"}, status=404)
    started = time.perf_counter()
    try:
        body, status = {"ok": True, **await handler(ws, args)}, 200
    except PersonError as error:
        body, status = error.body(), error.status
    except SlackError as error:
        body, status = {"ok": False, "error": error.code, "messages": error.messages}, 404
    body["ms"] = round((time.perf_counter() - started) * 1000, 2)
    return web.json_response(body, status=status)


def actor(ws: Workspace, args: dict) -> str:
    """The user id named by `as`. Raises PersonError."""
    person = ws.team.person(str(args.get("as") or ""))
    if person is None:
        known = ", ".join(p.name for p in ws.team.people.values())
        raise PersonError(f"as={args.get('as')!r} is nobody here; people are {known}", 404)
    return person.id


def place(ws: Workspace, args: dict, user: str) -> dict:
    """The channel named by `channel` (id, name, or `dm`: the person's own with the app). Raises PersonError."""
    given = str(args.get("channel") or "")
    channel = ws.team.open_dm(user) if given == "dm" else ws.team.find_channel(given)
    if channel is None or user not in channel["_members"]:
        raise PersonError(f"{ws.team.display_name(user)} has no channel {given!r}.", 404)
    return channel


def field(args: dict, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise PersonError(f"{name} is missing", 400)
    return value


def seen(message: dict) -> dict:
    """A message as a person sees it, with what can be operated in it."""
    shown = public(message, metadata=True)
    shown |= {"channel": message["_channel"], "edits": message.get("_edits", 0), "actions": operable(message["blocks"])}
    return shown | {"ephemeral": bool(message.get("is_ephemeral")), "streaming": bool(message.get("_stream"))}


@read("list")
async def people(ws: Workspace, args: dict) -> dict:
    """Everyone who can be acted as."""
    return {
        "people": [
            {"id": p.id, "name": p.name, "real_name": p.real_name, "title": p.title, "kind": p.kind, "admin": p.admin}
            for p in ws.team.people.values()
        ],
        "groups": ws.team.usergroups(),
    }


@read("channels")
async def channels(ws: Workspace, args: dict) -> dict:
    user = actor(ws, args)
    mine = [c for c in ws.team.channels() if user in c["_members"]]
    return {"channels": [ws.team.channel_object(c) for c in mine]}


@read("messages")
async def messages(ws: Workspace, args: dict) -> dict:
    """What a person sees in a channel (or thread), oldest first, their ephemerals among it; all channels if none."""
    user = actor(ws, args)
    places = [place(ws, args, user)] if args.get("channel") else ws.team.channels()
    found = []
    for channel in places:
        if user not in channel["_members"]:
            continue
        thread = args.get("thread_ts")
        shown = ws.messages.thread(channel["id"], thread) if thread else ws.messages.all_in(channel["id"])
        whispers = ws.messages.whispers(channel["id"], user)
        found += shown + [w for w in whispers if not thread or w.get("thread_ts") == thread]
    found.sort(key=lambda m: float(m["ts"]))
    limit = int(args.get("limit") or 200)
    return {"messages": [seen(m) for m in found[-limit:]], "seq": ws.feed.seq}


@read("ephemerals")
async def ephemerals(ws: Workspace, args: dict) -> dict:
    user = actor(ws, args)
    found = [m for c in ws.team.channels() for m in ws.messages.whispers(c["id"], user)]
    return {"messages": [seen(m) for m in sorted(found, key=lambda m: float(m["ts"]))], "seq": ws.feed.seq}


@read("views")
async def views(ws: Workspace, args: dict) -> dict:
    """The person's open modals, bottom first."""
    stack = ws.views.stack(actor(ws, args))
    return {"views": [ws.views.object(v) | {"actions": operable(v["blocks"])} for v in stack], "seq": ws.feed.seq}


@read("home")
async def home(ws: Workspace, args: dict) -> dict:
    view = ws.views.home(actor(ws, args))
    shown = ws.views.object(view) | {"actions": operable(view["blocks"])} if view else None
    return {"view": shown, "seq": ws.feed.seq}


@read("wait")
async def wait(ws: Workspace, args: dict) -> dict:
    """Long poll: changes after `since` (null: start over), within `timeout` seconds."""
    try:
        since, timeout = int(args.get("since") or 0), min(float(args.get("timeout") or 25), LONGEST_WAIT)
    except ValueError as error:
        raise PersonError("since and timeout must be numbers", 400) from error
    return {"changes": await ws.feed.wait(since, timeout), "seq": ws.feed.seq}


@act("say")
async def say(ws: Workspace, args: dict) -> dict:
    user = actor(ws, args)
    message = ws.gestures.say(user, place(ws, args, user), field(args, "text"), args.get("thread_ts"))
    return {"message": seen(message)}


@act("command")
async def command(ws: Workspace, args: dict) -> dict:
    user = actor(ws, args)
    return await ws.gestures.command(user, place(ws, args, user), field(args, "text"))


@act("click")
async def click(ws: Workspace, args: dict) -> dict:
    """Operate an element of a message (`channel`, `ts`) or of a view (`view_id`)."""
    user, action_id = actor(ws, args), field(args, "action_id")
    how = (action_id, args.get("block_id"), args.get("value"), args.get("confirmed") is True, args.get("state"))
    if args.get("view_id"):
        return await ws.gestures.click_view(user, field(args, "view_id"), *how)
    return await ws.gestures.click(user, place(ws, args, user), field(args, "ts"), *how)


@act("suggest")
async def suggest(ws: Workspace, args: dict) -> dict:
    """Options of an external select in a view."""
    user = actor(ws, args)
    view = ws.views.opened(field(args, "view_id"), user)
    where = {"container": {"type": "view", "view_id": view["id"]}, "view": ws.views.object(view)}
    typed = str(args.get("value") or "")
    return {"options": await ws.gestures.suggest(user, view["blocks"], field(args, "action_id"), typed, where)}


@act("submit")
async def submit(ws: Workspace, args: dict) -> dict:
    return await ws.gestures.submit(actor(ws, args), field(args, "view_id"), args.get("values"))


@act("close")
async def close(ws: Workspace, args: dict) -> dict:
    return await ws.gestures.close(actor(ws, args), field(args, "view_id"), args.get("everything") is True)


@act("open_home")
async def open_home(ws: Workspace, args: dict) -> dict:
    return ws.gestures.open_home(actor(ws, args), "messages" if args.get("tab") == "messages" else "home")


@act("shortcut")
async def shortcut(ws: Workspace, args: dict) -> dict:
    return await ws.gestures.shortcut(actor(ws, args), field(args, "callback_id"))


@act("react")
async def react(ws: Workspace, args: dict) -> dict:
    user = actor(ws, args)
    return ws.gestures.react(user, place(ws, args, user), field(args, "ts"), field(args, "name"))


@act("dismiss")
async def dismiss(ws: Workspace, args: dict) -> dict:
    """Take an ephemeral away ("Only visible to you - Dismiss")."""
    user = actor(ws, args)
    whisper = ws.messages.whispered(place(ws, args, user)["id"], field(args, "ts"))
    if whisper is None or whisper["_to"] != user:
        raise PersonError("This message is gone.", 404)
    ws.messages.hush(whisper)
    return {}


@act("mark_read")
async def mark_read(ws: Workspace, args: dict) -> dict:
    """Everything in `channel` up to `ts` has been seen by the person."""
    user = actor(ws, args)
    channel = place(ws, args, user)
    ws.team.store.put("read", f"{user}/{channel['id']}", {"ts": field(args, "ts")})
    ws.feed.tell("read", user=user, channel=channel["id"])
    return {}
