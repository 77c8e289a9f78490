"""The one composition root: the only file that joins the rooms. Read it top to bottom to know the product.

Substitutions are made here alone, by address and never by class: no NATS_URL or REDIS_URL starts the real servers on
loopback, no SLACK_BOT_TOKEN talks to the local workspace, no LLM_URL means that rules write the hypothesis.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.action import Tools
from core.action.executor import Executor
from core.action.planner import Plans
from core.detect import Detect
from core.errors import Unavailable
from core.incident_log import IncidentLog
from core.policy import Policy
from core.settings import Settings
from core.triage import Triage, asked_again
from integrations.nats import Nats, Route
from integrations.redis import RedisViews

log = logging.getLogger("middlewatch")

TARGETS = ("detect", "investigate", "converse", "act")
ROOT = Path(__file__).resolve().parent.parent
SNAPSHOT_SECONDS = 1.0
SWEEP_SECONDS = 5.0
WORLD_SECONDS = 3.0

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
        bus = await stack.enter_async_context(Nats(nats_url, name=name))
        views = await stack.enter_async_context(RedisViews(redis_url))
        yield Ground(settings=settings, policy=policy, bus=bus, views=views, log=IncidentLog(views.incidents, bus))


async def servers(settings: Settings) -> None:
    """Hold the local servers until SIGINT or SIGTERM."""
    from integrations.local import serve_forever

    await serve_forever(settings.var)


async def serve(
    targets: Sequence[str], settings: Settings, policy: Policy, ready: Callable[[Ground], None] = lambda _: None
) -> None:
    """Run `targets` until SIGINT or SIGTERM: build all, then handle; at the end finish what is in hand."""
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(ground(settings, policy, "-".join(targets)))
        await house.log.republish()
        house.shared["targets"] = set(targets)
        routes: list[Route] = []
        work: Work = [house.bus.ended()]
        for target in (t for t in TARGETS if t in targets):
            more, loops = await BUILD[target](house, stack)
            routes, work = routes + more, work + loops
        await house.bus.serve(routes)
        ready(house)
        await _run(stop, work)
        log.info("shutting down: finishing what is in hand")


async def _run(stop: asyncio.Event, work: Work) -> None:
    """Until the stop, or until a loop ends: its error is then the process's."""
    waiting = asyncio.create_task(stop.wait())
    tasks = [asyncio.create_task(loop) for loop in work]
    try:
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiting}:
            task.result()
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


# detect: inference events and labels in, closed windows and alerts out


