"""Tasks that end when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

AGAIN = 5.0
"""Seconds after which a task that was cancelled and goes on is cancelled again."""


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel them until each has ended; what they raise stays in them.

    Once is not always enough: before Python 3.12 `asyncio.wait_for` loses a cancellation that comes in the moment in
    which what it waits for comes too.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN)


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run them until the first ends, then end the others. Raises what that first one raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended(tasks)
    for task in tasks:
        if task in done:
            task.result()
