"""The views, in Redis (or Valkey). The only home of `redis`.

`async with RedisViews(url) as views:` gives `views.incidents`, `.telemetry`, `.changes`, `.lineage`, `.nonces`,
`.cards`, `.silences`, `.rebaselines`, `.flags`, `.snapshots`: the ports of `core.ports` of the same names. One server
(or a primary with replicas); a sharded cluster is not supported, because one change touches several keys at once.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING, Any, Self

from core.errors import MiddlewatchError, Unavailable
from core.settings import Secret
from integrations.view_of_incidents import IncidentView
from integrations.view_of_people import CardView, FlagView, NonceView, RebaselineView, SilenceView
from integrations.view_of_snapshots import SnapshotView
from integrations.view_of_telemetry import ChangeView, LineageView, TelemetryView

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("middlewatch.redis")

PREFIX = "mw:"


class Store:
    """One server, guarded: commands are tried again while it is away, and errors say what to do, without the password.

    A command may therefore run twice when its answer was lost; whatever must happen once carries a token of its caller.
    """

    def __init__(self, url: str, *, patience: float = 10.0):
        self._url = url.reveal() if isinstance(url, Secret) else url
        self.shown = re.sub(r"//[^@/]*@", "//***@", self._url)
        """The address without its credentials."""
        self._patience = patience
        self._redis: Redis | None = None
        self._away = False

    async def open(self) -> None:
        """Raises Unavailable when nobody answers in time, or the credentials are refused."""
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        try:
            self._redis = Redis.from_url(
                self._url, retry=Retry(NoBackoff(), 0), socket_timeout=5.0, socket_connect_timeout=2.0,
                client_name="middlewatch", protocol=2,
            )  # fmt: skip
        except ValueError:
            raise Unavailable(
                f"REDIS_URL cannot be read ({self.shown}): it should look like redis://127.0.0.1:6379/0"
            ) from None
        try:
            await self.do("PING")
        except MiddlewatchError:
            await self.close()
            raise

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()
            self._redis = None

    async def do(self, *command: Any) -> Any:
        """The server's answer. Raises Unavailable with the remedy."""
        from redis.exceptions import AuthenticationError, AuthorizationError, ConnectionError, RedisError, TimeoutError

        deadline, delay = time.monotonic() + self._patience, 0.02
        while True:
            if self._redis is None:  # never opened, or closed while we waited
                raise Unavailable(f"not connected to Redis at {self.shown}")
            try:
                answer = await self._redis.execute_command(*command)
            except (AuthenticationError, AuthorizationError) as error:
                raise Unavailable(
                    f"Redis at {self.shown} refused the credentials ({_said(error)}): correct REDIS_URL"
                ) from None
            except (ConnectionError, TimeoutError, OSError) as error:
                self._went_away(error)
                if time.monotonic() + delay > deadline:
                    raise Unavailable(
                        f"Redis at {self.shown} does not answer ({_said(error)}): start it, correct REDIS_URL, "
                        "or unset REDIS_URL to have a local one started"
                    ) from None
            except RedisError as error:
                raise Unavailable(f"Redis at {self.shown} refused {command[0]}: {_said(error)}") from None
            else:
                self._came_back()
                return answer
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)

    async def run(self, script: str, keys: list[str], *arguments: Any) -> Any:
        """The answer of a Lua script: everything in it happens at once, or not at all."""
        return await self.do("EVAL", script, len(keys), *keys, *arguments)

    async def delete_all(self, pattern: str) -> int:
        """Delete every key that matches; how many."""
        cursor, deleted = b"0", 0
        while True:
            cursor, keys = await self.do("SCAN", cursor, "MATCH", pattern, "COUNT", 500)
            if keys:
                deleted += int(await self.do("UNLINK", *keys))
            if int(cursor) == 0:
                return deleted

    def _went_away(self, error: BaseException) -> None:
        if not self._away:
            log.warning("Redis at %s does not answer (%s); waiting for it", self.shown, _said(error))
        self._away = True

    def _came_back(self) -> None:
        if self._away:
            log.warning("Redis at %s is back", self.shown)
        self._away = False


class RedisViews:
    """Every store port of `core.ports`, on one server. `patience`: seconds that one call waits for an absent server."""

    def __init__(self, url: str, *, patience: float = 10.0):
        self.store = Store(url, patience=patience)
        self.incidents = IncidentView(self.store, PREFIX)
        self.telemetry = TelemetryView(self.store, PREFIX)
        self.changes = ChangeView(self.store, PREFIX)
        self.lineage = LineageView(self.store, PREFIX)
        self.nonces = NonceView(self.store, PREFIX)
        self.cards = CardView(self.store, PREFIX)
        self.silences = SilenceView(self.store, PREFIX)
        self.rebaselines = RebaselineView(self.store, PREFIX)
        self.flags = FlagView(self.store, PREFIX)
        self.snapshots = SnapshotView(self.store, PREFIX)

    async def __aenter__(self) -> Self:
        await self.store.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    async def clear(self) -> int:
        """Delete what the streams can give back (incidents, windows, changes); how many keys.

        What only Redis knows stays: baselines and their approvals, lineage, cards, nonces, silences, flags. Raises
        MiddlewatchError while a revision is not in the audit log yet, for it would be lost.
        """
        if waiting := await self.incidents.unpublished():
            raise MiddlewatchError(
                f"{len(waiting)} incident revisions are not in the audit log yet: start Middlewatch once, or run "
                "`python -m bot up`, so that they are published; then rebuild"
            )
        kinds = ("incident:*", "incidents:*", "group:*", "windows:*", "changes:*")
        return sum([await self.store.delete_all(PREFIX + kind) for kind in kinds])


def _said(error: BaseException) -> str:
    return re.sub(r"//[^@/\s]*@", "//***@", str(error) or type(error).__name__)
