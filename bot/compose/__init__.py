"""The one composition root: the only package that joins the rooms. One file a target; read them to know the product.

    ground.py       what every target stands on: NATS, Redis, the incident log; local servers where none are given
    detect.py       inference events and labels in, closed windows and alerts out
    investigate.py  alerts become incidents, incidents get a hypothesis and a plan
    converse.py     cards, commands and approvals in Slack
    act.py          the only target that holds deploy credentials
    forecast.py     now and then a look at the next 24 hours, in a process of its own
    lineage.py      lineage that no pipeline reports: written by hand, and the model registry
    outside.py      receivers, tickets, the language model: what policy and environment name
    answers.py      what the command line asks of the rooms

Substitutions are made here alone, by address and never by class: no NATS_URL or REDIS_URL starts the real servers on
loopback, no SLACK_BOT_TOKEN talks to the local workspace, no LLM_URL means that rules write the hypothesis.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from bot.compose.ground import Ground, Work, ground
from core.policy import Policy
from core.settings import Settings
from core.tasks import ended
from integrations.nats import Route

__all__ = ["TARGETS", "Ground", "ground", "serve", "servers"]

log = logging.getLogger("middlewatch")

TRIM_SECONDS = 60.0
TARGETS = ("detect", "investigate", "converse", "act", "forecast")
"""Each is a file of this package with `build(house, stack) -> (routes, loops)`."""


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
            more, loops = await importlib.import_module(f"bot.compose.{target}").build(house, stack)
            routes, work = routes + more, work + loops
        await house.bus.serve(routes)
        if settings.metrics_port:
            from integrations.prometheus import serve as metrics

            runner = await metrics(house.views.flags, house.bus, port=settings.metrics_port)
            stack.push_async_callback(runner.cleanup)
        log.info("watching")
        await _run(stop, [*work, _say_when_warm(house, ready)])
        log.info("shutting down: finishing what is in hand")


async def _say_when_warm(house: Ground, ready: Callable[[Ground], None]) -> None:
    """Call `ready` once everything that loads beside the work is there; then stay, as a loop must."""
    await asyncio.gather(*(event.wait() for event in house.warming))
    ready(house)
    while True:
        _trim()
        await asyncio.sleep(TRIM_SECONDS)


def _trim() -> None:
    """Give back to the system what loading freed: glibc would keep some hundred megabytes for later."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


async def _run(stop: asyncio.Event, work: Work) -> None:
    """Until the stop, or until a loop ends: its error is then the process's."""
    waiting = asyncio.create_task(stop.wait())
    tasks = [asyncio.create_task(loop) for loop in work]
    try:
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiting}:
            task.result()
    finally:
        await ended([waiting, *tasks])
