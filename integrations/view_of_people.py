"""What people's clicks rest on: single-use nonces, the notification log, silences, flags, approved baselines."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from core.ports import Rebaseline, Silence

if TYPE_CHECKING:
    from integrations.redis import Store

_LONGEST_NONCE = 200

_SPEND = """
local row = redis.call('GET', KEYS[1])
if row then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[2], ARGV[1] .. row, 'EX', 60)
  return row
end
local spent = redis.call('GET', KEYS[2])  -- the same caller again, whose answer was lost
if spent and string.sub(spent, 1, #ARGV[1]) == ARGV[1] then return string.sub(spent, #ARGV[1] + 1) end
return false
"""

_ONCE = """
local first = redis.call('GET', KEYS[1])
if not first then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
if first == ARGV[1] then return 1 end  -- the same caller again, whose answer was lost
return 0
"""


class NonceView:
    """`core.ports.Nonces`."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._prefix = store, prefix

    async def issue(self, row: dict[str, Any], *, ttl: float) -> str:
        nonce = secrets.token_urlsafe(24)
        await self._store.do("SET", self._key(nonce), msgspec.json.encode(row), "PX", _milliseconds(ttl))
        return nonce

    async def look(self, nonce: str) -> dict[str, Any] | None:
        if not 0 < len(nonce) <= _LONGEST_NONCE:
            return None
        return _row(await self._store.do("GET", self._key(nonce)))

    async def spend(self, nonce: str) -> dict[str, Any] | None:
        if not 0 < len(nonce) <= _LONGEST_NONCE:
            return None
        keys = [self._key(nonce), f"{self._prefix}spent:{nonce}"]
        return _row(await self._store.run(_SPEND, keys, secrets.token_hex(8)))

    def _key(self, nonce: str) -> str:
        return f"{self._prefix}nonce:{nonce}"


class CardView:
    """`core.ports.Cards`."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._prefix = store, prefix

    async def card(self, incident_id: str) -> dict[str, Any] | None:
        return _row(await self._store.do("HGET", f"{self._prefix}cards", incident_id))

    async def put_card(self, incident_id: str, row: dict[str, Any]) -> None:
        await self._store.do("HSET", f"{self._prefix}cards", incident_id, msgspec.json.encode(row))

    async def once(self, key: str, ttl: float) -> bool:
        keys = [f"{self._prefix}once:{key}"]
        return bool(await self._store.run(_ONCE, keys, secrets.token_hex(8), _milliseconds(ttl)))


class SilenceView:
    """`core.ports.Silences`. What has ended is forgotten when silences are read."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._key = store, f"{prefix}silences"

    async def put_silence(self, silence: Silence) -> None:
        await self._store.do("HSET", self._key, silence.id, msgspec.json.encode(silence))

    async def silences(self, now: float) -> list[Silence]:
        rows = [msgspec.json.decode(row, type=Silence) for row in await self._store.do("HVALS", self._key)]
        for row in rows:
            if row.until <= now:
                await self.end_silence(row.id)
        return sorted((row for row in rows if row.until > now), key=lambda row: row.until)

    async def end_silence(self, silence_id: str) -> None:
        await self._store.do("HDEL", self._key, silence_id)


class RebaselineView:
    """`core.ports.Rebaselines`. A baseline lies beside its approval, so that looking for news costs little."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._key, self._data = store, f"{prefix}rebaselines", f"{prefix}rebaselines:data"

    async def put_rebaseline(self, approved: Rebaseline, baseline: bytes = b"") -> None:
        name = _version(approved)
        if baseline:  # first: whoever reads the approval must find it
            await self._store.do("HSET", self._data, f"{name}/{approved.id}", baseline)
        before = await self._store.do("HGET", self._key, name)
        await self._store.do("HSET", self._key, name, msgspec.json.encode(approved))
        if before:
            old = msgspec.json.decode(before, type=Rebaseline)
            if old.id != approved.id:
                await self._store.do("HDEL", self._data, f"{name}/{old.id}")

    async def rebaselines(self) -> list[Rebaseline]:
        rows = [msgspec.json.decode(row, type=Rebaseline) for row in await self._store.do("HVALS", self._key)]
        return sorted(rows, key=lambda row: (row.at, row.id))

    async def brought(self, approved: Rebaseline) -> bytes:
        return bytes(await self._store.do("HGET", self._data, f"{_version(approved)}/{approved.id}") or b"")


class FlagView:
    """`core.ports.Flags`."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._prefix = store, prefix

    async def get_flag(self, name: str) -> bytes | None:
        found: bytes | None = await self._store.do("GET", self._key(name))
        return found

    async def set_flag(self, name: str, value: bytes | None, *, ttl: float | None = None) -> None:
        if value is None:
            await self._store.do("DEL", self._key(name))
        else:
            life = () if ttl is None else ("PX", _milliseconds(ttl))
            await self._store.do("SET", self._key(name), value, *life)

    async def count(self, name: str, by: int = 1) -> int:
        return int(await self._store.do("HINCRBY", f"{self._prefix}counts", name, by))

    async def counts(self) -> dict[str, int]:
        """Every counter there is."""
        found = await self._store.do("HGETALL", f"{self._prefix}counts")
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {name.decode(): int(value) for name, value in pairs}

    def _key(self, name: str) -> str:
        return f"{self._prefix}flag:{name}"


def _version(approved: Rebaseline) -> str:
    return f"{approved.tenant}/{approved.model}/{approved.version}"


def _milliseconds(ttl: float) -> int:
    return max(1, round(ttl * 1_000))


def _row(raw: bytes | None) -> dict[str, Any] | None:
    return None if raw is None else msgspec.json.decode(raw, type=dict[str, Any])
