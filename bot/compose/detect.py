"""Detect: inference events and labels in, closed windows and alerts out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bot.compose.ground import ROOT, Ground, Work
from core.alerting import rules_of
from core.detect import Detect
from core.errors import PolicyError, Unavailable
from core.policy import DEFAULT, Policy, line_of
from core.settings import Settings
from core.watcher import Watcher, World
from integrations.nats import Route

log = logging.getLogger("middlewatch")

SNAPSHOT_SECONDS = 1.0
WORLD_SECONDS = 3.0
LOOK_SECONDS = 0.02
QUIET_LOOKS = 5
"""So many looks in a row that found nothing waiting mean that nothing older will come."""


async def build(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    from core.watcher import Watcher
    from detectors.monitor import Monitor
    from detectors.warm import warm

    policy, views, world = house.policy, house.views, World()
    _known_detectors(policy, house.settings)
    await asyncio.to_thread(warm)

    def baseline(tenant: str, model: str, version: str) -> Path | None:
        named = policy.rules(tenant, model).baseline
        return ROOT / named if named else None

    def watcher() -> Watcher:
        monitor = Monitor(policy.detection, baseline, policy.rules)
        return Watcher(monitor, policy, rules_of(policy.alerting, policy.detection), world, time.time)

    async def on_change(message: Any) -> None:
        world.heard(message.tenant, message.events)

    detect = Detect(watcher, house.bus, views.telemetry, views.flags)
    routes = [Route(durable="detect-changes", subject="change.>", handler=on_change)]
    return routes, [_detecting(house, detect), _world(house, world)]


def _known_detectors(policy: Policy, settings: Settings) -> None:
    """Policy names detectors by file; a name without a file stops the start. Raises PolicyError."""
    from detectors.base import names

    path = settings.policy or DEFAULT
    for family, chosen in policy.detection.signals.items():
        for name in set(chosen) - set(names()):
            line = line_of(path, ["detection", "signals", family])
            raise PolicyError(f"{path}:{line}: no detector {name!r}: there are {', '.join(sorted(names()))}")


async def _world(house: Ground, world: Any) -> None:
    """What the pipeline may know, looked up every few seconds: silences that people set, upstreams from the lineage."""
    while True:
        try:
            world.silences = await house.views.silences.silences(time.time())
            models = await house.views.telemetry.models()
            graphs = {tenant: await house.lineage.of(tenant) for tenant in {t for t, _ in models}}
            world.upstream = {
                tenant: {m: [n["id"] for n in graph.upstream(m)] for t, m in models if t == tenant}
                for tenant, graph in graphs.items()
                if graph is not None
            }
        except Unavailable as away:
            log.warning("silences and lineage as last known: %s", away)
        await asyncio.sleep(WORLD_SECONDS)


async def _detecting(house: Ground, detect: Detect) -> None:
    """Read on from the snapshot; after an outage start again from it, because what was said must be said completely."""
    while True:
        await house.bus.feed(durable="detect-inference", subject="inference.>").until_free()
        position = await detect.restore()
        feeds = [
            house.bus.feed(durable=f"detect-{name.lower()}", subject=subject, start=position.sequences.get(name, 0) + 1)
            for name, subject in (("INFERENCE", "inference.>"), ("LABELS", "label.>"))
        ]
        try:
            async with asyncio.TaskGroup() as group:
                served, labels = feeds
                group.create_task(_reading(detect, served))
                group.create_task(_reading(detect, labels, after=served))
                group.create_task(_checkpoints(detect, feeds))
        except* Unavailable as outage:
            log.warning("detect starts again from its snapshot: %s", outage.exceptions[0])
            await asyncio.sleep(1.0)
        finally:
            for feed in feeds:
                await feed.close()


async def _reading(detect: Detect, feed: Any, after: Any = None) -> None:
    """Take in a feed; with `after`, never what the server stored later than that feed's last: a label that comes before
    its prediction joins nothing."""
    async for batch in feed:
        if after is not None:
            await _caught_up(detect, after, batch[-1].at)
        async with detect.turn:
            await detect.on_batch(feed.stream, batch)


async def _caught_up(detect: Detect, feed: Any, at: float) -> None:
    """Until everything of `feed` that the server stored before `at` (epoch seconds, its clock) was taken in."""
    quiet = 0
    while detect.stored_at.get(feed.stream, 0.0) < at and quiet < QUIET_LOOKS:
        quiet = 0 if feed.waiting else quiet + 1
        await asyncio.sleep(LOOK_SECONDS)


async def _checkpoints(detect: Detect, feeds: Sequence[Any]) -> None:
    stored: dict[str, int] = {}
    while True:
        await asyncio.sleep(SNAPSHOT_SECONDS)
        async with detect.turn:
            await detect.tick()
            if detect.position.sequences != stored:
                stored = await detect.checkpoint()
        for feed in feeds:
            if feed.stream in stored:
                await feed.ack(stored[feed.stream])
