"""Incidents by compare-and-set: a revision is stored only onto the one before it, with every index in one step."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from core.errors import Conflict, MiddlewatchError
from core.incidents import Incident

if TYPE_CHECKING:
    from integrations.redis import Store

_SAVE = """
local incident, open, over, group, unpublished = unpack(KEYS)
local id, revision, data, token, is_over, opened, may_skip = unpack(ARGV)
local row = redis.call('HMGET', incident, 'revision', 'token')
local have = tonumber(row[1] or '0')
revision = tonumber(revision)
if may_skip == '1' then
  if revision <= have then return 0 end
elseif revision == have and row[2] == token then
  return 1  -- our own save, whose answer was lost
elseif revision ~= have + 1 then
  return 0
end
redis.call('HSET', incident, 'revision', revision, 'token', token, 'data', data)
if is_over == '1' then
  redis.call('ZREM', open, id)
  redis.call('ZADD', over, opened, id)
  if redis.call('GET', group) == id then redis.call('DEL', group) end
else
  redis.call('ZADD', open, opened, id)
  redis.call('SET', group, id)
end
if may_skip == '0' then redis.call('HSET', unpublished, id .. '.' .. revision, data) end
return 1
"""

_decoder = msgspec.msgpack.Decoder(Incident)


class IncidentView:
    """`core.ports.Incidents`."""

    def __init__(self, store: Store, prefix: str):
        self._store, self._prefix = store, prefix

    async def get(self, incident_id: str) -> Incident | None:
        return _read(await self._store.do("HGET", self._key(incident_id), "data"), incident_id)

    async def of_group(self, group: str) -> Incident | None:
        found = await self._store.do("GET", f"{self._prefix}group:{group}")
        incident = await self.get(found.decode()) if found else None
        return None if incident is None or incident.over else incident

    async def all(self, *, over: bool | None = None, limit: int = 200) -> list[Incident]:
        kinds = {None: ("open", "over"), False: ("open",), True: ("over",)}[over]
        scored: list[tuple[float, str]] = []
        for kind in kinds:
            row = await self._store.do(
                "ZRANGE", f"{self._prefix}incidents:{kind}", 0, limit - 1, "REV", "WITHSCORES"
            )  # fmt: skip
            scored += [(float(score), name.decode()) for name, score in _pairs(row)]
        found = [await self.get(name) for _, name in sorted(scored, reverse=True)[:limit]]
        return [incident for incident in found if incident is not None]

    async def save(self, incident: Incident) -> None:
        if not await self._put(incident, may_skip=False):
            raise Conflict(
                f"incident {incident.id} changed meanwhile: it is no longer at revision {incident.revision - 1}"
            )

    async def restore(self, incident: Incident) -> bool:
        """Store a revision from the audit log, unless the view holds it or a later one; whether it was stored."""
        return await self._put(incident, may_skip=True)

    async def published(self, incident: Incident) -> None:
        await self._store.do("HDEL", f"{self._prefix}unpublished", f"{incident.id}.{incident.revision}")

    async def unpublished(self) -> list[Incident]:
        rows = await self._store.do("HVALS", f"{self._prefix}unpublished")
        waiting = [_decoded(row, "unpublished") for row in rows]
        return sorted(waiting, key=lambda incident: (incident.id, incident.revision))

    async def _put(self, incident: Incident, *, may_skip: bool) -> bool:
        keys = [
            self._key(incident.id), f"{self._prefix}incidents:open", f"{self._prefix}incidents:over",
            f"{self._prefix}group:{incident.group}", f"{self._prefix}unpublished",
        ]  # fmt: skip
        done = await self._store.run(
            _SAVE, keys, incident.id, incident.revision, msgspec.msgpack.encode(incident), secrets.token_hex(8),
            int(incident.over), repr(incident.opened_at), int(may_skip),
        )  # fmt: skip
        return bool(done)

    def _key(self, incident_id: str) -> str:
        return f"{self._prefix}incident:{incident_id}"


def _pairs(row: list[bytes]) -> list[tuple[bytes, bytes]]:
    if row and isinstance(row[0], tuple | list):  # the client library has paired them already
        return [(name, score) for name, score in row]
    return list(zip(row[::2], row[1::2], strict=True))


def _read(raw: bytes | None, what: str) -> Incident | None:
    return None if raw is None else _decoded(raw, what)


def _decoded(raw: bytes, what: str) -> Incident:
    try:
        return _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise MiddlewatchError(
            f"the view of incident {what} in Redis cannot be read ({error}): `python -m bot rebuild` makes it anew"
        ) from None
