"""Event time between events: how a tenant's clock follows what producers say, and each model its own lag."""

from __future__ import annotations

import pytest

from core.event_time import CONFIRM, EventTime, Times

DAY = 86_400.0


@pytest.fixture
def time() -> EventTime:
    return EventTime()


def hear(time: EventTime, *times: float, model: str = "m", tenant: str = "acme", elapsed: float = 0.0) -> float:
    """The tenant's clock after events of a model at these times, the last of which its watch believes."""
    time.heard(tenant, model, Times.of(times), elapsed, times[-1])
    return time.tenants[tenant].here


def test_event_time_follows_the_latest_event(time):
    """Late and out-of-order events do not take it back."""
    assert hear(time, 1_000.0, 1_300.0, 1_200.0) == 1_300.0
    assert hear(time, 900.0) == 1_300.0
    assert hear(time, 2_000.0) == 2_000.0


def test_one_wrong_clock_does_not_move_everybody(time):
    """An event from the year 2100 is taken in, and event time stays where the others are."""
    hear(time, 1_000.0)
    assert hear(time, 4_102_444_800.0) == 1_000.0
    assert hear(time, 1_010.0, 4_102_444_800.0, 1_020.0) == 1_020.0


def test_many_events_in_a_row_do_move_it(time):
    """A stream that goes on a week later, or begins again from the past, is believed after a few events."""
    hear(time, 10 * DAY)
    later = [17 * DAY + n for n in range(CONFIRM)]
    assert hear(time, *later[:-1]) == 10 * DAY
    assert hear(time, later[-1]) == later[-1]
    past = [1 * DAY + n for n in range(CONFIRM + 5)]
    assert hear(time, *past) == past[-1]


def test_a_stream_that_was_quiet_for_days_goes_on_at_once(time):
    """The wall clock has run on as well, so the first event after a long silence is no surprise."""
    hear(time, 10 * DAY)
    assert hear(time, 14 * DAY, elapsed=4 * DAY) == 14 * DAY


def test_a_silent_model_is_late_by_what_its_tenant_went_on(time):
    """What counts as silence is how far the tenant's clock moved since the model was last heard, and the wall since."""
    hear(time, 1_000.0, model="quiet")
    hear(time, 4_600.0, model="busy")
    assert time.reached("acme", "quiet", 60.0) == 4_660.0
    assert time.reached("acme", "busy", 60.0) == 4_660.0


def test_a_model_replayed_behind_the_others_is_not_silent(time):
    """Three hours behind, and heard just now: it has reached its own newest event, not its neighbour's."""
    hear(time, 20_000.0, model="live")
    hear(time, 9_200.0, model="replayed")
    assert time.reached("acme", "replayed", 0.0) == 9_200.0
    assert time.reached("acme", "live", 0.0) == 20_000.0


def test_a_replay_of_another_year_makes_nobody_silent(time):
    """When the clock goes over to a stream of another time, that jump is no silence of the models before it."""
    hear(time, 10 * DAY, model="here")
    hear(time, *[400 * DAY + n for n in range(CONFIRM)], model="far")
    assert time.reached("acme", "here", 5.0) == 10 * DAY + 5.0


def test_tenants_do_not_see_one_another(time):
    """Another tenant's event time says nothing about this one's silence; an unknown tenant has none."""
    hear(time, 1_000.0)
    hear(time, 50_000.0, tenant="other")
    assert time.reached("acme", "m", 0.0) == 1_000.0
    assert time.reached("nobody", "m", 9.0) == 0.0


def test_who_sends_an_hour_at_once_is_not_silent_within_the_hour(time):
    """What one message covered, and what is usual between messages, is waited for twice before silence begins."""
    time.heard("acme", "batch", Times.of([0.5, 3_600.0]), 0.0, 3_600.0, span=3_600.0)
    hear(time, 10_000.0, model="live")
    assert time.reached("acme", "batch", 0.0) == 3_600.0
    hear(time, 12_000.0, model="live")
    assert time.reached("acme", "batch", 0.0) == 3_600.0 + (12_000.0 - 3_600.0 - 2 * 3_600.0)
    hear(time, 12_100.0, model="rare")
    hear(time, 19_000.0, model="live")
    hear(time, 19_010.0, model="rare")
    hear(time, 30_000.0, model="live")
    assert time.reached("acme", "rare", 0.0) == 19_010.0
