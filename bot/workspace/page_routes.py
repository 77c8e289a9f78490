"""The page and its fragments: `/ui/<pane>` gives one pane's HTML, and `/` all of them in their shell."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from .html import page, shell
from .html.look import Look, esc
from .messages import is_root
from .snapshot import snapshot
from .team import BOT_USER

if TYPE_CHECKING:
    from .server import Workspace

STATIC = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SHOWN = 120


def add(ws: Workspace, app: web.Application, bound) -> None:
    """Bind the page's addresses."""
    app.router.add_get("/", bound(whole))
    app.router.add_get("/ui/{pane}", bound(fragment))
    app.router.add_get("/archives/{channel}/{ts}", bound(permalink))
    app.router.add_get("/static/{name}", bound(static))


def look_of(ws: Workspace, viewer: str) -> Look:
    """How `viewer` sees the world; times on this machine's clock, where the browser is too."""

    def channel(ident: str) -> str:
        found = ws.team.find_channel(ident)
        return (found or {}).get("name") or ident

    def group(ident: str) -> str:
        return next((g.handle for g in ws.team.groups if g.id == ident.split("|")[0]), ident)

    return Look(
        user=ws.team.display_name, channel=channel, group=group, file=ws.files.get, viewer=viewer,
        zone=datetime.now().astimezone().tzinfo,
        people=tuple((p.id, p.real_name or p.name) for p in ws.team.people.values()),
        channels=tuple((c["id"], c["name"]) for c in ws.team.channels() if not c["is_im"]),
    )  # fmt: skip


class Place:
    """Where one person is on the page, from the query: `as`, `channel` or `home`, `thread`."""

    def __init__(self, ws: Workspace, request: web.Request) -> None:
        query = request.query
        first = next(iter(ws.team.people))
        person = ws.team.person(query.get("as") or request.cookies.get("as") or "")
        self.user = person.id if person else first
        given = query.get("channel", "")
        found = ws.team.open_dm(self.user) if given == "dm" else ws.team.find_channel(given)
        if found is None or self.user not in found["_members"]:
            mine = [c for c in ws.team.channels() if self.user in c["_members"] and not c["is_im"]]
            found = mine[0] if mine else ws.team.open_dm(self.user)
        self.channel = found
        self.home = bool(query.get("home")) and ws.team.manifest.home_tab
        thread = query.get("thread", "")
        self.thread = thread if ws.messages.get(found["id"], thread) else ""
        self.look = look_of(ws, self.user)


async def whole(ws: Workspace, request: web.Request) -> web.Response:
    """The document."""
    at = Place(ws, request)
    boot = {
        "as": ws.team.people[at.user].name, "user": at.user, "seq": ws.feed.seq,
        "channel": at.channel["id"], "home": at.home, "thread": at.thread,
        "commands": [
            {"text": c["command"], "about": c.get("description", ""), "usage": c.get("usage_hint", "")}
            for c in ws.team.manifest.commands
        ],
        "names": [
            {"text": f"@{ws.team.handle(u)}", "about": ws.team.display_name(u)} for u in (BOT_USER, *ws.team.people)
        ] + [{"text": f"#{n}", "about": "channel"} for _, n in at.look.channels],
    }  # fmt: skip
    panes = {name: await PANES[name](ws, at) for name in ("sidebar", "main", "thread", "modal")}
    top = shell.top_bar(ws.team.name, ws.banner)
    text = shell.document(
        f"{ws.team.name}: local workspace", boot, top, panes["sidebar"], panes["main"], panes["thread"], panes["modal"]
    )  # fmt: skip
    return web.Response(text=text, content_type="text/html")


async def fragment(ws: Workspace, request: web.Request) -> web.Response:
    """One pane."""
    pane = PANES.get(request.match_info["pane"])
    if pane is None:
        return web.Response(status=404, text=f"panes are {', '.join(PANES)}")
    text = await pane(ws, Place(ws, request))
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


async def permalink(ws: Workspace, request: web.Request) -> web.Response:
    """chat.getPermalink's address leads to the message on the page."""
    channel, digits = request.match_info["channel"], request.match_info["ts"].removeprefix("p")
    ts = f"{digits[:-6]}.{digits[-6:]}"
    message = ws.messages.get(channel, ts)
    thread = request.query.get("thread_ts") or (message or {}).get("thread_ts") or ""
    more = f"&thread={thread}" if thread else ""
    raise web.HTTPFound(f"/?channel={channel}{more}&at={ts}")


async def static(ws: Workspace, request: web.Request) -> web.Response:
    """The page's own style, script and pictures."""
    path = STATIC / request.match_info["name"]
    if path.parent != STATIC or not path.is_file() or path.suffix not in TYPES:
        return web.Response(status=404, text="no such file")
    headers = {"Cache-Control": "no-cache"}
    return web.Response(body=_bytes(path), content_type=TYPES[path.suffix], charset="utf-8", headers=headers)


@cache
def _bytes(path: Path) -> bytes:
    return path.read_bytes()


async def sidebar(ws: Workspace, at: Place) -> str:
    people = [
        {"id": p.id, "name": p.name, "real_name": p.real_name or p.name, "title": p.title, "kind": p.kind}
        for p in ws.team.people.values()
    ]
    places = [_place(ws, c, at) for c in ws.team.channels() if at.user in c["_members"]]
    manifest = ws.team.manifest
    app = {"name": manifest.app_name, "connected": bool(ws.hub.connected), "home": manifest.home_tab}
    here = "home" if at.home else at.channel["id"]
    return shell.sidebar(people, at.user, [p for p in places if p], here, app, at.look)


