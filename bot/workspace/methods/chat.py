"""chat.postMessage, update, delete, postEphemeral, getPermalink."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..errors import SlackError
from ..limits import BLOCKS_CHARACTERS, MARKDOWN, METADATA_BYTES, TEXT, characters, check_blocks
from ..messages import public
from ..team import BOT_USER
from ..web_api import flag, method, wanted

if TYPE_CHECKING:
    from ..server import Workspace


def content(ws: Workspace, args: dict) -> dict:
    """`{"text", "blocks", "metadata"}` of a message as given. Raises what Slack raises for each limit."""
    text, blocks, markdown = args.get("text") or "", args.get("blocks"), args.get("markdown_text")
    if markdown:
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MARKDOWN:
            raise SlackError("msg_too_long")
        text, blocks = markdown, [{"type": "markdown", "text": markdown}]
    if not text and not blocks and not args.get("attachments"):
        raise SlackError("no_text")
    if len(text) > TEXT:
        raise SlackError("msg_too_long")
    checked_blocks(ws, blocks)
    return {"text": text, "blocks": blocks, "metadata": metadata(args)}


def checked_blocks(ws: Workspace, blocks: object) -> list[dict]:
    """The blocks when Slack would take them. Raises `invalid_blocks`, `msg_blocks_too_long`."""
    if not blocks:
        return []
    wrong = check_blocks(blocks)
    if not wrong:
        wrong = [
            f"[ERROR] invalid slack file [json-pointer:{at}/slack_file]"
            for at, file_id in slack_files(blocks, "/blocks")
            if ws.files.get(file_id) is None
        ]
    if wrong:
        raise SlackError("invalid_blocks", wrong)
    if characters(blocks) > BLOCKS_CHARACTERS:
        raise SlackError("msg_blocks_too_long")
    return blocks  # type: ignore[return-value]


def slack_files(value: object, at: str):
    """(pointer, file id or url) of every `slack_file` in a block tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if key == "slack_file" and isinstance(inner, dict):
            yield at, str(inner.get("id") or inner.get("url") or "")
        else:
            yield from slack_files(inner, f"{at}/{key}")


def metadata(args: dict) -> dict | None:
    """Raises `invalid_metadata_format`, `metadata_too_large`."""
    given = args.get("metadata")
    if not given:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    if not isinstance(given.get("event_payload", {}), dict):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(given)) > METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return given


def own_message(ws: Workspace, args: dict, refusal: str) -> tuple[dict, dict]:
    """(channel, message) of the app's own message. Raises `message_not_found` or `refusal`."""
    wanted(args, "channel", "ts")
    channel = ws.team.channel(args["channel"])
    message = ws.messages.get(channel["id"], str(args["ts"]))
    if message is None:
        raise SlackError("message_not_found")
    if message["user"] != BOT_USER:
        raise SlackError(refusal)
    return channel, message


def postable(ws: Workspace, given: object) -> dict:
    """The channel to post to. Raises `channel_not_found`, `is_archived`, `not_in_channel`."""
    channel = ws.team.channel(given)
    if channel["is_archived"]:
        raise SlackError("is_archived")
    public_scope = ws.team.manifest.scopes is None or "chat:write.public" in ws.team.manifest.scopes
    if BOT_USER not in channel["_members"] and (channel["is_private"] or not public_scope):
        raise SlackError("not_in_channel")
    return channel


@method("chat.postMessage", "chat:write")
async def post_message(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel")
    channel = postable(ws, args["channel"])
    body = content(ws, args)
    message = ws.messages.post(
        channel, BOT_USER, body["text"], body["blocks"], args.get("thread_ts"), flag(args, "reply_broadcast"),
        metadata=body["metadata"], attachments=args.get("attachments"),
    )  # fmt: skip
    ws.assistant.clear_status(channel["id"], message.get("thread_ts"))
    return {"channel": channel["id"], "ts": message["ts"], "message": public(message, metadata=True)}


@method("chat.update", "chat:write")
async def update(ws: Workspace, args: dict) -> dict:
    channel, message = own_message(ws, args, "cant_update_message")
    if message.get("_stream"):
        raise SlackError("streaming_state_conflict")
    body = content(ws, args)
    changes: dict = {"text": body["text"] or message["text"]}
    if args.get("blocks") is not None or args.get("markdown_text"):
        # With text alone Slack keeps the old blocks; an empty array removes them.
        changes["blocks"] = body["blocks"] or []
    if "attachments" in args:
        changes["attachments"] = args["attachments"]
    if body["metadata"] is not None:
        changes["metadata"] = body["metadata"]
    edited = ws.messages.edit(channel, message, BOT_USER, **changes)
    shown = public(edited, metadata=True)
    return {"channel": channel["id"], "ts": edited["ts"], "text": edited["text"], "message": shown}


@method("chat.delete", "chat:write")
async def delete(ws: Workspace, args: dict) -> dict:
    channel, message = own_message(ws, args, "cant_delete_message")
    ws.messages.delete(channel, message)
    return {"channel": channel["id"], "ts": message["ts"]}


@method("chat.postEphemeral", "chat:write")
async def post_ephemeral(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel", "user")
    channel = postable(ws, args["channel"])
    if args["user"] not in channel["_members"]:
        raise SlackError("user_not_in_channel")
    body = content(ws, args)
    whisper = ws.messages.whisper(
        channel, args["user"], body["text"], body["blocks"], thread_ts=args.get("thread_ts")
    )  # fmt: skip
    return {"message_ts": whisper["ts"]}


@method("chat.getPermalink")
async def get_permalink(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel", "message_ts")
    channel = ws.team.channel(args["channel"])
    message = ws.messages.get(channel["id"], str(args["message_ts"]))
    if message is None:
        raise SlackError("message_not_found")
    link = f"{ws.url}/archives/{channel['id']}/p{message['ts'].replace('.', '')}"
    if message.get("thread_ts") not in (None, message["ts"]):
        link += f"?thread_ts={message['thread_ts']}&cid={channel['id']}"
    return {"channel": channel["id"], "permalink": link}
