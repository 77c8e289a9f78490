"""An episode through the whole product: real servers, every target, the events published as producers would.

With NATS_URL set, the product that listens there is used; otherwise one is started for the episode alone, with its data
under `var/simulated`, and stopped afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from bot.demo.publish import connect, names, publish
from bot.simulator.episode import Episode
from bot.simulator.wire import wire
from core.errors import Unavailable
from core.settings import Settings

PATIENCE = 60.0
"""Seconds to wait for a diagnosis once everything was published."""
BEFORE, BASELINE = 60.0, 7_000
"""Hours of healthy traffic before the fault, and how many of its rows become the baseline: two whole days."""
LATE = 3600.0
"""Silence that begins in the last hour of event time, seconds, is the end of the episode and no finding."""
START = 180.0
"""Seconds the product may take to start (the first time on a machine, kernels are compiled)."""

Progress = Callable[[int, int, str], None]


async def play(episode: Episode, settings: Settings, say: Progress, patience: float = PATIENCE) -> list[dict[str, Any]]:
    """Publish the episode and return the incidents it led to, newest revision of each, first opened first.

    Raises ValueError for a type that events alone cannot show, Unavailable when the product does not start or answer.
    """
    messages = list(wire(episode, hours_before=BEFORE))
    async with _product(settings, say) as url:
        connection = await connect(url, "simulate")
        try:
            js = connection.jetstream(timeout=5)
            first = await _last(js) + 1
            for place, (subject, payload, at) in enumerate(messages):
                say(place, len(messages), f"event time {time.strftime('%Y-%m-%d %H:%M', time.gmtime(at))}")
                name = names(payload) if isinstance(payload, list) else f"{at} {place}"
                await publish(js, subject, name, payload)
            say(len(messages), len(messages), "all published")
            found = await _followed(js, first, messages[-1][0].split(".")[1], patience)
            end = max(at for _, _, at in messages)
            return [i for i in found if not (i["kind"] == "silence" and i["onset"] > end - LATE)]
        finally:
            await connection.close()


async def _last(js: JetStreamContext) -> int:
    with contextlib.suppress(NatsError):  # the stream is made with the first entry
        return int((await js.stream_info("INCIDENTS")).state.last_seq)
    return 0


async def _followed(js: JetStreamContext, seq: int, tenant: str, patience: float) -> list[dict[str, Any]]:
    """The tenant's incidents as the audit log tells them, until one is diagnosed and nothing more comes."""
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            said = json.loads((await js.get_msg("INCIDENTS", seq=seq)).data or b"")["incident"]
        except (NatsError, OSError):  # nothing more, yet
            await asyncio.sleep(0.2)
            continue
        seq += 1
        if said["tenant"] == tenant:
            found[said["id"]] = said
            if said["state"] == "diagnosed" and said["kind"] != "silence":
                deadline = min(deadline, time.monotonic() + 5)
    return list(found.values())


@contextlib.asynccontextmanager
async def _product(settings: Settings, say: Progress) -> AsyncIterator[str]:
    """The NATS address of a product that watches."""
    if settings.nats_url:
        yield settings.nats_url
        return
    place = settings.var / "simulated"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    say(0, 1, "starting Middlewatch (the first time on a machine: up to a minute)")
    env = {**os.environ, "MIDDLEWATCH_VAR": str(place)}
    if not settings.policy:
        env["POLICY"] = str(place / "policy.toml")
        (place / "policy.toml").write_text(f"[detection]\nbaseline_rows = {BASELINE}\n")
    ready, log = place / "ready.json", place / "up.log"
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "up", "--port", "0", "--ready-file", str(ready),
            stdout=out, stderr=out, env=env,
        )  # fmt: skip
    try:
        await _until(ready, process, log)
        yield json.loads((place / "servers.json").read_text())["nats"]["url"]
    finally:
        await _stopped(process)


async def _until(ready: Path, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + START
    while not ready.exists():
        if process.returncode is not None or time.monotonic() > deadline:
            end = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            raise Unavailable(f"the product did not start; the end of {log}:\n{end}")
        await asyncio.sleep(0.05)


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()
