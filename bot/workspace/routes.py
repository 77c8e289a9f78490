"""Every address of the workspace, and the guard before them all."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from . import people_api, web_api
from .errors import PersonError, SlackError
from .faults import KINDS
from .files import INLINE
from .snapshot import snapshot

if TYPE_CHECKING:
    from .server import Workspace

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; "
    "img-src 'self' data: http://127.0.0.1:* http://localhost:*; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def guard(ws: Workspace):
    """Refuses other Host headers (DNS rebinding) and requests that a foreign page makes a browser send."""

    @web.middleware
    async def check(request: web.Request, handler) -> web.StreamResponse:
        if not _ours(ws, request.host):
            return web.Response(status=421, text=f"This is the local workspace at {ws.url}, not {request.host}.")
        origin = request.headers.get("Origin")
        foreign = origin is not None and not _ours(ws, urlsplit(origin).netloc)
        crossed = request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
        if foreign or (crossed and request.method != "GET"):
            return web.Response(status=403, text="Cross-origin requests are refused.")
        return await handler(request)

    return check


def _ours(ws: Workspace, host: str) -> bool:
    port = urlsplit(ws.url).port
    return host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}")


def add(ws: Workspace, app: web.Application) -> None:
    """Bind every address to its handler."""
    from . import page_routes

    def bound(handler):
        async def answer(request: web.Request) -> web.StreamResponse:
            return await handler(ws, request)

        return answer

    app.router.add_get("/api/{method}", bound(web_api.handle))
    app.router.add_post("/api/{method}", bound(web_api.handle))
    app.router.add_get("/link/", bound(link))
    app.router.add_post("/upload/v1/{ticket}", bound(upload))
    app.router.add_get("/files/{id}/{name}", bound(download))
    app.router.add_post("/response/{key}", bound(response_url))
    app.router.add_get("/people/{what}", bound(people_api.on_get))
    app.router.add_post("/people/{what}", bound(people_api.on_post))
    app.router.add_get("/workspace/state", bound(state))
    app.router.add_post("/workspace/{what}", bound(control))
    app.router.add_get("/events", bound(events))
    page_routes.add(ws, app, bound)
    app.on_response_prepare.append(_add_headers)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


async def link(ws: Workspace, request: web.Request) -> web.StreamResponse:
    """Socket Mode; the ticket comes from apps.connections.open and works once."""
    if not ws.tickets.connect(request.query.get("ticket", "")):
        return web.Response(status=404, text="link_disabled")
    return await ws.hub.on_connect(request)


async def upload(ws: Workspace, request: web.Request) -> web.Response:
    """The bytes of a file whose address came from files.getUploadURLExternal: raw or as a form."""
    row = ws.files.by_ticket(request.match_info["ticket"])
    if row is None or row["_state"] != "expected":
        return web.Response(status=404, text="upload address is unknown or used")
    if request.content_type.startswith("multipart/"):
        parts = await request.post()
        part = next((p for p in parts.values() if isinstance(p, web.FileField)), None)
        content = part.file.read() if part is not None else b""
    else:
        content = await request.read()
    if not content:
        return web.Response(status=400, text="the upload is empty")
    await asyncio.to_thread(ws.files.write, row, content) if len(content) > 5_000_000 else ws.files.write(row, content)
    return web.Response(text=f"OK - {len(content)}")


async def download(ws: Workspace, request: web.Request) -> web.StreamResponse:
    """A file's bytes: images inline, anything else as a download that no browser runs."""
    row = ws.files.get(request.match_info["id"])
    if row is None or not ws.files.path(row).exists():
        return web.Response(status=404, text="no such file")
    kind = row["mimetype"] if row["mimetype"] in INLINE else "application/octet-stream"
    where = "inline" if row["mimetype"] in INLINE else f'attachment; filename="{row["name"]}"'
    headers = {"Content-Type": kind, "Content-Disposition": where, "Cache-Control": "private, max-age=86400"}
    return web.FileResponse(ws.files.path(row), headers=headers)


async def response_url(ws: Workspace, request: web.Request) -> web.Response:
    """Five answers in thirty minutes to one interaction or command."""
    try:
        body = await web_api.arguments(request)
        about = ws.tickets.respond(request.match_info["key"])
        ws.gestures.respond_with(ws.team.channel(about["channel"]), about["user"], body, about)
    except SlackError as error:
        return web.json_response(error.body(), status=error.status if error.status != 200 else 400)
    finally:
        ws.calls.note("response_url", {}, "ok", 0.0, ws.team.now())
    return web.Response(text="ok")


async def state(ws: Workspace, request: web.Request) -> web.Response:
    """What the workspace itself knows: sockets, faults, the app's last calls and deliveries, counts by method."""
    return web.json_response({"ok": True, **snapshot(ws)})


async def control(ws: Workspace, request: web.Request) -> web.Response:
    """POST /workspace/banner {text}; /faults {kind, method, times, seconds}; /calm; /disconnect; /refresh."""
    what = request.match_info["what"]
    if request.content_type != "application/json":
        return web.json_response({"ok": False, "error": "send application/json"}, status=415)
    try:
        args = json.loads(await request.read() or b"{}")
        if what == "banner":
            ws.set_banner(str(args.get("text", "")))
        elif what == "faults":
            order = {k: args[k] for k in ("kind", "method", "times", "seconds") if k in args}
            ws.faults.order(**{"kind": "", **order})
        elif what == "calm":
            ws.faults.clear()
        elif what == "disconnect":
            ws.hub.cut()
        elif what == "refresh":
            await ws.hub.refresh()
        else:
            raise PersonError(f"no /workspace/{what}; there are banner, faults, calm, disconnect, refresh", 404)
    except PersonError as error:
        return web.json_response(error.body(), status=error.status)
    except (ValueError, AttributeError) as error:
        return web.json_response({"ok": False, "error": f"not usable: {error}"}, status=400)
    ws.feed.tell("faults")
    return web.json_response({"ok": True, "faults": ws.faults.listed(), "kinds": KINDS})


async def events(ws: Workspace, request: web.Request) -> web.StreamResponse:
    """The page's EventSource: one `data:` line per change; a reader that fell behind is told to reload."""
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", **HEADERS})
    await stream.prepare(request)
    given = request.headers.get("Last-Event-ID") or request.query.get("since") or ""
    seq = int(given) if given.isdigit() else ws.feed.seq
    await stream.write(b": hello\n\n")
    while True:
        changes = await ws.feed.wait(seq, 15)
        if changes is None:
            changes = [{"seq": ws.feed.seq, "kind": "reload"}]
        lines = [f"id: {c['seq']}\ndata: {json.dumps(c)}\n\n" for c in changes] or [": still here\n\n"]
        try:
            await stream.write("".join(lines).encode())
        except ConnectionError:
            return stream
        seq = changes[-1]["seq"] if changes else seq
        if any(c["kind"] == "closing" for c in changes):
            return stream