async def build_detect(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    from core.alerting import rules_of
    from core.watcher import Watcher, World
    from detectors.monitor import Monitor

    policy, views, world = house.policy, house.views, World()

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
        position = await detect.restore()
        feeds = [
            house.bus.feed(durable=f"detect-{name.lower()}", subject=subject, start=position.sequences.get(name, 0) + 1)
            for name, subject in (("INFERENCE", "inference.>"), ("LABELS", "label.>"))
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for feed in feeds:
                    group.create_task(_reading(detect, feed))
                group.create_task(_checkpoints(detect, feeds))
        except* Unavailable as outage:
            log.warning("detect starts again from its snapshot: %s", outage.exceptions[0])
            await asyncio.sleep(1.0)
        finally:
            for feed in feeds:
                await feed.close()


async def _reading(detect: Detect, feed: Any) -> None:
    async for batch in feed:
        async with detect.turn:
            await detect.on_batch(feed.stream, batch)


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


# investigate: alerts become incidents, incidents get a hypothesis and a plan


async def build_investigate(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    from agents.investigate import Investigation
    from knowledge.history import History

    settings, policy, views = house.settings, house.policy, house.views
    runbooks, history = _runbooks(house, owner=True), History()
    for incident in await views.incidents.all(over=True):
        history.add(incident)
    investigation = Investigation(
        telemetry=views.telemetry, changes=views.changes, lineage=house.lineage.of, runbooks=runbooks, history=history,
        model=_model(settings), policy=policy, progress=_progress(house),
    )  # fmt: skip
    triage = Triage(house.log, investigation, Plans(views.telemetry, policy))
    await asyncio.to_thread(investigation.warm)

    async def on_incident(event: Any) -> None:
        history.add(event.incident)
        await triage.on_incident(event)

    async def on_changes(message: Any) -> None:
        for change in message.events:
            await views.changes.add_change(message.tenant, change)

    async def on_windows(windows: list[Any]) -> None:
        await asyncio.gather(*(views.telemetry.add_window(window) for window in windows))

    return [
        Route(durable="investigate-changes", subject="change.>", handler=on_changes),
        Route(durable="investigate-lineage", subject="lineage.>", handler=house.lineage.on_lineage, batch=200),
        Route(durable="investigate-windows", subject="window.>", handler=on_windows, batch=200, linger=0.05),
        Route(durable="investigate-alerts", subject="alert.fired.>", handler=triage.on_alert),
        Route(durable="investigate-calm", subject="alert.resolved.>", handler=triage.on_resolved),
        Route(durable="investigate-incidents", subject="incident.>", handler=on_incident, workers=4),
    ], [runbooks.run()]


def _runbooks(house: Ground, *, owner: bool = False) -> Any:
    """One process owns the index (Chroma's rule): the one that investigates. Others compare with every chunk."""
    if "runbooks" not in house.shared:
        from knowledge.embedder import Embedder
        from knowledge.index import Index
        from knowledge.search import Runbooks
        from knowledge.vectors import Vectors
        from knowledge.warming import WarmingRunbooks

        folder, url = house.settings.var / "knowledge", house.settings.chroma_url
        embedder, root = Embedder(), house.settings.runbooks
        house.shared["embedder"] = embedder
        index = Index(folder / "chroma", "runbooks", url) if owner else None
        full = Runbooks(root, vectors=Vectors(folder, embedder), index=index)
        house.shared["runbooks"] = WarmingRunbooks(Runbooks(root), full)
    return house.shared["runbooks"]


def _model(settings: Settings) -> Any:
    if not settings.llm_url:
        return None
    from integrations.vllm import VLLM

    return VLLM(settings.llm_url, settings.llm_model)


def _progress(house: Ground) -> Callable[[str, str], Awaitable[None]]:
    async def progress(incident_id: str, text: str) -> None:
        log.info("%s: %s", incident_id, text)

    return progress


# converse: cards, commands and approvals in Slack


async def build_converse(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    from bot.app import Converse

    views, policy, runbooks = house.views, house.policy, _runbooks(house)

    async def investigate_again(incident_id: str) -> None:
        await house.log.change(incident_id, lambda i: asked_again(i, by="converse", now=time.time()))

    converse = Converse(
        access=await slack_access(house.settings), policy=policy, log=house.log, incidents=views.incidents,
        telemetry=views.telemetry, changes=views.changes, cards=views.cards, nonces=views.nonces,
        silences=views.silences, flags=views.flags, investigate_again=investigate_again, lineage=house.lineage.of,
        runbooks=runbooks, planner=Plans(views.telemetry, policy), llm=_model(house.settings),
        embed=lambda texts: asyncio.to_thread(house.shared["embedder"].encode, texts),
    )  # fmt: skip
    await converse.start()
    stack.push_async_callback(converse.stop)
    routes = [Route(durable="converse-cards", subject="incident.>", handler=converse.on_incident, workers=8)]
    return routes, [] if "investigate" in house.shared["targets"] else [runbooks.run()]


async def slack_access(settings: Settings, patience: float = 30.0) -> Any:
    """The Slack that is given, or the local workspace of this var folder."""
    from bot.wire import SLACK, Access

    if settings.real_slack:
        return Access(
            bot_token=settings.slack_bot_token.reveal(), app_token=settings.slack_app_token.reveal(),
            api_url=settings.slack_api_url or SLACK, signing_secret=settings.slack_signing_secret.reveal(),
        )  # fmt: skip
    from bot.workspace import APP_TOKEN, BOT_TOKEN

    path, deadline = settings.var / "workspace.json", time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > deadline:
            raise Unavailable(
                f"no workspace at {path}: `python -m bot run workspace` starts one; or set SLACK_BOT_TOKEN"
            )
        await asyncio.sleep(0.1)
    return Access(bot_token=BOT_TOKEN, app_token=APP_TOKEN, api_url=json.loads(path.read_text())["api_url"])


# act: the only target that holds deploy credentials


async def build_act(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    views, policy = house.views, house.policy
    tools = Tools(
        deployers=_deployers(house), tickets=_tickets(house), telemetry=views.telemetry, changes=views.changes
    )
    executor = Executor(house.log, policy, tools, views.flags)

    async def sweeping() -> None:
        while True:
            await executor.sweep()
            await asyncio.sleep(SWEEP_SECONDS)

    return [
        Route(durable="act-approved", subject="incident.approved.>", handler=executor.on_approved),
        Route(durable="act-windows", subject="window.>", handler=executor.on_window),
    ], [sweeping()]


def _deployers(house: Ground) -> dict[str, Any]:
    """One deployer per `[deployers.<name>]` that has an address; `<name>` is a file in integrations/."""
    from integrations.webhook import Webhook

    token = house.settings.deploy_token
    return {name: Webhook(d.url, token) for name, d in house.policy.deployers.items() if d.url}


def _tickets(house: Ground) -> Any:
    """Jira when the policy names one, else Markdown files."""
    if "jira" in house.policy.receivers.enabled:
        from integrations.jira import Jira

        return Jira(**house.policy.receivers.jira)
    from integrations.local_tickets import LocalTickets

    return LocalTickets(house.settings.var / "tickets")


BUILD = {"detect": build_detect, "investigate": build_investigate, "converse": build_converse, "act": build_act}


# what the command line asks for


async def rebuild(house: Ground) -> dict[str, int]:
    """Forget the views and make them again from the streams; how many of each were applied."""
    from integrations.rebuild import rebuild as from_streams

    await house.views.clear()
    return await from_streams(house.bus, house.views)


def checks(settings: Settings, policy: Policy) -> dict[str, Callable[[], Awaitable[str]]]:
    """What `check` asks, by name; each answers with a line or raises with the remedy."""

    async def rules() -> str:
        approvers = policy.roles.approver + policy.roles.admin
        return f"{settings.policy or 'shipped defaults'}, digest {policy.version_digest}, " + (
            f"{len(approvers)} may approve" if approvers else "NOBODY may approve yet: fill [roles] in your policy"
        )

    async def servers_answer() -> str:
        async with ground(settings, policy, "check") as house:
            depth = await house.bus.depth()
            await house.views.store.do("PING")
            return f"NATS {house.bus.shown} with {len(depth)} streams; Redis answers"

    async def slack() -> str:
        if not settings.real_slack:
            return "no SLACK_BOT_TOKEN: the local workspace will be used"
        from bot.wire import check_slack

        return await check_slack(await slack_access(settings))

    async def books() -> str:
        from knowledge.lint import lint

        found = await asyncio.to_thread(lint, [settings.runbooks])
        if found:
            raise Unavailable("; ".join(str(c) for c in found[:3]))
        return f"{len(list(settings.runbooks.glob('**/*.md')))} in {settings.runbooks}, no complaints"

    async def deployers() -> str:
        known = [name for name, d in policy.deployers.items() if d.url]
        return f"{', '.join(known)} configured" if known else "none: rollback proposals become tickets"

    async def model() -> str:
        return (
            f"{settings.llm_model} at {settings.llm_url}" if settings.llm_url else "no LLM_URL: rules write hypotheses"
        )

    return {
        "policy": rules,
        "servers": servers_answer,
        "slack": slack,
        "runbooks": books,
        "deployers": deployers,
        "model": model,
    }
