"""The views of incidents, changes and windows made again from the streams that they are views of."""

from __future__ import annotations

import asyncio
from typing import Any

from integrations.nats import Nats
from integrations.redis import RedisViews
from integrations.wire import Delivered, delivered

AT_ONCE = 200
"""Windows stored together."""


async def rebuild(bus: Nats, views: RedisViews) -> dict[str, int]:
    """Apply every stored entry to the views; how many of each: {"incidents", "changes", "windows"}.

    Nothing is deleted here, and what the views hold already (or hold later) stays: it can be run again after an
    interruption. Raises Unavailable.
    """
    return {
        "incidents": await _incidents(bus, views),
        "changes": await _changes(bus, views),
        "windows": await _windows(bus, views),
    }


async def _incidents(bus: Nats, views: RedisViews) -> int:
    latest: dict[str, Any] = {}
    async for message in _read(bus, "incident.>"):
        for event in message.events:
            latest[event.incident.id] = event.incident
    for incident in latest.values():  # in the order in which they were opened: a group belongs to its latest
        await views.incidents.restore(incident)
    return len(latest)


async def _changes(bus: Nats, views: RedisViews) -> int:
    number = 0
    async for message in _read(bus, "change.>"):
        for change in message.events:
            await views.changes.add_change(message.tenant, change)
            number += 1
    return number


async def _windows(bus: Nats, views: RedisViews) -> int:
    number, waiting = 0, []
    async for message in _read(bus, "window.>"):
        waiting += message.events
        if len(waiting) >= AT_ONCE:
            number, waiting = number + await _stored(waiting, views), []
    return number + await _stored(waiting, views)


async def _stored(windows: list[Any], views: RedisViews) -> int:
    await asyncio.gather(*(views.telemetry.add_window(window) for window in windows))
    return len(windows)


async def _read(bus: Nats, subject: str) -> Any:
    async for entry in bus.read(subject):
        message: Delivered = delivered(entry.subject, entry.data, seq=entry.seq, at=entry.at)[0]
        yield message
