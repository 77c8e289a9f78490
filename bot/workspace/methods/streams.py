"""chat.startStream, appendStream, stopStream: answers that grow while they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SlackError
from ..limits import MARKDOWN
from ..messages import public
from ..team import BOT_USER, TEAM_ID
from ..web_api import method, wanted
from .chat import checked_blocks, metadata, own_message, postable

if TYPE_CHECKING:
    from ..server import Workspace

STREAM_SECONDS = 300
STATUSES = ("pending", "in_progress", "complete", "error")


def chunks_of(args: dict) -> list[dict]:
    """`markdown_text` and `chunks` as one list of chunks. Raises `msg_too_long`, `invalid_chunks`."""
    given = args.get("chunks") or []
    if not isinstance(given, list) or not all(isinstance(c, dict) for c in given):
        raise SlackError("invalid_chunks")
    text = args.get("markdown_text")
    chunks = [*([{"type": "markdown_text", "text": text}] if text else []), *given]
    for chunk in chunks:
        if chunk.get("type") == "markdown_text" and len(chunk.get("text", "")) > MARKDOWN:
            raise SlackError("msg_too_long")
        if chunk.get("type") == "task_update" and chunk.get("status") not in STATUSES:
            raise SlackError("invalid_chunks", [f"[ERROR] status must be one of {', '.join(STATUSES)}"])
    return chunks


def grown(ws: Workspace, parts: list[dict], chunks: list[dict]) -> list[dict]:
    """The stream's parts after more chunks: text joins text, a task updates the task of the same id."""
    parts = [dict(part) for part in parts]
    for chunk in chunks:
        kind = chunk.get("type")
        if kind == "markdown_text":
            if parts and parts[-1]["type"] == "markdown":
                parts[-1]["text"] += chunk["text"]
            else:
                parts.append({"type": "markdown", "text": chunk["text"]})
        elif kind == "task_update":
            fields = {k: v for k, v in chunk.items() if k not in ("type", "id") and v is not None}
            known = next((p for p in parts if p["type"] == "task_card" and p["task_id"] == chunk["id"]), None)
            if known is None:
                known = {"type": "task_card", "task_id": chunk["id"]}
                parts.append(known)
            # Slack appends to details and output, and replaces the rest.
            for key in ("details", "output"):
                if isinstance(fields.get(key), str):
                    fields[key] = f"{known.get(key, '')}{fields[key]}"
            known.update(fields)
        elif kind == "plan_update":
            known = next((p for p in parts if p["type"] == "plan"), None)
            if known is None:
                parts.insert(0, {"type": "plan", "title": chunk["title"]})
            else:
                known["title"] = chunk["title"]
        elif kind == "blocks":
            parts += checked_blocks(ws, chunk.get("blocks"))
        else:
            raise SlackError("invalid_chunks", [f"[ERROR] unsupported type: {kind}"])
    return parts


def as_blocks(parts: list[dict], mode: str) -> list[dict]:
    """Blocks of a stream: `timeline` keeps the order, `plan` gathers the tasks under one plan."""
    plan = next((p for p in parts if p["type"] == "plan"), None)
    if mode != "plan" and plan is None:
        return [dict(p) for p in parts]
    tasks = [dict(p) for p in parts if p["type"] == "task_card"]
    title = (plan or {}).get("title") or (tasks[0]["title"] if tasks else "")
    gathered = [{"type": "plan", "title": title, "tasks": tasks}] if tasks or plan else []
    return gathered + [dict(p) for p in parts if p["type"] not in ("task_card", "plan")]


def text_of(parts: list[dict]) -> str:
    return "".join(p["text"] for p in parts if p["type"] == "markdown")


@method("chat.startStream", "chat:write")
async def start_stream(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel", "thread_ts")
    channel = postable(ws, args["channel"])
    if not channel["is_im"]:
        if not args.get("recipient_team_id"):
            raise SlackError("missing_recipient_team_id")
        if not args.get("recipient_user_id"):
            raise SlackError("missing_recipient_user_id")
    if args.get("recipient_team_id") not in (None, "", TEAM_ID):
        raise SlackError("team_not_found")
    if args.get("recipient_user_id") and ws.team.person(args["recipient_user_id"]) is None:
        raise SlackError("user_not_found")
    mode = args.get("task_display_mode") or "timeline"
    if mode not in ("timeline", "plan"):
        raise SlackError("invalid_arguments", ["[ERROR] must be one of timeline, plan"])
    parts = grown(ws, [], chunks_of(args))
    message = ws.messages.post(
        channel, BOT_USER, text_of(parts), as_blocks(parts, mode), args["thread_ts"],
        _stream={"mode": mode, "parts": parts, "until": ws.team.now() + STREAM_SECONDS},
    )  # fmt: skip
    ws.assistant.clear_status(channel["id"], args["thread_ts"])
    return {"channel": channel["id"], "ts": message["ts"]}


def streaming(ws: Workspace, args: dict) -> tuple[dict, dict]:
    """(channel, message) of a running stream. Raises `message_not_in_streaming_state` (also after 5 minutes)."""
    channel, message = own_message(ws, args, "message_not_owned_by_app")
    stream = message.get("_stream")
    if stream and ws.team.now() > stream["until"]:
        ws.messages.edit(channel, message, BOT_USER, silent=True, _stream=None)
        stream = None
    if not stream:
        raise SlackError("message_not_in_streaming_state")
    return channel, message


@method("chat.appendStream", "chat:write")
async def append_stream(ws: Workspace, args: dict) -> dict:
    channel, message = streaming(ws, args)
    chunks = chunks_of(args)
    if not chunks:
        raise SlackError("no_text")
    stream = message["_stream"]
    parts = grown(ws, stream["parts"], chunks)
    ws.messages.edit(
        channel, message, BOT_USER, silent=True, text=text_of(parts), blocks=as_blocks(parts, stream["mode"]),
        _stream={**stream, "parts": parts},
    )  # fmt: skip
    return {"channel": channel["id"], "ts": message["ts"]}


@method("chat.stopStream", "chat:write")
async def stop_stream(ws: Workspace, args: dict) -> dict:
    channel, message = streaming(ws, args)
    stream = message["_stream"]
    parts = grown(ws, stream["parts"], chunks_of(args))
    blocks = as_blocks(parts, stream["mode"]) + checked_blocks(ws, args.get("blocks"))
    changes: dict = {"text": text_of(parts), "blocks": blocks, "_stream": None}
    if (given := metadata(args)) is not None:
        changes["metadata"] = given
    done = ws.messages.edit(channel, message, BOT_USER, silent=True, **changes)
    return {"channel": channel["id"], "ts": done["ts"], "message": public(done, metadata=True)}
