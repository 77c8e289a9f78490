"""Detect's own clock: how event time follows what producers say."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from core.detect import CONFIRM, Detect, Said
from core.events import InferenceServed

DAY = 86_400.0


class Silent:
    """A watcher that says nothing."""

    def on_inference(self, tenant: str, model: str, events: Any) -> Said:
        return Said()


class Message(Struct):
    seq: int
    events: list[Any]
    tenant: str = "acme"
    model: str = "m"
    at: float = 0.0


@pytest.fixture
def detect() -> Detect:
    return Detect(Silent, bus=None, telemetry=None, flags=None, now=lambda: 5_000.0)


async def hear(detect: Detect, *times: float) -> float:
    """Event time after a message with these."""
    seq = detect.position.sequences.get("INFERENCE", 0) + 1
    events = [InferenceServed(id=f"{seq}.{n}", at=at) for n, at in enumerate(times)]
    await detect.on_batch("INFERENCE", [Message(seq, events)])
    return detect.position.event_time


async def test_event_time_follows_the_latest_event(detect):
    """Late and out-of-order events do not take it back."""
    assert await hear(detect, 1_000.0, 1_300.0, 1_200.0) == 1_300.0
    assert await hear(detect, 900.0) == 1_300.0
    assert await hear(detect, 2_000.0) == 2_000.0


async def test_one_wrong_clock_does_not_move_everybody(detect):
    """An event from the year 2100 is taken in, and event time stays where the others are."""
    await hear(detect, 1_000.0)
    assert await hear(detect, 4_102_444_800.0) == 1_000.0
    assert await hear(detect, 1_010.0, 4_102_444_800.0, 1_020.0) == 1_020.0
    assert detect.position.events == 5


async def test_many_events_in_a_row_do_move_it(detect):
    """A stream that goes on a week later, or begins again from the past, is believed after a few events."""
    await hear(detect, 10 * DAY)
    later = [17 * DAY + n for n in range(CONFIRM)]
    assert await hear(detect, *later[:-1]) == 10 * DAY
    assert await hear(detect, later[-1]) == later[-1]
    past = [1 * DAY + n for n in range(CONFIRM + 5)]
    assert await hear(detect, *past) == past[-1]


async def test_a_stream_that_was_quiet_for_days_goes_on_at_once(detect):
    """The wall clock has run on as well, so the first event after a long silence is no surprise."""
    await hear(detect, 10 * DAY)
    detect.now = lambda: 5_000.0 + 4 * DAY
    assert await hear(detect, 14 * DAY) == 14 * DAY
