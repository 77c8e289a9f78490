"""What every target stands on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.incident_log import IncidentLog
from core.policy import Policy
from core.settings import Settings
from integrations.nats import Nats
from integrations.redis import RedisViews

ROOT = Path(__file__).resolve().parents[2]

Work = list[Coroutine[Any, Any, None]]


@dataclass(kw_only=True)
class Ground:
    """What every target stands on. `shared` keeps what several targets of one process use together."""

    settings: Settings
    policy: Policy
    bus: Nats
    views: RedisViews
    log: IncidentLog
    shared: dict[str, Any] = field(default_factory=dict)
    warming: list[asyncio.Event] = field(default_factory=list)
    """What is still being loaded beside the work; nothing waits for it but the word that all is warm."""

    @property
    def lineage(self) -> Any:
        from knowledge.ingest import LineageKeeper

        return self.shared.setdefault("lineage", LineageKeeper(self.views.lineage))


@contextlib.asynccontextmanager
async def ground(settings: Settings, policy: Policy, name: str = "middlewatch") -> AsyncIterator[Ground]:
    """Connect to NATS and Redis; the real ones are started on loopback where no address is given."""
    async with AsyncExitStack() as stack:
        nats_url, redis_url = settings.nats_url, settings.redis_url.reveal()
        if not nats_url or not redis_url:
            from integrations.local import LocalServers

            local = LocalServers(settings.var, nats=not nats_url, redis=not redis_url)
            servers = await stack.enter_async_context(local)
            nats_url, redis_url = nats_url or servers.nats_url, redis_url or servers.redis_url
        views = await stack.enter_async_context(RedisViews(redis_url))
        bus = await stack.enter_async_context(
            Nats(nats_url, name=name)
        )  # closed first: handlers finish with Redis there
        yield Ground(settings=settings, policy=policy, bus=bus, views=views, log=IncidentLog(views.incidents, bus))
