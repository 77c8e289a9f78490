"""Tickets as Markdown files, where no ticket system is configured: real, readable, one file a key."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from core.errors import Unavailable
from core.events import content_id
from integrations.plain import cleaned, visible

_LONGEST = 100_000


class LocalTickets:
    """`core.ports.Ticketing`. The ticket's id is its path."""

    def __init__(self, folder: Path):
        self._folder = folder

    async def open_ticket(self, key: str, title: str, body: str) -> str:
        return await asyncio.to_thread(self._open, key, title, body)

    def _open(self, key: str, title: str, body: str) -> str:
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50].strip("-")
        name = content_id("ticket", key)  # the key alone decides: the same key with other words is the same ticket
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for there in self._folder.glob(f"{name}*.md"):
                return str(there)
            path = self._folder / f"{name}-{words or 'untitled'}.md"
            draft = path.with_suffix(".new")
            draft.write_text(f"# {cleaned(title)}\n\n{visible(body, _LONGEST)}\n", encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            raise Unavailable(f"no ticket can be written to {self._folder}: {error.strerror}; mend it") from None
        return str(path)
