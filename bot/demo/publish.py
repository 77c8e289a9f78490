"""How a team's own program tells Middlewatch things: plain JSON on a subject, with nats-py. No library of ours.

An acknowledged publish is stored by JetStream. Until it is, say it again with the same `Nats-Msg-Id`, and JetStream
drops the twin: a restart of NATS loses nothing and doubles nothing (twins further apart than the stream's
`duplicate_window` are told by the ids of their events).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.js import JetStreamContext


async def publish(js: JetStreamContext, subject: str, name: str, said: Any) -> None:
    """Store `said` (one event, or a list of many) once, however often its `name` is said; returns once it is stored."""
    once = {"Nats-Msg-Id": hashlib.sha256(f"{subject} {name}".encode()).hexdigest()}
    while True:
        try:
            await js.publish(subject, json.dumps(said, allow_nan=False).encode(), timeout=2, headers=once)
            return
        except (NatsError, OSError) as error:
            print(f"{subject}: not stored yet ({error or type(error).__name__}), again", file=sys.stderr, flush=True)
            await asyncio.sleep(0.2)


def names(events: list[dict[str, Any]]) -> str:
    """The name of a message of many events: all their ids."""
    return "\n".join(event["id"] for event in events)


async def connect(url: str, program: str) -> nats.NATS:
    """A connection that waits for NATS and outlives every restart of it."""
    told = False

    async def on_error(error: Exception) -> None:
        nonlocal told
        if not told:
            print(f"{program}: NATS does not answer ({error or type(error).__name__}), trying on", file=sys.stderr)
        told = True

    async def on_return() -> None:
        nonlocal told
        told = False

    return await nats.connect(
        url, name=program, max_reconnect_attempts=-1, reconnect_time_wait=0.2, connect_timeout=2,
        error_cb=on_error, reconnected_cb=on_return,
    )  # fmt: skip


def heed_cancel() -> None:
    """Raise the cancellation this task was sent if it got lost: before Python 3.12 `asyncio.wait_for`, on which nats-py
    waits for an acknowledgement, swallows one that comes together with the answer (python/cpython#86296)."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
