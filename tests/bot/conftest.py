"""A running workspace and the Slack side talking to it over Slack's own protocols."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.app import Converse
from bot.wire import Access
from bot.workspace import APP_TOKEN, BOT_TOKEN, People, serve
from core.incidents import Incident, changed
from tests.bot import examples as x
from tests.bot.ports import Graph, Shelf, Views

MANIFEST = Path(__file__).resolve().parents[2] / "bot" / "manifest.yaml"


class Clock:
    """Wall clock of the stories: starts at the examples' now and moves with real time, or by leaps."""

    def __init__(self) -> None:
        self.offset = x.NOW + 10 - time.time()

    def __call__(self) -> float:
        return time.time() + self.offset

    def leap(self, seconds: float) -> None:
        self.offset += seconds


@dataclass
class Story:
    """One running Slack side with its stores and the people around it."""

    workspace: Any
    people: People
    views: Views
    clock: Clock
    converse: Converse

    async def show(self, incident: Incident) -> dict:
        """Write the incident, hand it to the Slack side, and wait for its card to show this revision."""
        await self.views.put(incident)
        await self.converse.on_incident(changed(incident))
        return await self.card(lambda m: True)

    async def card(self, fits, who: str = "ana", timeout: float = 60.0) -> dict:
        def is_card(message: dict) -> bool:
            meta = message.get("metadata") or {}
            return meta.get("event_type") == "middlewatch_incident" and fits(message)

        return await self.people.as_user(who).wait_for_message(is_card, channel="ml-oncall", timeout=timeout)

    async def calls(self) -> dict[str, int]:
        return (await self.people.state())["counts"]


def converse_for(workspace: Any, views: Views, clock: Clock, **more: Any) -> Converse:
    given = {
        "access": Access(BOT_TOKEN, APP_TOKEN, workspace.api_url), "policy": x.policy(), "log": views.log(),
        "incidents": views, "telemetry": views, "changes": views, "cards": views, "nonces": views, "silences": views,
        "rebaselines": views, "flags": views, "lineage": lambda tenant: Graph(), "runbooks": Shelf(),
        "now": clock, "coalesce": 0.3,
    }  # fmt: skip
    return Converse(**(given | more))


@contextlib.asynccontextmanager
async def told(tmp_path: Path, rate_limits: bool = True, patience: float = 3.0, **more: Any):
    """`patience`: seconds for an ack and for a trigger: 3 in Slack, more where browsers are slow."""
    clock, given = Clock(), {"ack_seconds": patience, "trigger_seconds": patience, "rate_limits": rate_limits}
    async with (
        await serve(data_dir=tmp_path / "workspace", manifest=MANIFEST, **given) as workspace,
        People(workspace.url) as people,
    ):
        views = Views(clock)
        converse = converse_for(workspace, views, clock, **more)
        await converse.start(within=60)
        running = Story(workspace, people, views, clock, converse)
        try:
            yield running
        finally:
            await running.converse.stop()


@pytest.fixture
async def story(tmp_path: Path):
    """A Slack side with the shipped people; the policy makes Ana and Chloé approvers and Ben a responder."""
    async with told(tmp_path) as running:
        yield running
