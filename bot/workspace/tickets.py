"""Things that are handed out once: trigger ids, response URLs, socket and upload addresses."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from .errors import SlackError
from .store import Store

TRIGGER_SECONDS = 3.0
RESPONSE_USES, RESPONSE_SECONDS = 5, 30 * 60
LINK_SECONDS = 30.0


@dataclass
class _Trigger:
    user: str
    until: float
    used: bool = False


class Tickets:
    """`trigger_id`s live 3 s and open one view; response URLs answer 5 times in 30 minutes."""

    def __init__(self, store: Store, now: Callable[[], float], trigger_seconds: float = TRIGGER_SECONDS) -> None:
        self._store, self._now, self._trigger_seconds = store, now, trigger_seconds
        self._triggers: dict[str, _Trigger] = {}
        self._links: dict[str, float] = {}

    def trigger(self, user: str) -> str:
        """A new trigger id for what `user` just did."""
        now = self._now()
        self._triggers = {k: t for k, t in self._triggers.items() if t.until > now - 60}
        trigger_id = f"{int(now * 1000)}.{secrets.randbelow(10**10)}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = _Trigger(user, now + self._trigger_seconds)
        return trigger_id

    def redeem(self, trigger_id: object) -> str:
        """The user of a trigger, spending it. Raises `invalid_arguments`, `exchanged_trigger_id`, `expired...`."""
        trigger = self._triggers.get(trigger_id) if isinstance(trigger_id, str) else None
        if trigger is None:
            known_shape = isinstance(trigger_id, str) and trigger_id.count(".") == 2
            raise SlackError("expired_trigger_id" if known_shape else "invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self._now() > trigger.until:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger.user

    def link(self) -> str:
        """A ticket for one socket connection."""
        ticket = secrets.token_urlsafe(24)
        self._links[ticket] = self._now() + LINK_SECONDS
        return ticket

    def connect(self, ticket: str) -> bool:
        """True once per ticket, within 30 s."""
        return self._links.pop(ticket, 0.0) > self._now()

    def response_url(self, channel: str, user: str, **about: object) -> str:
        """The secret part of a new response URL; `about` says which message it may replace."""
        key = secrets.token_urlsafe(18)
        row = {"channel": channel, "user": user, "uses": 0, "until": self._now() + RESPONSE_SECONDS, **about}
        self._store.put("response", key, row)
        return key

    def respond(self, key: str) -> dict:
        """Count one use of a response URL and return what it is about. Raises `used_url` / `expired_url`."""
        row = self._store.rows("response").get(key)
        if row is None or self._now() > row["until"]:
            raise SlackError("expired_url", status=404)
        if row["uses"] >= RESPONSE_USES:
            raise SlackError("used_url", status=404)
        row["uses"] += 1
        return self._store.put("response", key, row)
