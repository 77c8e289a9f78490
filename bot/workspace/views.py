"""Modals in their stacks, and each person's App Home."""

from __future__ import annotations

import hashlib
import json

from .errors import PersonError, SlackError
from .limits import VIEW_BYTES, check_view
from .messages import with_ids
from .team import APP_ID, BOT_ID, TEAM_ID, Team

STACK = 3


def checked(view: object) -> dict:
    """A view as given (an object or its JSON). Raises SlackError `invalid_arguments`, `view_too_large`."""
    if isinstance(view, str):
        try:
            view = json.loads(view)
        except ValueError as error:
            raise SlackError("invalid_arguments", ["[ERROR] must provide an object [json-pointer:/view]"]) from error
    wrong = check_view(view)
    if wrong:
        raise SlackError("invalid_arguments", wrong)
    if len(json.dumps(view)) > VIEW_BYTES:
        raise SlackError("view_too_large")
    return view  # type: ignore[return-value]


class Views:
    """What is open before whom. A person's stack holds at most three modals; the last is on top."""

    def __init__(self, team: Team) -> None:
        self.team, self.store = team, team.store

    def stack(self, user: str) -> list[dict]:
        """The open modals of one person, bottom first."""
        return [v for v in self.store.rows("view").values() if v["_user"] == user and v["type"] == "modal"]

    def home(self, user: str) -> dict | None:
        """The published App Home of one person."""
        return self.store.rows("home").get(user)

    def get(self, view_id: object, external_id: object = None) -> dict:
        """Raises SlackError `not_found`."""
        views = [*self.store.rows("view").values(), *self.store.rows("home").values()]
        for view in views:
            if view["id"] == view_id or (external_id and view["external_id"] == external_id):
                return view
        raise SlackError("not_found")

    def opened(self, view_id: str, user: str) -> dict:
        """A modal that is open before `user`. Raises PersonError."""
        view = next((v for v in self.stack(user) if v["id"] == view_id), None)
        if view is None:
            raise PersonError("This dialog is no longer open.", 409)
        return view

    def open(self, user: str, raw: object) -> dict:
        """A modal in an empty stack (what was open is closed)."""
        view = checked(raw)
        self._unique(view)
        for old in self.stack(user):
            self.store.drop("view", old["id"])
        return self._keep(self._built(view, user, None))

    def push(self, user: str, raw: object) -> dict:
        """A modal on top. Raises SlackError `push_limit_reached`."""
        view, stack = checked(raw), self.stack(user)
        self._unique(view)
        if len(stack) >= STACK:
            raise SlackError("push_limit_reached")
        return self._keep(self._built(view, user, stack[-1] if stack else None))

    def update(self, old: dict, raw: object, given_hash: object = None) -> dict:
        """New content for a view. Raises SlackError `hash_conflict` when it changed since `given_hash`."""
        if given_hash and given_hash != old["hash"]:
            raise SlackError("hash_conflict")
        view = self._built(checked(raw), old["_user"], None)
        kept = {k: old[k] for k in ("id", "root_view_id", "previous_view_id", "type", "_user")}
        return self._keep(view | kept)

    def publish(self, user: str, raw: object, given_hash: object = None) -> dict:
        """A person's App Home. Raises SlackError `hash_conflict`, `invalid_arguments`."""
        view, old = checked(raw), self.home(user)
        if view["type"] != "home":
            raise SlackError("invalid_arguments", ["[ERROR] must be of type home [json-pointer:/view/type]"])
        if given_hash and old and given_hash != old["hash"]:
            raise SlackError("hash_conflict")
        built = self._built(view, user, None)
        if old:
            built |= {"id": old["id"], "root_view_id": old["id"]}
        return self._keep(built)

    def close(self, view: dict) -> None:
        """Take one modal away."""
        self.store.drop("view", view["id"])
        self.team.feed.tell("view", user=view["_user"])

    def object(self, view: dict, values: dict | None = None) -> dict:
        """Slack's view object, with the person's values when they are known."""
        public = {k: v for k, v in view.items() if not k.startswith("_")}
        return public | {"state": {"values": values or {}}}

    def _unique(self, view: dict) -> None:
        wanted = view.get("external_id")
        if wanted and any(v["external_id"] == wanted for v in self.store.rows("view").values()):
            raise SlackError("duplicate_external_id")

    def _keep(self, view: dict) -> dict:
        kind = "home" if view["type"] == "home" else "view"
        self.store.put(kind, view["_user"] if kind == "home" else view["id"], view)
        self.team.feed.tell(kind, user=view["_user"])
        return view

    def _built(self, view: dict, user: str, below: dict | None) -> dict:
        view_id = self.team.new_id("V0")
        blocks = with_ids(view["blocks"])
        digest = hashlib.sha256(json.dumps([blocks, self.team.next_ts()]).encode()).hexdigest()[:8]
        return {
            "id": view_id, "team_id": TEAM_ID, "type": view["type"], "blocks": blocks,
            "private_metadata": view.get("private_metadata") or "", "callback_id": view.get("callback_id") or "",
            "hash": f"{int(self.team.now())}.{digest}", "title": view.get("title"), "submit": view.get("submit"),
            "close": view.get("close"), "clear_on_close": bool(view.get("clear_on_close")),
            "notify_on_close": bool(view.get("notify_on_close")), "submit_disabled": bool(view.get("submit_disabled")),
            "previous_view_id": below["id"] if below else None,
            "root_view_id": below["root_view_id"] if below else view_id,
            "app_id": APP_ID, "external_id": view.get("external_id") or "", "app_installed_team_id": TEAM_ID,
            "bot_id": BOT_ID, "_user": user,
        }  # fmt: skip
