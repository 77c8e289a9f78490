"""Forecast: closed windows in, an outlook of the next 24 hours of each SLO out, as a view and (when proven) an alert.

The target itself only keeps time. Each look is a process of its own, made niced and short-lived by `python -m bot
forecast run`: what it loads is given back when it ends, and whatever becomes of it, detection goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bot.compose.ground import ROOT, Ground, Work, ground
from core.errors import MiddlewatchError
from core.events import Detected, content_id
from core.findings import Calm, Detection
from core.policy import Policy, Slo
from core.settings import Settings
from integrations.nats import Route

log = logging.getLogger("middlewatch.forecast")

FIRST_SECONDS = 30.0
"""After a start the other targets are let go first."""
PATIENCE = 600.0
"""Seconds after which a look is given up."""
WORST = ("breached", "warning", "watch", "unreliable", "calm")


async def build(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    return [], [_keep_looking(house.policy)]


async def _keep_looking(policy: Policy) -> None:
    """A look now and then, as long as this runs; none where policy names no SLO."""
    if not policy.forecast.slos and not any(rules.slos for rules in policy.models.values()):
        await asyncio.Event().wait()
    await asyncio.sleep(min(FIRST_SECONDS, 60 * policy.forecast.minutes))
    while True:
        began = time.monotonic()
        if error := await _look_apart():
            log.warning("no forecast this time, the last one stays until it is stale: %s", error)
        await asyncio.sleep(max(60 * policy.forecast.minutes - (time.monotonic() - began), 1.0))


async def _look_apart() -> str:
    """Run one look in a process of its own; what went wrong, empty when nothing did."""
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "forecast", "run", cwd=ROOT, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    except OSError as error:
        return str(error)
    try:
        async with asyncio.timeout(PATIENCE):
            _, said = await child.communicate()
    except TimeoutError:
        return f"it took longer than {PATIENCE:g} s"
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    return "" if child.returncode == 0 else said.decode(errors="replace")[-400:].strip() or f"exit {child.returncode}"


async def outlook_of(house: Ground, tenant: str, model: str) -> dict[str, Any] | None:
    """The worst outlook of a model's SLOs, as the last look left it; None when there is none, or it is stale."""
    stored = await house.views.flags.get_flag(f"forecast:{tenant}/{model}")
    found = json.loads(stored) if stored else []
    return min(found, key=lambda said: (WORST.index(said["level"]), -said["chance"]), default=None)


def folder(settings: Settings) -> Path:
    """Where trained members are kept."""
    return settings.var / "forecast"


async def collect(house: Ground) -> list[tuple[str, str, str, Slo, Any]]:
    """(tenant, model, version, SLO, series) of every SLO with enough hours; the hours are kept for the next time."""
    from detectors.forecast import hours

    found = []
    for tenant, model in await house.views.telemetry.models():
        slos = house.policy.slos(tenant, model)
        windows = await house.views.telemetry.windows(tenant, model) if slos else []
        if not windows:
            continue
        place = f"forecast-hours:{tenant}/{model}"
        kept = json.loads(await house.views.flags.get_flag(place) or b"{}")
        known = {
            signal: hours.hours(windows, signal, {int(h): (v[0], v[1]) for h, v in kept.get(signal, {}).items()})
            for signal in dict.fromkeys(["drift", *(slo.signal for slo in slos)])
        }
        await house.views.flags.set_flag(place, json.dumps(known).encode())
        for slo in slos:
            one = hours.series(f"{tenant}/{model} {slo.signal}", model, known[slo.signal], slo, known["drift"])
            if one is None:
                log.info("%s/%s: too few hours of %s for a forecast", tenant, model, slo.signal)
                continue
            found.append((tenant, model, windows[-1].version, slo, one))
    return found


async def look(house: Ground, tell: bool = True) -> list[tuple[str, str, Slo, Any]]:
    """Forecast everything, store it for cards and Home and (`tell`) publish proven warnings; (tenant, model, SLO,
    outlook) of each. Raises MiddlewatchError where a trained member cannot be read."""
    from detectors.forecast import outlook

    rows = await collect(house)
    try:
        members = outlook.members(folder(house.settings))
    except ValueError as error:
        raise MiddlewatchError(str(error)) from None
    about = next(m.about for m in members if m.name == "mlp")
    looked = await asyncio.to_thread(outlook.look, [row[4] for row in rows], members, about)
    told: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (tenant, model, version, slo, _), one in zip(rows, looked, strict=True):
        said = outlook.plain(one, slo.signal, slo.text, model)
        told.setdefault((tenant, model), []).append(said)
        if tell:
            before = await outlook_before(house, tenant, model, slo.signal)
            if (event := spoken((tenant, model, version), said, before)) is not None:
                await house.bus.publish(event)
    for (tenant, model), said in told.items():
        lasts = 3 * 60 * house.policy.forecast.minutes
        await house.views.flags.set_flag(f"forecast:{tenant}/{model}", json.dumps(said).encode(), ttl=lasts)
    return [(tenant, model, slo, one) for (tenant, model, _, slo, _), one in zip(rows, looked, strict=True)]


