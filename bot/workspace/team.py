"""The workspace's people and places, as the Web API describes them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable

from .errors import SlackError
from .feed import Feed
from .manifest import Manifest
from .person import CHANNELS, GROUPS, Group, Person
from .store import Store

TEAM_ID, APP_ID, BOT_ID, BOT_USER = "T0LOCAL", "A0LOCAL", "B0LOCAL", "U0WATCHBOT"
DOMAIN = "local-workspace"


class Team:
    """One workspace: its people (given at start), its channels and memberships (remembered), its clock.

    `emit(kind, event)` is called for everything the Events API could tell the app about;
    `kind` is the subscription's name (such as `message.im`), `event` the inner event.
    """

    def __init__(
        self,
        store: Store,
        feed: Feed,
        manifest: Manifest,
        people: Iterable[Person],
        groups: Iterable[Group] = GROUPS,
        channels: Iterable[tuple[str, str]] = CHANNELS,
        name: str = "Middlewatch",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.feed, self.manifest, self.name, self.now = store, feed, manifest, name, clock
        self.people = {p.id: p for p in people}
        self.groups = tuple(groups)
        self.emit: Callable[[str, dict], None] = lambda kind, event: None
        self.created = int(clock())
        self.base_url = ""
        self._last_ts = max((float(k.rpartition("/")[2]) for k in store.rows("message")), default=0.0)
        for channel, purpose in channels:
            if not any(c.get("name") == channel for c in self.channels()):
                self.create_channel(channel, purpose)
        for channel in self.channels():
            newcomers = [u for u in self.people if u not in channel["_members"]]
            if newcomers and not channel["is_im"]:
                channel["_members"] += newcomers
                store.put("channel", channel["id"], channel)
        for person in self.people.values():
            self.open_dm(person.id)

    # clock and ids

    def next_ts(self) -> str:
        """A message timestamp: seconds with six decimals, strictly rising."""
        self._last_ts = max(self.now(), self._last_ts + 1e-6)
        ts = f"{self._last_ts:.6f}"
        self._last_ts = float(ts)
        return ts

    @staticmethod
    def new_id(prefix: str) -> str:
        return prefix + secrets.token_hex(5).upper()

    # people

    def person(self, who: str) -> Person | None:
        """By id or by name."""
        return self.people.get(who) or next((p for p in self.people.values() if p.name == who), None)

    def user(self, user_id: str) -> dict:
        """Slack's user object. Raises SlackError `user_not_found`."""
        if user_id in (BOT_USER, "USLACKBOT"):
            name = self.manifest.bot_name if user_id == BOT_USER else "slackbot"
            return self._user(user_id, name, self.manifest.app_name, is_bot=True, title=self.manifest.description)
        person = self.people.get(user_id)
        if person is None:
            raise SlackError("user_not_found")
        restricted = person.kind == "guest"
        user = self._user(person.id, person.name, person.real_name or person.name, title=person.title)
        user |= {"is_admin": person.admin, "is_restricted": restricted, "is_stranger": person.kind == "external"}
        user["profile"]["email"] = f"{person.name}@{DOMAIN}.example"
        return user

    def _user(self, user_id: str, name: str, real_name: str, is_bot: bool = False, title: str = "") -> dict:
        profile = {"real_name": real_name, "display_name": name, "title": title, "team": TEAM_ID}
        if is_bot:
            profile |= {"api_app_id": APP_ID, "bot_id": BOT_ID}
        return {
            "id": user_id, "team_id": TEAM_ID, "name": name, "real_name": real_name, "deleted": False,
            "tz": "Etc/UTC", "tz_label": "Coordinated Universal Time", "tz_offset": 0, "profile": profile,
            "is_admin": False, "is_owner": False, "is_bot": is_bot, "is_app_user": False, "is_restricted": False,
            "is_ultra_restricted": False, "updated": self.created,
        }  # fmt: skip

    def users(self) -> list[dict]:
        return [self.user(u) for u in (*self.people, BOT_USER)]

    def display_name(self, user_id: str) -> str:
        """What the page calls a user; the id itself when nobody has it."""
        if user_id == BOT_USER:
            return self.manifest.app_name
        person = self.people.get(user_id)
        return (person.real_name or person.name) if person else user_id

    def handle(self, user_id: str) -> str:
        """What follows the @ of a mention."""
        if user_id == BOT_USER:
            return self.manifest.bot_name
        person = self.people.get(user_id)
        return person.name if person else user_id

    def usergroups(self) -> list[dict]:
        return [
            {
                "id": g.id, "team_id": TEAM_ID, "is_usergroup": True, "name": g.name, "handle": g.handle,
                "description": "", "date_delete": 0, "users": self.group_members(g), "user_count": len(g.people),
            }
            for g in self.groups
        ]  # fmt: skip

    def group_members(self, group: Group) -> list[str]:
        return [p.id for p in self.people.values() if p.name in group.people]

    # places

    def channels(self) -> list[dict]:
        return list(self.store.rows("channel").values())

    def find_channel(self, name_or_id: str) -> dict | None:
        """By id, `#name`, `name`, or a user id (that person's direct message with the app)."""
        given = name_or_id.strip()
        if given in self.people:
            return self.open_dm(given)
        by_id = self.store.rows("channel").get(given)
        return by_id or next((c for c in self.channels() if c.get("name") == given.removeprefix("#")), None)

    def channel(self, name_or_id: object) -> dict:
        """As `find_channel`. Raises SlackError `channel_not_found`."""
        channel = self.find_channel(name_or_id) if isinstance(name_or_id, str) and name_or_id else None
        if channel is None:
            raise SlackError("channel_not_found")
        return channel

    def create_channel(self, name: str, purpose: str = "", private: bool = False) -> dict:
        """A channel that holds everyone and the app. Raises SlackError `name_taken`, `invalid_name...`."""
        if not name or len(name) > 80 or name != name.lower() or any(c in name for c in " .#@/"):
            raise SlackError("invalid_name_specials" if name else "invalid_name_required")
        if any(c.get("name") == name for c in self.channels()):
            raise SlackError("name_taken")
        channel_id = "C0" + "".join(c for c in name.upper() if c.isascii() and c.isalnum())[:20]
        if channel_id in self.store.rows("channel"):
            channel_id = self.new_id("C0")
        return self._save(
            {
                "id": channel_id, "name": name, "name_normalized": name, "is_channel": True, "is_group": False,
                "is_im": False, "is_mpim": False, "is_private": private, "is_archived": False,
                "is_general": name == "general", "created": int(self.now()), "creator": BOT_USER,
                "topic": {"value": "", "creator": "", "last_set": 0},
                "purpose": {"value": purpose, "creator": BOT_USER, "last_set": int(self.now())},
                "_members": [BOT_USER, *self.people],
            }
        )  # fmt: skip

    def open_dm(self, user_id: str) -> dict:
        """The direct message between the app and one person."""
        channel_id = "D" + user_id[1:]
        known = self.store.rows("channel").get(channel_id)
        return known or self._save(
            {
                "id": channel_id, "is_channel": False, "is_group": False, "is_im": True, "is_mpim": False,
                "is_private": True, "is_archived": False, "created": int(self.now()), "user": user_id,
                "_members": [BOT_USER, user_id],
            }
        )  # fmt: skip

    def _save(self, channel: dict) -> dict:
        self.feed.tell("channel", channel=channel["id"])
        return self.store.put("channel", channel["id"], channel)

    def join(self, channel: dict, user_id: str) -> bool:
        """True when the person was not a member before."""
        if user_id in channel["_members"]:
            return False
        channel["_members"].append(user_id)
        self._save(channel)
        self.emit("member_joined_channel", {
            "type": "member_joined_channel", "user": user_id, "channel": channel["id"], "channel_type": "C",
            "team": TEAM_ID, "event_ts": self.next_ts(),
        })  # fmt: skip
        return True

    def leave(self, channel: dict, user_id: str) -> None:
        if user_id in channel["_members"]:
            channel["_members"].remove(user_id)
            self._save(channel)

    @staticmethod
    def channel_object(channel: dict) -> dict:
        """Slack's conversation object, as the app sees it."""
        public = {k: v for k, v in channel.items() if not k.startswith("_")}
        return public | {"is_member": BOT_USER in channel["_members"], "num_members": len(channel["_members"])}

    @staticmethod
    def channel_type(channel: dict) -> str:
        return "im" if channel["is_im"] else "group" if channel["is_private"] else "channel"
