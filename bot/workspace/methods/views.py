"""views.open, push, update, publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SlackError
from ..web_api import method, wanted

if TYPE_CHECKING:
    from ..server import Workspace


def _triggered(ws: Workspace, args: dict) -> str:
    wanted(args, "view")
    trigger = args.get("trigger_id") or args.get("interactivity_pointer")
    if not trigger:
        raise SlackError("invalid_arguments", ["[ERROR] missing required field: trigger_id"])
    return ws.tickets.redeem(trigger)


@method("views.open")
async def open_(ws: Workspace, args: dict) -> dict:
    view = ws.views.open(_triggered(ws, args), args["view"])
    return {"view": ws.views.object(view)}


@method("views.push")
async def push(ws: Workspace, args: dict) -> dict:
    view = ws.views.push(_triggered(ws, args), args["view"])
    return {"view": ws.views.object(view)}


@method("views.update")
async def update(ws: Workspace, args: dict) -> dict:
    wanted(args, "view")
    if not args.get("view_id") and not args.get("external_id"):
        raise SlackError("invalid_arguments", ["[ERROR] must define either `view_id` or `external_id`"])
    old = ws.views.get(args.get("view_id"), args.get("external_id"))
    return {"view": ws.views.object(ws.views.update(old, args["view"], args.get("hash")))}


@method("views.publish")
async def publish(ws: Workspace, args: dict) -> dict:
    wanted(args, "user_id", "view")
    if args["user_id"] not in ws.team.people:
        raise SlackError("user_not_found")
    if not ws.team.manifest.home_tab:
        raise SlackError("not_enabled")
    return {"view": ws.views.object(ws.views.publish(args["user_id"], args["view"], args.get("hash")))}
