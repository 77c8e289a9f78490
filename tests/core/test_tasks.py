"""Tasks that end when they are told to."""

from __future__ import annotations

import asyncio

import pytest

from core import tasks
from core.tasks import ended, together


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(monkeypatch):
    """As `asyncio.wait_for` may lose one: the second one ends it."""
    monkeypatch.setattr(tasks, "AGAIN", 0.01)
    lost: list[int] = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.append(1)
                if len(lost) == 2:
                    raise

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await ended([task])
    assert len(lost) == 2
    assert task.cancelled()


async def test_the_first_error_ends_the_others():
    """What ends first is what is raised, and nothing is left running."""
    forever = asyncio.Event()

    async def fails() -> None:
        raise ValueError("first")

    async def stays() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            forever.set()

    with pytest.raises(ValueError, match="first"):
        await together(stays(), fails())
    assert forever.is_set()
