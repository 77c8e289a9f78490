"""What the alert pipeline may know beyond the detections, looked up every few seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from bot.compose.ground import Ground
from core.alerting import Maintenance
from core.alerts import World
from core.errors import Unavailable
from core.policy import Policy

log = logging.getLogger("middlewatch")

WORLD_SECONDS = 3.0
CHANGES_KEPT = 200
"""Most recent changes of a tenant that inhibition may look at."""
CONSUMERS = ("model", "service")


def world_of(policy: Policy) -> World:
    """The world as far as policy says it."""
    planned = [
        Maintenance(tenant=w.tenant, model=w.model, start=w.times[0], end=w.times[1], reason=w.reason)
        for w in policy.alerting.maintenance
    ]
    return World(maintenance=planned)


async def keep_world(house: Ground, world: World) -> None:
    """Silences that people set, lineage, and (where policy lets them mute) recent changes, as long as this runs."""
    while True:
        try:
            world.silences = await house.views.silences.silences(time.time())
            models = await house.views.telemetry.models()
            tenants = {tenant for tenant, _ in models}
            await _lineage(house, world, models, tenants)
            if house.policy.alerting.planned_change_minutes > 0:
                for tenant in tenants:
                    found = await house.views.changes.changes(tenant, since=0.0, until=float("inf"))
                    world.changes[tenant] = found[-CHANGES_KEPT:]
        except Unavailable as away:
            log.warning("silences and lineage as last known: %s", away)
        await asyncio.sleep(WORLD_SECONDS)


async def _lineage(house: Ground, world: World, models: list[tuple[str, str]], tenants: set[str]) -> None:
    upstream, downstream, down = {}, {}, {}
    for tenant in tenants:
        graph = await house.lineage.of(tenant)
        if graph is None:
            continue
        mine = [model for t, model in models if t == tenant]
        above = {model: graph.upstream(model) for model in mine}
        upstream[tenant] = {model: [_called(node, mine) for node in nodes] for model, nodes in above.items()}
        downstream[tenant] = {model: _consumers(graph, model) for model in mine}
        if house.policy.alerting.mute_dead_upstream:
            down[tenant] = {
                _called(node, mine): why for nodes in above.values() for node in nodes if (why := _dead(node))
            }
    world.upstream, world.downstream, world.down = upstream, downstream, down


def _called(node: dict[str, Any], models: list[str]) -> str:
    """A model that is watched is called as its alerts call it, whatever its lineage calls it."""
    return str(node["name"] if node.get("kind") == "model" and node.get("name") in models else node["id"])


def _consumers(graph: Any, model: str) -> int:
    """How many things that people know hang on a model."""
    return sum(1 for node in graph.downstream(model) if node.get("kind") in CONSUMERS)


def _dead(node: dict[str, Any]) -> str:
    """Why an upstream gives nothing any more; empty when it does."""
    if node.get("dead"):
        return "it was dropped"
    state = node.get("last_state")
    return f"its last run ended with {state}" if state in ("fail", "abort") else ""
