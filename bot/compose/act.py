"""Act: the only target that holds deploy credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from bot.compose.ground import Ground, Work
from bot.compose.outside import receivers, tickets
from core.action import Tools
from core.action.executor import Executor
from core.policy import DeployerAddress
from integrations.nats import Route

SWEEP_SECONDS = 5.0


async def build(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    views, policy = house.views, house.policy
    tools = Tools(deployers=_deployers(house), tickets=tickets(house), telemetry=views.telemetry, changes=views.changes)
    executor = Executor(house.log, policy, tools, views.flags)

    async def sweeping() -> None:
        while True:
            await executor.sweep()
            await asyncio.sleep(SWEEP_SECONDS)

    return [
        Route(durable="act-approved", subject="incident.approved.>", handler=executor.on_approved),
        Route(durable="act-windows", subject="window.>", handler=executor.on_window),
        *_synced(house),
    ], [sweeping()]


def _deployers(house: Ground) -> dict[str, Any]:
    """One deployer per `[deployers.<name>]` that has an address."""
    from integrations.mlflow_alias import MlflowAlias
    from integrations.webhook import Webhook

    token = house.settings.deploy_token

    def made(d: DeployerAddress) -> Any:
        return MlflowAlias(d.url, token, name=d.name, alias=d.alias) if d.kind == "mlflow" else Webhook(d.url, token)

    return {name: made(d) for name, d in house.policy.deployers.items() if d.url}


def _synced(house: Ground) -> list[Route]:
    """One route a receiver: what one outside system cannot take now does not hold up the others."""

    def handler(receiver: Any) -> Callable[[Any], Awaitable[None]]:
        async def on_incident(event: Any) -> None:
            await receiver.sync(event.incident)

        return on_incident

    made = receivers(house).items()
    return [Route(durable=f"act-{name}", subject="incident.>", handler=handler(receiver)) for name, receiver in made]
