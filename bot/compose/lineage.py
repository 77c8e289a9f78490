"""Lineage that no pipeline reports: files written by hand, and the model registry, looked at again and again."""

from __future__ import annotations

import asyncio
import itertools
import logging
from pathlib import Path

from bot.compose.ground import Ground
from core.errors import Unavailable
from core.settings import Settings

log = logging.getLogger("middlewatch")

LOOK_SECONDS, ASK_SECONDS, AGAIN = 5.0, 300.0, 60
_KINDS = (".toml", ".yaml", ".yml")


def files(settings: Settings) -> list[Path]:
    """The files of `LINEAGE`, each named by its tenant."""
    return sorted(p for p in settings.lineage.iterdir() if p.suffix in _KINDS) if settings.lineage else []


async def watch(house: Ground) -> None:
    """A changed file is taken in within seconds, until cancelled. What is wrong with one is logged once, and what was
    known stays. Now and then all are taken in again, because the views may have been rebuilt."""
    seen: dict[Path, tuple[int, int]] = {}
    for look in itertools.count():
        if look % AGAIN == 0:
            seen.clear()
        try:
            for path in await asyncio.to_thread(files, house.settings):
                stat = path.stat()
                if seen.get(path) != (stat.st_mtime_ns, stat.st_size):
                    await take_in(house, path)
                    seen[path] = (stat.st_mtime_ns, stat.st_size)
        except (Unavailable, OSError) as away:
            log.warning("lineage as last known: %s", away)
        await asyncio.sleep(LOOK_SECONDS)


async def take_in(house: Ground, path: Path) -> None:
    """One file into the graph of the tenant it is named by; a mistake in it is logged with its line."""
    from knowledge.handwritten import join, read
    from knowledge.openlineage import LineageError

    try:
        at, written = path.stat().st_mtime, await asyncio.to_thread(read, path)
    except LineageError as wrong:
        log.warning("lineage: %s", wrong)
        return
    await house.lineage.tell(path.stem, lambda graph: join(graph, written, at))


async def ask_registry(house: Ground) -> None:
    """What MLflow knows of every model that is watched, until cancelled."""
    from integrations.mlflow import MLflow

    registry = MLflow(house.settings.mlflow_url, house.settings.mlflow_token)
    away = ""
    while True:
        try:
            for tenant, model in await house.views.telemetry.models():
                await learn(house, registry, tenant, model)
            away = ""
        except Unavailable as error:
            if str(error) != away:
                log.warning("lineage from the registry as last known: %s", error)
            away = str(error)
        await asyncio.sleep(ASK_SECONDS)


async def learn(house: Ground, registry: object, tenant: str, model: str) -> None:
    """One model's versions, runs and datasets into its tenant's graph. Raises Unavailable."""
    from knowledge.lineage import Lineage
    from knowledge.registry import learn_training

    found = await registry.trainings(model)

    def facts(graph: Lineage) -> None:
        for t in found:
            learn_training(
                graph, model=t.model, version=t.version, run=t.run, datasets=t.datasets, at=t.at,
                importance=t.importance,
            )  # fmt: skip

    if found:
        await house.lineage.tell(tenant, facts)


async def checked(settings: Settings) -> str:
    """For `check`: what lineage comes from. Raises Unavailable naming file and line, or the registry."""
    from integrations.mlflow import MLflow
    from knowledge.handwritten import read

    parts = ["OpenLineage events"]
    try:
        nodes = sum([len((await asyncio.to_thread(read, path)).nodes) for path in files(settings)])
    except (ValueError, OSError) as wrong:
        raise Unavailable(str(wrong)) from None
    if settings.lineage:
        parts.append(f"{nodes} nodes written by hand in {settings.lineage}")
    if settings.mlflow_url:
        await MLflow(settings.mlflow_url, settings.mlflow_token).trainings("-")
        parts.append("MLflow, which answers")
    return ", ".join(parts)
