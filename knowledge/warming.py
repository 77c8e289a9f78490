"""Runbooks that answer from the first second: by words while the encoder loads, by words and meaning afterwards."""

import asyncio
from typing import Any

from core.ports import Passage
from knowledge.search import Runbooks


class WarmingRunbooks:
    """`core.ports.Runbooks` over two shelves of the same files; `run` keeps them fresh until cancelled."""

    def __init__(self, words: Runbooks, full: Runbooks) -> None:
        self.words, self.full, self.warm = words, full, False

    async def search(self, words: str, **how: Any) -> list[Passage]:
        """See `knowledge.search.Runbooks.search`."""
        return await (self.full if self.warm else self.words).search(words, **how)

    async def run(self) -> None:
        """Load the encoder, then look at the disk again and again."""
        await asyncio.to_thread(self.words.refresh)
        await self.full.warm()
        self.warm = True
        await self.full.watch()