def _place(ws: Workspace, channel: dict, at: Place) -> dict | None:
    if channel["is_im"] and not ws.team.manifest.messages_tab:
        return None
    seen = float(ws.store.rows("read").get(f"{at.user}/{channel['id']}", {}).get("ts", 0))
    new = [m for m in ws.messages.all_in(channel["id"]) if float(m["ts"]) > seen and m["user"] != at.user]
    mine = f"<@{at.user}>"
    count = len(new) if channel["is_im"] else sum(mine in m["text"] for m in new)
    return {
        "id": channel["id"], "name": channel.get("name", ""), "im": channel["is_im"],
        "unread": bool(new) and channel["id"] != at.channel["id"],
        "mentions": 0 if channel["id"] == at.channel["id"] else count,
    }  # fmt: skip


async def main(ws: Workspace, at: Place) -> str:
    """App Home, or a conversation with its head and composer."""
    name = ws.team.manifest.app_name
    if at.home:
        inner = await home(ws, at)
        return (
            f'<div class="head"><button type="button" class="icon back" data-back aria-label="Channels">'
            f"{page.icon('back')}</button><h1>{esc(name)}</h1><p>Home</p></div>"
            f'<div id="home" class="pane" tabindex="-1">{inner}</div>'
        )
    channel = at.channel
    title = esc(name) if channel["is_im"] else f"#{esc(channel['name'])}"
    about = ws.team.manifest.description if channel["is_im"] else channel["purpose"]["value"]
    to = name if channel["is_im"] else f"#{channel['name']}"
    return (
        f'<div class="head"><button type="button" class="icon back" data-back aria-label="Channels">'
        f"{page.icon('back')}</button><h1>{title}</h1><p>{esc(about)}</p></div>"
        f'<div id="messages" class="pane" role="log" aria-label="Messages in {title}" tabindex="-1">'
        f'{await messages(ws, at)}</div><div id="prompts">{await prompts(ws, at)}</div>{page.composer(f"Message {to}")}'
    )


async def messages(ws: Workspace, at: Place) -> str:
    channel = at.channel["id"]
    shown = ws.messages.in_channel(channel)[-SHOWN:]
    since = float(shown[0]["ts"]) if shown else 0
    whispers = [w for w in ws.messages.whispers(channel, at.user) if float(w["ts"]) >= since and is_root(w)]
    run = sorted([*shown, *whispers], key=lambda m: float(m["ts"]))
    if not run:
        return '<div class="empty"><p>Nothing here yet.</p></div>'
    statuses = {ts: s for (c, ts), s in ws.assistant.statuses.items() if c == channel}
    return page.messages(run, at.look, "channel", statuses)


async def thread(ws: Workspace, at: Place) -> str:
    if not at.thread:
        return ""
    channel = at.channel["id"]
    run = ws.messages.thread(channel, at.thread)
    whispers = [w for w in ws.messages.whispers(channel, at.user) if w.get("thread_ts") == at.thread]
    run = sorted([*run, *whispers], key=lambda m: float(m["ts"]))
    status = ws.assistant.statuses.get((channel, at.thread), "")
    last = run[-1]["ts"] if run else ""
    title = ws.assistant.title(channel, at.thread) or "Thread"
    place = at.channel.get("name")
    return (
        f'<div class="head"><button type="button" class="icon back" data-unthread aria-label="Back">'
        f"{page.icon('back')}</button><h2>{esc(title)}</h2><p>{f'#{esc(place)}' if place else ''}</p>"
        f'<span class="grow"></span><button type="button" class="icon shut" data-unthread aria-label="Close thread">'
        f'{page.icon("close")}</button></div><div id="replies" class="pane" role="log" aria-label="Thread">'
        f"{page.messages(run, at.look, 'thread', {last: status})}</div>{page.composer('Reply', at.thread)}"
    )


async def home(ws: Workspace, at: Place) -> str:
    return page.home(ws.views.home(at.user), at.look, ws.team.manifest.app_name)


async def modal(ws: Workspace, at: Place) -> str:
    return page.modal(ws.views.stack(at.user), at.look)


async def prompts(ws: Workspace, at: Place) -> str:
    """Suggested prompts of the agent's direct message."""
    if not at.channel["is_im"]:
        return ""
    known = ws.assistant.prompts(at.channel["id"]) or {"title": "", "prompts": ws.team.manifest.prompts}
    items = "".join(
        f'<button type="button" class="prompt" data-prompt="{esc(p.get("message", ""))}">'
        f"{esc(p.get('title', ''))}</button>"
        for p in known["prompts"]
    )
    title = f"<p>{esc(known['title'])}</p>" if known["title"] else ""
    return title + items if items else ""


async def panel(ws: Workspace, at: Place) -> str:
    return shell.panel(snapshot(ws), at.look)


async def banner(ws: Workspace, at: Place) -> str:
    return esc(ws.banner)


PANES = {
    "sidebar": sidebar, "main": main, "messages": messages, "thread": thread, "home": home, "modal": modal,
    "prompts": prompts, "panel": panel, "banner": banner,
}  # fmt: skip
