"""Messages, threads, ephemerals and reactions: how they are kept, changed and told to the app."""

from __future__ import annotations

import secrets
from bisect import bisect_left

from .errors import SlackError
from .team import APP_ID, BOT_ID, BOT_USER, TEAM_ID, Team


def with_ids(blocks: list[dict]) -> list[dict]:
    """The blocks with a `block_id` and, in their elements, an `action_id` wherever the app gave none."""
    named = []
    for block in blocks:
        block = {**block, "block_id": block.get("block_id") or secrets.token_urlsafe(4)}
        for key in ("elements", "actions"):
            if block["type"] in ("actions", "context_actions", "card") and isinstance(block.get(key), list):
                block[key] = [_named(e) for e in block[key]]
        for key in ("accessory", "element"):
            if isinstance(block.get(key), dict):
                block[key] = _named(block[key])
        if isinstance(block.get("child_blocks"), list):
            block["child_blocks"] = with_ids(block["child_blocks"])
        if block["type"] == "carousel":
            block["elements"] = with_ids(block["elements"])
        named.append(block)
    return named


def _named(element: dict) -> dict:
    if element.get("type") == "image":
        return element
    return {**element, "action_id": element.get("action_id") or secrets.token_urlsafe(4)}


def public(message: dict, metadata: bool = False) -> dict:
    """The message as the Web API returns it; `metadata` as `include_all_metadata` asks."""
    hidden = () if metadata else ("metadata",)
    return {k: v for k, v in message.items() if not k.startswith("_") and k not in hidden}


