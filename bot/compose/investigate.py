"""Investigate: alerts become incidents, incidents get a hypothesis and a plan."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from bot.compose import lineage
from bot.compose.forecast import outlook_of
from bot.compose.ground import Ground, Work
from bot.compose.outside import model, runbooks
from core import looks
from core.action.planner import Plans
from core.triage import Triage
from integrations.nats import Route

log = logging.getLogger("middlewatch")

PATIENCE = 10.0
"""Seconds that a diagnosis waits for windows, changes and lineage published before it."""


async def build(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    from agents.investigate import Investigation
    from knowledge.history import History

    settings, policy, views = house.settings, house.policy, house.views
    shelf, history = runbooks(house, owner=True), History()
    for incident in await views.incidents.all(over=True):
        history.add(incident)
    investigation = Investigation(
        telemetry=views.telemetry, changes=views.changes, lineage=house.lineage.of, runbooks=shelf, history=history,
        model=model(settings), policy=policy, progress=_progress(house),
        forecast=lambda tenant, name: outlook_of(house, tenant, name),
    )  # fmt: skip
    await asyncio.to_thread(investigation.warm)

    async def on_changes(message: Any) -> None:
        for change in message.events:
            await views.changes.add_change(message.tenant, change)

    async def on_windows(windows: list[Any]) -> None:
        await asyncio.gather(*(views.telemetry.add_window(window) for window in windows))

    reading = [
        Route(durable="investigate-changes", subject="change.>", handler=on_changes, ack_wait=3.0),
        Route(durable="investigate-lineage", subject="lineage.>", handler=house.lineage.on_lineage, batch=200,
              ack_wait=3.0),
        Route(durable="investigate-windows", subject="window.>", handler=on_windows, batch=200, linger=0.05,
              ack_wait=3.0),
    ]  # fmt: skip

    async def caught_up() -> None:
        for late in await house.bus.caught_up(reading, PATIENCE):
            log.warning("%s has not caught up after %g s: the cause is sought in what is there", late, PATIENCE)

    triage = Triage(house.log, investigation, Plans(views.telemetry, policy), caught_up=caught_up)

    async def on_incident(event: Any) -> None:
        history.add(event.incident)
        await triage.on_incident(event)

    return [
        *reading,
        Route(durable="investigate-alerts", subject="alert.fired.>", handler=triage.on_alert),
        Route(durable="investigate-calm", subject="alert.resolved.>", handler=triage.on_resolved),
        Route(durable="investigate-incidents", subject="incident.>", handler=on_incident, workers=4),
    ], [shelf.run(), looks.watch(house.log), *([lineage.watch(house)] if settings.lineage else []),
        *([lineage.ask_registry(house)] if settings.mlflow_url else [])]  # fmt: skip


def _progress(house: Ground) -> Callable[[str, str], Awaitable[None]]:
    async def progress(incident_id: str, text: str) -> None:
        log.info("%s: %s", incident_id, text)

    return progress
