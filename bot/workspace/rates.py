"""Slack's rate limits as token buckets.

Posting is about one message a second in one channel with a short burst; every other method
has a tier (docs.slack.dev/apis/web-api/rate-limits): 1, 20, 50 or 100 calls a minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

POST_PER_SECOND, POST_BURST = 1.0, 5
TIERS = {1: 1, 2: 20, 3: 50, 4: 100}
TIER_OF = {
    "apps.connections.open": 3, "bots.info": 3, "chat.appendStream": 4, "chat.delete": 3, "chat.postEphemeral": 4,
    "chat.startStream": 2, "chat.stopStream": 2, "chat.update": 3, "conversations.create": 2,
    "conversations.history": 3, "conversations.info": 3, "conversations.invite": 3, "conversations.join": 3,
    "conversations.leave": 3, "conversations.list": 2, "conversations.members": 4, "conversations.open": 3,
    "conversations.replies": 3, "files.completeUploadExternal": 4, "files.getUploadURLExternal": 4, "files.info": 4,
    "reactions.add": 3, "reactions.get": 3, "reactions.remove": 2, "team.info": 3, "usergroups.list": 2,
    "usergroups.users.list": 2, "users.info": 4, "users.list": 2, "users.lookupByEmail": 3, "views.open": 4,
    "views.publish": 4, "views.push": 4, "views.update": 4,
}  # fmt: skip


@dataclass
class Bucket:
    """`capacity` calls at once, refilled at `per_second`."""

    capacity: float
    per_second: float
    level: float
    at: float

    def take(self, now: float) -> float:
        """0 when a call may pass, else the seconds until one may."""
        self.level = min(self.capacity, self.level + (now - self.at) * self.per_second)
        self.at = now
        if self.level >= 1:
            self.level -= 1
            return 0.0
        return (1 - self.level) / self.per_second


class Rates:
    """Who may call now. `enforced` False lets everything pass."""

    def __init__(self, enforced: bool = True) -> None:
        self.enforced = enforced
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def retry_after(self, method: str, channel: str, now: float) -> int:
        """Whole seconds to wait before this call (Slack's Retry-After); 0 when it may pass."""
        if not self.enforced:
            return 0
        if method == "chat.postMessage":
            key, capacity, rate = (method, channel), POST_BURST, POST_PER_SECOND
        elif method in TIER_OF:
            per_minute = TIERS[TIER_OF[method]]
            key, capacity, rate = (method, ""), per_minute, per_minute / 60
        else:
            return 0
        bucket = self._buckets.setdefault(key, Bucket(capacity, rate, capacity, now))
        return math.ceil(bucket.take(now))
