"""Snapshots in Redis: one hash a name, one field a piece, so that only what changed is written again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.errors import Conflict

if TYPE_CHECKING:
    from integrations.redis import Store

LIFE = 30 * 86_400
"""Seconds a snapshot is kept when nobody comes back for it."""
_STORE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


class SnapshotView:
    """`core.ports.Snapshots`."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._prefix = store, prefix

    async def claim(self, name: str) -> int:
        return int(await self._store.do("INCR", self._epoch(name)))

    async def load(self, name: str) -> dict[str, bytes]:
        found = await self._store.do("HGETALL", self._key(name))
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {piece.decode(): bytes(data) for piece, data in pairs}

    async def piece(self, name: str, piece: str) -> bytes | None:
        found: bytes | None = await self._store.do("HGET", self._key(name), piece)
        return found

    async def store(self, name: str, epoch: int, pieces: Mapping[str, bytes]) -> None:
        arguments = [part for piece, data in pieces.items() for part in (piece, data)]
        keys = [self._key(name), self._epoch(name)]
        if not await self._store.run(_STORE, keys, str(epoch), LIFE, *arguments):
            raise Conflict(f"another process works on {name} now: what this one holds is no longer the truth")

    def _key(self, name: str) -> str:
        return f"{self._prefix}snapshot:{name}"

    def _epoch(self, name: str) -> str:
        return f"{self._prefix}epoch:{name}"
