"""Converse: cards, commands and approvals in Slack."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import AsyncExitStack
from typing import Any

from bot.compose.forecast import outlook_of
from bot.compose.ground import Ground, Work
from bot.compose.outside import model, open_ticket, receivers, runbooks
from core.action.planner import Plans
from core.errors import Unavailable
from core.settings import Settings
from integrations.nats import Route

log = logging.getLogger("middlewatch")


async def build(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    from bot.app import Converse

    views, policy, shelf = house.views, house.policy, runbooks(house)

    converse = Converse(
        access=await slack_access(house.settings), policy=policy, log=house.log, incidents=views.incidents,
        telemetry=views.telemetry, changes=views.changes, cards=views.cards, nonces=views.nonces,
        silences=views.silences, flags=views.flags, rebaselines=views.rebaselines,
        lineage=house.lineage.of,
        runbooks=shelf, planner=Plans(views.telemetry, policy), llm=model(house.settings),
        embed=lambda texts: asyncio.to_thread(house.shared["embedder"].encode, texts),
        forecast=lambda tenant, name: outlook_of(house, tenant, name),
        open_ticket=open_ticket(house), page=getattr(receivers(house).get("pagerduty"), "page", None),
        backlog=lambda: backlog(house),
    )  # fmt: skip
    await converse.start()
    stack.push_async_callback(converse.stop)
    routes = [Route(durable="converse-cards", subject="incident.>", handler=converse.on_incident, workers=8)]
    return routes, [] if "investigate" in house.shared["targets"] else [shelf.run()]


async def backlog(house: Ground) -> tuple[int, int]:
    """(messages that wait or are in hand, dead letters). Raises Unavailable."""
    depth = await house.bus.depth()
    waiting = sum(row["waiting"] + row["in_hand"] for stream in depth.values() for row in stream["consumers"].values())
    return waiting, depth.get("DEAD", {}).get("messages", 0)


async def slack_access(settings: Settings, patience: float = 30.0) -> Any:
    """The Slack that is given, or the local workspace of this var folder."""
    from bot.wire import SLACK, Access

    if settings.real_slack:
        return Access(
            bot_token=settings.slack_bot_token.reveal(), app_token=settings.slack_app_token.reveal(),
            api_url=settings.slack_api_url or SLACK, signing_secret=settings.slack_signing_secret.reveal(),
            listen=settings.slack_http,
        )  # fmt: skip
    from bot.workspace import APP_TOKEN, BOT_TOKEN

    path, deadline = settings.var / "workspace.json", time.monotonic() + patience
    if not path.exists():
        log.warning("waiting for the workspace: no %s yet; `python -m bot run workspace` starts one", path)
    while not path.exists():
        if time.monotonic() > deadline:
            raise Unavailable(
                f"no workspace at {path}: `python -m bot run workspace` starts one; or set SLACK_BOT_TOKEN"
            )
        await asyncio.sleep(0.1)
    return Access(bot_token=BOT_TOKEN, app_token=APP_TOKEN, api_url=json.loads(path.read_text())["api_url"])
