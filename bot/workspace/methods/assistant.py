"""assistant.threads.*: "is thinking", titles and suggested prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SlackError
from ..feed import Feed
from ..store import Store
from ..web_api import method, wanted

if TYPE_CHECKING:
    from ..server import Workspace


class Assistant:
    """What the agent shows beside its threads. Statuses vanish when it answers; the rest is remembered."""

    def __init__(self, store: Store, feed: Feed) -> None:
        self.store, self.feed = store, feed
        self.statuses: dict[tuple[str, str], str] = {}

    def set_status(self, channel: str, thread_ts: str, status: str) -> None:
        """An empty status takes it away."""
        if status:
            self.statuses[channel, thread_ts] = status
        else:
            self.statuses.pop((channel, thread_ts), None)
        self.feed.tell("status", channel=channel, thread_ts=thread_ts)

    def clear_status(self, channel: str, thread_ts: str | None) -> None:
        if thread_ts and (channel, thread_ts) in self.statuses:
            self.set_status(channel, thread_ts, "")

    def prompts(self, channel: str) -> dict | None:
        return self.store.rows("prompts").get(channel)

    def title(self, channel: str, thread_ts: str) -> str:
        return self.store.rows("title").get(f"{channel}/{thread_ts}", {}).get("title", "")


def _thread(ws: Workspace, args: dict) -> tuple[str, str]:
    wanted(args, "channel_id", "thread_ts")
    channel = ws.team.channel(args["channel_id"])
    if ws.messages.get(channel["id"], str(args["thread_ts"])) is None:
        raise SlackError("thread_not_found")
    return channel["id"], str(args["thread_ts"])


@method("assistant.threads.setStatus", "assistant:write", "chat:write")
async def set_status(ws: Workspace, args: dict) -> dict:
    channel, thread_ts = _thread(ws, args)
    ws.assistant.set_status(channel, thread_ts, str(args.get("status") or ""))
    return {}


@method("assistant.threads.setTitle", "assistant:write")
async def set_title(ws: Workspace, args: dict) -> dict:
    channel, thread_ts = _thread(ws, args)
    wanted(args, "title")
    ws.team.store.put("title", f"{channel}/{thread_ts}", {"title": str(args["title"])})
    ws.team.feed.tell("status", channel=channel, thread_ts=thread_ts)
    return {}


@method("assistant.threads.setSuggestedPrompts", "assistant:write")
async def set_suggested_prompts(ws: Workspace, args: dict) -> dict:
    wanted(args, "channel_id")
    channel, prompts = ws.team.channel(args["channel_id"]), args.get("prompts")
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= 4:
        raise SlackError("invalid_arguments", ["[ERROR] prompts must hold 1 to 4 items"])
    if not all(isinstance(p, dict) and p.get("title") and p.get("message") for p in prompts):
        raise SlackError("invalid_arguments", ["[ERROR] each prompt needs a title and a message"])
    ws.team.store.put("prompts", channel["id"], {"title": args.get("title") or "", "prompts": prompts})
    ws.team.feed.tell("prompts", channel=channel["id"])
    return {}