async def outlook_before(house: Ground, tenant: str, model: str, signal: str) -> str:
    """The level that was stored last for this signal; empty when there is none."""
    stored = await house.views.flags.get_flag(f"forecast:{tenant}/{model}")
    return next((s["level"] for s in (json.loads(stored) if stored else []) if s["signal"] == signal), "")


def spoken(key: tuple[str, str, str], said: dict[str, Any], before: str) -> Detected | None:
    """What the alert pipeline is told: a `warning`, or its end; a `watch` is for cards and Home alone."""
    tenant, model, version = key
    detections, calms = [], []
    if said["level"] == "warning":
        record = {k: float(said[k]) for k in ("right", "spoken", "precision", "recall", "lead_hours") if k in said}
        detections = [Detection(
            detector="forecast", signal=said["signal"], kind="forecast", at=said["at"], onset=said["at"],
            statistic=said["chance"], threshold=said["proven_from"], direction="up", scores=record, detail=said["text"],
        )]  # fmt: skip
    elif before == "warning" and said["level"] != "breached":
        calms = [Calm(kind="forecast", at=said["at"], rows=0, signals=[said["signal"]])]
    if not detections and not calms:
        return None
    name = content_id("det", tenant, model, "forecast", said["signal"], said["at"], said["level"])
    return Detected(id=name, cause="forecast", actor="forecast", at=said["at"], tenant=tenant, model=model,
                    version=version, detections=detections, calms=calms)  # fmt: skip


# what the command line asks


def said(row: tuple[str, str, Slo, Any]) -> dict[str, Any]:
    """One outlook as plain data."""
    from detectors.forecast.outlook import plain

    tenant, model, slo, one = row
    return {"tenant": tenant, **plain(one, slo.signal, slo.text, model)}


def order(row: dict[str, Any]) -> tuple[int, float]:
    """The worst outlook first."""
    return WORST.index(row["level"]), -row["chance"]


def draw(row: tuple[str, str, Slo, Any], path: Path) -> None:
    """A picture of one outlook. Raises MiddlewatchError when it cannot be written."""
    from detectors.forecast import outlook, picture

    tenant, model, slo, one = row
    try:
        picture.write(one, f"{tenant}/{model}: {outlook.words(one, slo.signal, slo.text)}", path)
    except OSError as error:
        raise MiddlewatchError(f"{path} cannot be written: {error.strerror}") from None


def read_panel(path: Path) -> list[Any]:
    """The series of a panel file. Raises MiddlewatchError naming file and remedy."""
    from detectors.forecast.panel import read

    try:
        return read(path)
    except ValueError as error:
        raise MiddlewatchError(str(error)) from None


async def stored(settings: Settings, policy: Policy) -> list[Any]:
    """The series of all SLOs, from the hours that are stored."""
    async with ground(settings, policy, "forecast") as house:
        return [row[4] for row in await collect(house)]


def trained(panel: list[Any], out: Path, *, deep: bool, afresh: bool, say: Any) -> list[dict[str, Any]]:
    """Train and keep what is better. Raises MiddlewatchError when there is too little to learn from."""
    from detectors.forecast.training import train

    try:
        return train(panel, out, deep=deep, keep_anyway=afresh, say=say)
    except (ValueError, OSError) as error:
        raise MiddlewatchError(f"nothing was trained: {error}") from None


def backtested(panel: list[Any], place: Path) -> list[dict[str, Any]]:
    """Scores of the members in use over the latest third of each series. Raises MiddlewatchError without series."""
    from detectors.forecast import backtest, outlook

    long = [one for one in panel if len(one) >= 2 * 168]
    if not long:
        raise MiddlewatchError("nothing to judge: no series has two weeks of hours, or the policy names no SLO")
    try:
        members = outlook.members(place)
    except ValueError as error:
        raise MiddlewatchError(str(error)) from None
    trained_, judged = ([int(part * len(one)) for one in long] for part in (0.6, 0.8))
    return backtest.plain(backtest.rows(backtest.tell(long, members, trained_, judged)))


def abouts(place: Path) -> dict[str, dict[str, Any]]:
    """What is known of each trained member in use. Raises MiddlewatchError where one cannot be read."""
    from detectors.forecast import outlook

    try:
        return {m.name: m.about for m in outlook.members(place) if hasattr(m, "about")}
    except ValueError as error:
        raise MiddlewatchError(str(error)) from None
