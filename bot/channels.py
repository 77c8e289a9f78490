"""Channel names to ids. Policy says `#ml-oncall`; editing and looking for messages needs `C...`."""

from __future__ import annotations

import re
from typing import Any

from bot.wire import Blocked, explained

_ID = re.compile(r"^[CGD][A-Z0-9]{2,}$")


class Channels:
    """Looks channels up once and joins public ones that the app is not in; private ones it must be invited to."""

    def __init__(self, slack: Any):
        self.slack = slack
        self._ids: dict[str, str] = {}

    async def id(self, name: str) -> str:
        """The id of `#name`, `name` or an id. Raises SlackFailure (Blocked when there is no such channel)."""
        if _ID.match(name):
            return name
        bare = name.removeprefix("#")
        if bare not in self._ids:
            await self._read(bare)
        if bare not in self._ids:
            raise Blocked("channel_not_found", f"conversations.list for #{bare}")
        return self._ids[bare]

    async def _read(self, wanted: str) -> None:
        cursor = ""
        try:
            while True:
                page = await self.slack.conversations_list(
                    types="public_channel,private_channel", exclude_archived=True, limit=500, cursor=cursor
                )
                for channel in page["channels"]:
                    self._ids[channel["name"]] = channel["id"]
                    if channel["name"] == wanted and not channel.get("is_member"):
                        await self.slack.conversations_join(channel=channel["id"])
                cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
                if not cursor:
                    return
        except Exception as error:
            raise explained(error, "conversations.list") from error
