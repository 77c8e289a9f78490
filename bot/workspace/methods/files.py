"""files.getUploadURLExternal, completeUploadExternal, info, delete: what files_upload_v2 calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SlackError
from ..files import MOST_BYTES
from ..team import BOT_USER
from ..web_api import method, wanted
from .chat import postable

if TYPE_CHECKING:
    from ..server import Workspace


@method("files.getUploadURLExternal", "files:write")
async def get_upload_url(ws: Workspace, args: dict) -> dict:
    wanted(args, "filename", "length")
    try:
        length = int(args["length"])
    except ValueError as error:
        raise SlackError("invalid_arguments", ["[ERROR] length must be an integer"]) from error
    if not 1 <= length <= MOST_BYTES:
        raise SlackError("file_uploads_disabled" if length < 1 else "file_too_large")
    row = ws.files.expect(str(args["filename"]), length, str(args.get("alt_txt") or ""))
    return {"upload_url": f"{ws.url}/upload/v1/{row['_ticket']}", "file_id": row["id"]}


@method("files.completeUploadExternal", "files:write")
async def complete_upload(ws: Workspace, args: dict) -> dict:
    given = args.get("files")
    if not isinstance(given, list) or not given or not all(isinstance(f, dict) and f.get("id") for f in given):
        raise SlackError("invalid_arguments", ["[ERROR] files must be an array of objects with an id"])
    rows = []
    for item in given:
        row = ws.files.get(str(item["id"]))
        if row is None or row["_state"] == "expected":
            raise SlackError("file_not_found")
        rows.append(row | {"title": item.get("title") or row["title"], "_state": "complete"})
    places = [args["channel_id"]] if args.get("channel_id") else str(args.get("channels") or "").split(",")
    channels = [postable(ws, place) for place in places if place]
    for row in rows:
        row["channels"] = [c["id"] for c in channels]
        ws.team.store.put("file", row["id"], row)
    for channel in channels:
        message = ws.messages.post(
            channel, BOT_USER, args.get("initial_comment") or "", [], args.get("thread_ts"),
            files=[ws.files.object(r) for r in rows], upload=False,
        )  # fmt: skip
        for row in rows:
            row["shares"].setdefault("public", {}).setdefault(channel["id"], []).append({"ts": message["ts"]})
            ws.team.store.put("file", row["id"], row)
    return {"files": [ws.files.object(r) for r in rows]}


def _file(ws: Workspace, args: dict) -> dict:
    wanted(args, "file")
    row = ws.files.get(str(args["file"]))
    if row is None:
        raise SlackError("file_not_found")
    return row


@method("files.info", "files:read")
async def info(ws: Workspace, args: dict) -> dict:
    return {"file": ws.files.object(_file(ws, args)), "comments": [], "response_metadata": {"next_cursor": ""}}


@method("files.delete", "files:write")
async def delete(ws: Workspace, args: dict) -> dict:
    row = _file(ws, args)
    ws.team.store.drop("file", row["id"])
    ws.files.path(row).unlink(missing_ok=True)
    for channel in ws.team.channels():
        for message in ws.messages.all_in(channel["id"]):
            left = [f for f in message.get("files", ()) if f["id"] != row["id"]]
            if len(left) != len(message.get("files", ())):
                ws.messages.edit(channel, message, BOT_USER, silent=True, files=left)
    return {}
