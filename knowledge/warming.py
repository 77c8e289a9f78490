"""Runbooks that answer from the first second: by words while the encoder loads, by words and meaning afterwards."""

import asyncio
from typing import Any

from core.ports import Passage
from knowledge.search import Runbooks


class WarmingRunbooks:
    """`core.ports.Runbooks` over two shelves of the same files; `run` keeps them fresh until cancelled."""

    def __init__(self, words: Runbooks, full: Runbooks) -> None:
        self.words, self.full = words, full
        self.warm = asyncio.Event()
        """Set once questions are understood by meaning too."""

    async def search(self, words: str, **how: Any) -> list[Passage]:
        """See `knowledge.search.Runbooks.search`."""
        return await (self.full if self.warm.is_set() else self.words).search(words, **how)

    async def overdue(self) -> list[dict[str, str]]:
        """See `core.ports.Runbooks.overdue`."""
        books = await asyncio.to_thread((self.full if self.warm.is_set() else self.words).overdue)
        return [
            {"file": b.file, "last_verified": str(b.front.last_verified or ""), "owner": b.front.owner} for b in books
        ]

    async def run(self) -> None:
        """Load the encoder, then look at the disk again and again."""
        await asyncio.to_thread(self.words.refresh)
        await self.full.warm()
        self.warm.set()
        await self.full.watch()
