"""Telemetry, the change log and lineage: rows in order of event time, the oldest forgotten."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from core.errors import MiddlewatchError
from core.events import ChangeRecorded, SignalWindow, WindowClosed
from core.ports import Baseline

if TYPE_CHECKING:
    from integrations.redis import Store

WINDOWS_KEPT, WINDOW_AGE = 1_000, 90 * 86_400.0
"""Per model: at most so many windows, and none older than this many seconds of event time before the newest."""
CHANGES_KEPT, CHANGE_AGE = 10_000, 400 * 86_400.0
"""Per tenant."""

_ADD = """
local order, data = KEYS[1], KEYS[2]
local name, score, row, kept, age = unpack(ARGV)
redis.call('HSET', data, name, row)
redis.call('ZADD', order, score, name)
local newest = redis.call('ZRANGE', order, -1, -1, 'WITHSCORES')[2]
local old = redis.call('ZRANGEBYSCORE', order, '-inf', '(' .. (tonumber(newest) - tonumber(age)))
for _, gone in ipairs(redis.call('ZRANGE', order, 0, -(tonumber(kept) + 1))) do old[#old + 1] = gone end
for _, gone in ipairs(old) do
  redis.call('ZREM', order, gone)
  redis.call('HDEL', data, gone)
end
return #old
"""

_CHUNK = 200
_window = msgspec.msgpack.Decoder(WindowClosed)
_change = msgspec.msgpack.Decoder(ChangeRecorded)
_baseline = msgspec.msgpack.Decoder(Baseline)


class _Rows:
    """Rows by name in order of a time; the same name again replaces its row."""

    def __init__(self, store: Store, key: str, kept: int, age: float):
        self._store, self._key, self._kept, self._age = store, key, kept, age

    async def add(self, of: str, name: str, at: float, row: bytes) -> None:
        keys = [f"{self._key}:{of}", f"{self._key}:data:{of}"]
        await self._store.run(_ADD, keys, name, repr(at), row, self._kept, self._age)

    async def names(self, of: str, since: float, until: float) -> list[str]:
        """Oldest first; both ends included."""
        found = await self._store.do("ZRANGEBYSCORE", f"{self._key}:{of}", repr(since), repr(until))
        return [name.decode() for name in found]

    async def rows(self, of: str, names: list[str]) -> list[bytes]:
        found: list[bytes] = []
        for first in range(0, len(names), _CHUNK):
            answer = await self._store.do("HMGET", f"{self._key}:data:{of}", *names[first : first + _CHUNK])
            found += [row for row in answer if row is not None]  # trimmed in between
        return found


class TelemetryView:
    """`core.ports.Telemetry`: the newest windows of each model, compressed, and each model's baseline."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._prefix = store, prefix
        self._rows = _Rows(store, f"{prefix}windows", WINDOWS_KEPT, WINDOW_AGE)

    async def add_window(self, window: WindowClosed) -> None:
        of = f"{window.tenant}.{window.model}"
        row = zlib.compress(msgspec.msgpack.encode(window), 1)
        await self._rows.add(of, f"{window.version}\x1f{window.id}", window.end, row)
        await self._store.do("SADD", f"{self._prefix}models", of)

    async def windows(
        self, tenant: str, model: str, *, since: float = 0.0, until: float = float("inf"), version: str | None = None,
        limit: int = 2_000,
    ) -> list[WindowClosed]:  # fmt: skip
        of = f"{tenant}.{model}"
        names = await self._rows.names(of, since, until)
        if version is not None:
            names = [name for name in names if name.rpartition("\x1f")[0] == version]
        rows = await self._rows.rows(of, names[-limit:] if limit > 0 else [])
        return [_read(_window, zlib.decompress(row), f"a window of {of}") for row in rows]

    async def models(self) -> list[tuple[str, str]]:
        found = sorted(name.decode() for name in await self._store.do("SMEMBERS", f"{self._prefix}models"))
        return [(tenant, model) for tenant, _, model in (name.partition(".") for name in found)]

    async def put_baseline(self, baseline: Baseline) -> None:
        of = f"{baseline.tenant}.{baseline.model}"
        await self._store.do("SET", f"{self._prefix}baseline:{of}", msgspec.msgpack.encode(baseline))
        await self._store.do("SADD", f"{self._prefix}models", of)

    async def baseline(self, tenant: str, model: str) -> Baseline | None:
        of = f"{tenant}.{model}"
        row = await self._store.do("GET", f"{self._prefix}baseline:{of}")
        if row is None:
            return None
        found: Baseline = _read(_baseline, row, f"the baseline of {of}")
        signals = {name: msgspec.convert(signal, SignalWindow) for name, signal in found.signals.items()}
        return msgspec.structs.replace(found, signals=signals)


class ChangeView:
    """`core.ports.Changes`."""

    def __init__(self, store: Store, prefix: str):
        self._rows = _Rows(store, f"{prefix}changes", CHANGES_KEPT, CHANGE_AGE)

    async def add_change(self, tenant: str, change: ChangeRecorded) -> None:
        await self._rows.add(tenant, change.id, float(change.at), msgspec.msgpack.encode(change))

    async def changes(self, tenant: str, *, since: float, until: float) -> list[ChangeRecorded]:
        rows = await self._rows.rows(tenant, await self._rows.names(tenant, since, until))
        return [_read(_change, row, f"a change of {tenant}") for row in rows]


class LineageView:
    """`core.ports.LineageStore`."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._prefix = store, prefix

    async def put_lineage(self, tenant: str, encoded: bytes) -> None:
        await self._store.do("SET", f"{self._prefix}lineage:{tenant}", encoded)

    async def lineage(self, tenant: str) -> bytes | None:
        found: bytes | None = await self._store.do("GET", f"{self._prefix}lineage:{tenant}")
        return found


def _read(decoder: Any, row: bytes, what: str) -> Any:
    try:
        return decoder.decode(row)
    except msgspec.MsgspecError as error:
        raise MiddlewatchError(
            f"{what} in Redis cannot be read ({error}): `python -m bot rebuild` makes the views anew"
        ) from None
