"""What a person does (types, clicks, submits, closes, reacts) and the payload the app receives for it."""

from __future__ import annotations

import uuid

from .compose import composed
from .errors import PersonError, SlackError
from .forms import action_of, elements_of, find, objections, state_of
from .limits import check_blocks
from .messages import Messages, public
from .socket_mode import Hub
from .team import APP_ID, BOT_USER, DOMAIN, TEAM_ID, Team
from .tickets import Tickets
from .views import Views


class Gestures:
    """Every method takes the acting person's id first and raises PersonError when nothing came of it."""

    def __init__(self, team: Team, messages: Messages, views: Views, hub: Hub, tickets: Tickets) -> None:
        self.team, self.messages, self.views, self.hub, self.tickets = team, messages, views, hub, tickets

    # typing

    def say(self, user: str, channel: dict, text: str, thread_ts: str | None = None) -> dict:
        """Post a message; returns it."""
        if not text.strip():
            raise PersonError("Write something first.", 400)
        marked, blocks = composed(text, self._named)
        try:
            return self.messages.post(
                channel, user, marked, blocks, thread_ts, client_msg_id=str(uuid.uuid4()), _typed=True
            )  # fmt: skip
        except SlackError as error:
            raise PersonError(f"That thread is gone ({error.code}).", 404) from error

    def _named(self, word: str) -> tuple[str, str] | None:
        name = word[1:]
        if word[0] == "#":
            channel = self.team.find_channel(name)
            return ("channel", channel["id"]) if channel else None
        if name == self.team.manifest.bot_name.lower():
            return "user", BOT_USER
        person = self.team.person(name)
        if person:
            return "user", person.id
        return next((("usergroup", g.id) for g in self.team.groups if g.handle == name), None)

    async def command(self, user: str, channel: dict, line: str) -> dict:
        """Run `/command text`; the app's immediate answer, if any, is posted as Slack would."""
        command, _, text = line.strip().partition(" ")
        known = {c["command"]: c for c in self.team.manifest.commands}
        if command not in known:
            raise PersonError(f"{command} is not a valid command. Known here: {', '.join(known)}.", 404)
        if known[command].get("should_escape"):
            text = composed(text, self._named)[0]
        payload = {
            "token": "local", "team_id": TEAM_ID, "team_domain": DOMAIN, "channel_id": channel["id"],
            "channel_name": channel.get("name", "directmessage"), "user_id": user,
            "user_name": self.team.handle(user), "command": command, "text": text.strip(), "api_app_id": APP_ID,
            "is_enterprise_install": "false", "trigger_id": self.tickets.trigger(user),
            "response_url": self._response_url(channel["id"], user),
        }  # fmt: skip
        answer = await self.hub.ask("slash_commands", payload, line.strip()[:60])
        if answer.get("text") or answer.get("blocks"):
            self.respond_with(channel, user, answer)
        return {"ok": True}

    # clicking

    async def click(
        self, user: str, channel: dict, ts: str, action_id: str, block_id: str | None = None,
        value: object = None, confirmed: bool = False, state: dict | None = None,
    ) -> dict:  # fmt: skip
        """Operate an element of a message (or of an ephemeral only `user` sees)."""
        message = self.messages.get(channel["id"], ts) or self.messages.whispered(channel["id"], ts)
        if message is None or message.get("_to", user) != user:
            raise PersonError("This message is gone.", 404)
        block, element = find(message["blocks"], action_id, block_id)
        self._confirmed(element, confirmed)
        ephemeral = bool(message.get("is_ephemeral"))
        container = {
            "type": "message", "message_ts": ts, "channel_id": channel["id"], "is_ephemeral": ephemeral,
        }  # fmt: skip
        if message.get("thread_ts"):
            container["thread_ts"] = message["thread_ts"]
        about = {"ts": ts, "ephemeral": ephemeral, "thread_ts": message.get("thread_ts")}
        payload = self._block_actions(user, block, element, value) | {
            "container": container,
            "channel": {"id": channel["id"], "name": channel.get("name", "directmessage")},
            "state": {"values": state_of(message["blocks"], state)},
            "response_url": self._response_url(channel["id"], user, **about),
        }
        if not ephemeral:
            payload["message"] = public(message)
        await self.hub.ask("interactive", payload, f"block_actions {action_id}")
        return {"ok": True}

    async def click_view(
        self, user: str, view_id: str, action_id: str, block_id: str | None = None,
        value: object = None, confirmed: bool = False, state: dict | None = None,
    ) -> dict:  # fmt: skip
        """Operate an element of an open modal or of the person's App Home."""
        home = self.views.home(user)
        view = home if home and home["id"] == view_id else self.views.opened(view_id, user)
        block, element = find(view["blocks"], action_id, block_id)
        self._confirmed(element, confirmed)
        values = state_of(view["blocks"], (state or {}) | ({} if value is None else {action_id: value}))
        payload = self._block_actions(user, block, element, value) | {
            "container": {"type": "view", "view_id": view_id},
            "view": self.views.object(view, values),
        }
        await self.hub.ask("interactive", payload, f"block_actions {action_id}")
        return {"ok": True}

    def _block_actions(self, user: str, block: dict, element: dict, value: object) -> dict:
        return self._interaction("block_actions", user) | {
            "trigger_id": self.tickets.trigger(user),
            "actions": [action_of(block, element, value, self.team.next_ts())],
        }

    @staticmethod
    def _confirmed(element: dict, confirmed: bool) -> None:
        if element.get("confirm") and not confirmed:
            raise PersonError("This asks for confirmation first.", 409, confirm=element["confirm"])

    async def suggest(self, user: str, blocks: list[dict], action_id: str, typed: str, where: dict) -> list[dict]:
        """The options an external select offers for what was typed."""
        block, element = find(blocks, action_id)
        payload = self._interaction("block_suggestion", user) | where | {
            "action_id": element["action_id"], "block_id": block["block_id"], "value": typed
        }  # fmt: skip
        answer = await self.hub.ask("interactive", payload, f"block_suggestion {action_id}")
        groups = answer.get("option_groups") or []
        return [*(answer.get("options") or []), *(o for g in groups for o in g.get("options", ()))]

    # dialogs

    async def submit(self, user: str, view_id: str, given: dict | None = None) -> dict:
        """Submit a modal. `{"ok": False, "errors": {block_id: sentence}}` keeps it open with inline errors."""
        view = self.views.opened(view_id, user)
        values = state_of(view["blocks"], given)
        wrong = objections(view["blocks"], values)
        if wrong:
            return {"ok": False, "errors": wrong}
        payload = self._interaction("view_submission", user) | {
            "trigger_id": self.tickets.trigger(user), "view": self.views.object(view, values), "response_urls": [],
        }  # fmt: skip
        answer = await self.hub.ask("interactive", payload, f"view_submission {view['callback_id']}")
        return self._after_submit(user, view, answer)

    def _after_submit(self, user: str, view: dict, answer: dict) -> dict:
        action = answer.get("response_action")
        try:
            if action == "errors":
                return {"ok": False, "errors": self._matched(view, answer.get("errors"))}
            if action == "update":
                self.views.update(view, answer.get("view"))
            elif action == "push":
                self.views.push(user, answer.get("view"))
            elif action == "clear":
                self._clear(user)
            elif any(v["id"] == view["id"] for v in self.views.stack(user)):
                self.views.close(view)
        except SlackError as error:
            detail = "; ".join(error.messages) or error.code
            raise PersonError(f"The app answered with a view Slack refuses: {detail}", 502) from error
        return {"ok": True}

    @staticmethod
    def _matched(view: dict, errors: object) -> dict:
        blocks = {b["block_id"] for b in view["blocks"] if b["type"] == "input"}
        if not isinstance(errors, dict) or not errors or not blocks.issuperset(errors):
            raise PersonError("The app answered with errors for fields this dialog does not have.", 502)
        return errors

    def _clear(self, user: str) -> None:
        for view in reversed(self.views.stack(user)):
            self.views.close(view)

    async def close(self, user: str, view_id: str, everything: bool = False) -> dict:
        """Cancel a modal (`everything`: the whole stack); the app hears of it when it asked to."""
        view = self.views.opened(view_id, user)
        cleared = everything or view["clear_on_close"]
        stack = self.views.stack(user) if cleared else [view]
        for gone in reversed(stack):
            self.views.close(gone)
        for gone in reversed(stack):
            if gone["notify_on_close"]:
                payload = self._interaction("view_closed", user) | {
                    "view": self.views.object(gone, state_of(gone["blocks"])), "is_cleared": cleared
                }  # fmt: skip
                await self.hub.ask("interactive", payload, f"view_closed {gone['callback_id']}")
        return {"ok": True}

    async def shortcut(self, user: str, callback_id: str) -> dict:
        """Run a global shortcut of the manifest."""
        if callback_id not in [s.get("callback_id") for s in self.team.manifest.shortcuts]:
            raise PersonError(f"There is no shortcut {callback_id!r}.", 404)
        payload = self._interaction("shortcut", user) | {
            "callback_id": callback_id, "trigger_id": self.tickets.trigger(user), "action_ts": self.team.next_ts()
        }  # fmt: skip
        await self.hub.ask("interactive", payload, f"shortcut {callback_id}")
        return {"ok": True}

    # App Home and reactions

    def open_home(self, user: str, tab: str = "home") -> dict:
        """Enter the App Home (`home`) or the direct message (`messages`): `app_home_opened`."""
        event = {
            "type": "app_home_opened", "user": user, "channel": self.team.open_dm(user)["id"], "tab": tab,
            "event_ts": self.team.next_ts(),
        }  # fmt: skip
        home = self.views.home(user)
        if home and tab == "home":
            event["view"] = self.views.object(home)
        self.team.emit("app_home_opened", event)
        return {"ok": True}

    def react(self, user: str, channel: dict, ts: str, name: str) -> dict:
        """Add the person's reaction, or take it away when it is there."""
        message = self.messages.get(channel["id"], ts)
        if message is None:
            raise PersonError("This message is gone.", 404)
        name = name.strip(":")
        there = any(r["name"] == name and user in r["users"] for r in message.get("reactions", ()))
        self.messages.react(channel, message, user, name, add=not there)
        return {"ok": True}

    # answers that come back

    def respond_with(self, channel: dict, user: str, body: dict, about: dict | None = None) -> None:
        """Post what a slash command's ack or a response_url carries. Raises SlackError for what Slack refuses."""
        blocks, text, about = body.get("blocks") or [], body.get("text") or "", about or {}
        original = self._original(channel, about)
        if body.get("delete_original") and original is not None:
            self._remove(channel, original)
            return
        wrong = check_blocks(blocks)
        if wrong:
            raise SlackError("invalid_blocks", wrong, status=400)
        if not text and not blocks:
            raise SlackError("no_text", status=400)
        thread = body.get("thread_ts") or (about.get("thread_ts") if body.get("response_type") else None)
        if original is not None and body.get("replace_original", body.get("response_type") is None):
            if original.get("is_ephemeral"):
                self.messages.hush(original)
                self.messages.whisper(channel, user, text, blocks, thread_ts=original.get("thread_ts"))
            else:
                self.messages.edit(channel, original, BOT_USER, text=text, blocks=blocks)
        elif body.get("response_type") == "in_channel":
            self.messages.post(channel, BOT_USER, text, blocks, thread, metadata=body.get("metadata"))
        else:
            self.messages.whisper(channel, user, text, blocks, thread_ts=thread)

    def _original(self, channel: dict, about: dict) -> dict | None:
        ts = about.get("ts")
        if not ts:
            return None
        found = self.messages.whispered(channel["id"], ts) or self.messages.get(channel["id"], ts)
        return found if found and found["user"] == BOT_USER else None

    def _remove(self, channel: dict, original: dict) -> None:
        if original.get("is_ephemeral"):
            self.messages.hush(original)
        else:
            self.messages.delete(channel, original)

    def _response_url(self, channel: str, user: str, **about: object) -> str:
        return f"{self.team.base_url}/response/{self.tickets.response_url(channel, user, **about)}"

    def _interaction(self, kind: str, user: str) -> dict:
        name = self.team.handle(user)
        return {
            "type": kind,
            "user": {"id": user, "username": name, "name": name, "team_id": TEAM_ID},
            "api_app_id": APP_ID, "token": "local", "team": {"id": TEAM_ID, "domain": DOMAIN},
            "enterprise": None, "is_enterprise_install": False,
        }  # fmt: skip


def operable(blocks: list[dict]) -> list[dict]:
    """What a script may operate in `blocks`: `[{"action_id", "block_id", "type", "label"}]`."""
    return [
        {"action_id": e["action_id"], "block_id": b["block_id"], "type": e["type"], "label": _label(b, e)}
        for b, e in elements_of(blocks)
    ]


def _label(block: dict, element: dict) -> str:
    text = element.get("text") or element.get("placeholder") or block.get("label") or {}
    return text.get("text", "")