class Messages:
    """All messages of the team, by channel and timestamp."""

    def __init__(self, team: Team) -> None:
        self.team, self.store, self.feed = team, team.store, team.feed
        self._order: dict[str, list[str]] = {}
        for key in self.store.rows("message"):
            channel, ts = key.split("/")
            self._order.setdefault(channel, []).append(ts)
        for order in self._order.values():
            order.sort(key=float)

    # reading

    def get(self, channel: str, ts: str) -> dict | None:
        return self.store.rows("message").get(f"{channel}/{ts}")

    def all_in(self, channel: str) -> list[dict]:
        """Every message of a channel, replies too, oldest first."""
        rows = self.store.rows("message")
        return [rows[f"{channel}/{ts}"] for ts in self._order.get(channel, ())]

    def in_channel(self, channel: str) -> list[dict]:
        """What the channel itself shows, oldest first: roots and broadcast replies."""
        return [m for m in self.all_in(channel) if is_root(m) or m.get("subtype") == "thread_broadcast"]

    def thread(self, channel: str, thread_ts: str) -> list[dict]:
        """The parent and its replies, oldest first; [] when there is no such message."""
        return [m for m in self.all_in(channel) if m["ts"] == thread_ts or m.get("thread_ts") == thread_ts]

    # writing

    def post(
        self,
        channel: dict,
        author: str,
        text: str,
        blocks: list[dict] | None = None,
        thread_ts: str | None = None,
        broadcast: bool = False,
        **more: object,
    ) -> dict:
        """A new message by `author` (the app's bot user or a person); tells the page and the app.

        Raises SlackError `thread_not_found` when `thread_ts` names no message of the channel.
        """
        message: dict = {"type": "message", "user": author, "text": text, "ts": self.team.next_ts(), "team": TEAM_ID}
        if author == BOT_USER:
            message |= {"bot_id": BOT_ID, "app_id": APP_ID, "bot_profile": bot_profile(self.team)}
        message["blocks"] = with_ids(blocks or [])
        message |= {k: v for k, v in more.items() if v is not None}
        message["_channel"] = channel["id"]
        parent = None
        if thread_ts:
            parent = self._parent(channel["id"], thread_ts)
            message["thread_ts"] = parent["ts"]
            if broadcast:
                message |= {"subtype": "thread_broadcast", "root": public(parent)}
        self._keep(message)
        if parent is not None:
            self._count(parent)
        self._tell_app(channel, message)
        return message

    def _parent(self, channel: str, thread_ts: str) -> dict:
        parent = self.get(channel, thread_ts)
        if parent is None:
            raise SlackError("thread_not_found")
        return self._parent(channel, parent["thread_ts"]) if not is_root(parent) else parent

    def edit(self, channel: dict, message: dict, by: str, silent: bool = False, **changes: object) -> dict:
        """Change fields of a message in place; `silent` edits (streams, reactions) carry no "edited" mark."""
        before = public(message)
        if "blocks" in changes:
            changes["blocks"] = with_ids(changes["blocks"] or [])
        message |= changes
        message["_edits"] = message.get("_edits", 0) + 1
        if not silent:
            message["edited"] = {"user": by, "ts": self.team.next_ts()}
        self._keep(message)
        if not silent:
            self._tell_changed(channel, "message_changed", message=public(message), previous_message=before)
        return message

    def delete(self, channel: dict, message: dict) -> None:
        """Remove a message; a parent with replies becomes a tombstone, as in Slack."""
        before = public(message)
        if message.get("reply_count"):
            gone = {"subtype": "tombstone", "text": "This message was deleted.", "blocks": [], "user": "USLACKBOT"}
            self._keep({k: v for k, v in message.items() if k not in ("metadata", "files", "bot_id")} | gone)
        else:
            self.store.drop("message", f"{channel['id']}/{message['ts']}")
            self._order[channel["id"]].remove(message["ts"])
            self.feed.tell("message", channel=channel["id"], ts=message["ts"], thread_ts=message.get("thread_ts"))
            parent = self.get(channel["id"], message.get("thread_ts", ""))
            if parent is not None and parent is not message:
                self._count(parent)
        self._tell_changed(channel, "message_deleted", deleted_ts=message["ts"], previous_message=before)

    def react(self, channel: dict, message: dict, user: str, name: str, add: bool = True) -> None:
        """Raises SlackError `already_reacted` / `no_reaction`."""
        reactions = {r["name"]: [*r["users"]] for r in message.get("reactions", ())}
        users = reactions.setdefault(name, [])
        if add == (user in users):
            raise SlackError("already_reacted" if add else "no_reaction")
        users.append(user) if add else users.remove(user)
        message["reactions"] = [{"name": n, "users": u, "count": len(u)} for n, u in reactions.items() if u]
        self._keep(message)
        kind = "reaction_added" if add else "reaction_removed"
        self.team.emit(kind, {
            "type": kind, "user": user, "reaction": name, "item_user": message.get("user"),
            "item": {"type": "message", "channel": channel["id"], "ts": message["ts"]},
            "event_ts": self.team.next_ts(),
        })  # fmt: skip

    # ephemerals: seen by one person, never by the API

    def whisper(self, channel: dict, user: str, text: str, blocks: list | None = None, **more: object) -> dict:
        """A message only `user` sees."""
        author = more.pop("author", BOT_USER)
        message = {
            "type": "message", "subtype": "ephemeral", "user": author, "text": text, "ts": self.team.next_ts(),
            "blocks": with_ids(blocks or []), "is_ephemeral": True, "_channel": channel["id"], "_to": user,
        }  # fmt: skip
        message |= {k: v for k, v in more.items() if v is not None}
        return self.keep_whisper(message)

    def keep_whisper(self, message: dict) -> dict:
        self.store.put("ephemeral", f"{message['_channel']}/{message['ts']}", message)
        self._tell_page(message, user=message["_to"])
        return message

    def whispers(self, channel: str, user: str) -> list[dict]:
        """What only `user` sees in a channel, oldest first."""
        rows = self.store.rows("ephemeral").values()
        return [m for m in rows if m["_channel"] == channel and m["_to"] == user]

    def whispered(self, channel: str, ts: str) -> dict | None:
        return self.store.rows("ephemeral").get(f"{channel}/{ts}")

    def hush(self, message: dict) -> None:
        """Remove an ephemeral."""
        self.store.drop("ephemeral", f"{message['_channel']}/{message['ts']}")
        self._tell_page(message, user=message["_to"])

    # inside

    def _keep(self, message: dict) -> None:
        channel, ts = message["_channel"], message["ts"]
        order = self._order.setdefault(channel, [])
        if not order or float(order[-1]) < float(ts):
            order.append(ts)
        elif order[bisect_left(order, float(ts), key=float)] != ts:
            order.insert(bisect_left(order, float(ts), key=float), ts)
        self.store.put("message", f"{channel}/{ts}", message)
        self._tell_page(message)

    def _count(self, parent: dict) -> None:
        replies = self.thread(parent["_channel"], parent["ts"])[1:]
        people = list(dict.fromkeys(r["user"] for r in replies))
        for key in ("thread_ts", "reply_count", "reply_users", "reply_users_count", "latest_reply"):
            parent.pop(key, None)
        if replies:
            parent |= {
                "thread_ts": parent["ts"], "reply_count": len(replies), "reply_users": people,
                "reply_users_count": len(people), "latest_reply": replies[-1]["ts"],
            }  # fmt: skip
        self._keep(parent)

    def _tell_page(self, message: dict, **more: object) -> None:
        where = {"channel": message["_channel"], "ts": message["ts"], "thread_ts": message.get("thread_ts")}
        self.feed.tell("message", **where, **more)

    def _tell_app(self, channel: dict, message: dict) -> None:
        kind = self.team.channel_type(channel)
        event = public(message) | {"channel": channel["id"], "channel_type": kind, "event_ts": message["ts"]}
        by_person = message["user"] in self.team.people
        if by_person and kind != "im" and f"<@{BOT_USER}>" in message["text"]:
            self.team.emit("app_mention", {k: v for k, v in event.items() if k != "channel_type"} | {
                "type": "app_mention"
            })  # fmt: skip
        self.team.emit(_subscription(kind), event)

    def _tell_changed(self, channel: dict, subtype: str, **what: object) -> None:
        kind, ts = self.team.channel_type(channel), self.team.next_ts()
        self.team.emit(_subscription(kind), {
            "type": "message", "subtype": subtype, "hidden": True, "channel": channel["id"], "channel_type": kind,
            "ts": ts, "event_ts": ts, **what,
        })  # fmt: skip


def is_root(message: dict) -> bool:
    """True for messages that stand in the channel and not in a thread."""
    return message.get("thread_ts") in (None, message["ts"])


def _subscription(kind: str) -> str:
    return {"im": "message.im", "group": "message.groups"}.get(kind, "message.channels")


def bot_profile(team: Team) -> dict:
    return {
        "id": BOT_ID, "app_id": APP_ID, "user_id": BOT_USER, "name": team.manifest.app_name, "deleted": False,
        "team_id": TEAM_ID, "updated": team.created,
        "icons": {"image_72": f"{team.base_url}/static/bot.svg"},
    }  # fmt: skip
