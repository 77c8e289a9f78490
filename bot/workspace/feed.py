"""What changed, in order: the one source of the page's EventSource and the scripts' long poll."""

from __future__ import annotations

import asyncio
from collections import deque

KEPT = 5000


class Feed:
    """A numbered list of small pointers such as `{"seq": 7, "kind": "message", "channel": ..., "ts": ...}`.

    Pointers, not contents: a reader fetches what it wants to show, so a slow reader costs nothing
    and a reader that missed some (see `since`) starts over from the present state.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._changes: deque[dict] = deque(maxlen=KEPT)
        self._waiters: set[asyncio.Future] = set()

    def tell(self, kind: str, **where: object) -> None:
        """Append one change and wake whoever waits."""
        self.seq += 1
        self._changes.append({"seq": self.seq, "kind": kind, **where})
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def since(self, seq: int) -> list[dict] | None:
        """Changes after `seq`; None when some of them are no longer kept (or `seq` is from another run)."""
        if seq > self.seq or (self._changes and seq < self._changes[0]["seq"] - 1):
            return None
        return [change for change in self._changes if change["seq"] > seq]

    async def wait(self, seq: int, timeout: float) -> list[dict] | None:
        """As `since`, but waits up to `timeout` seconds for the first change."""
        changes = self.since(seq)
        if changes or changes is None:
            return changes
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait_for(waiter, timeout)
        except TimeoutError:
            return []
        finally:
            self._waiters.discard(waiter)
        return self.since(seq)
