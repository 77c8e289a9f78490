"""Event time: what is late, what is wild, and when the clock itself moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.clock import JUMP, Clock

DAY = 86_400.0


def given_back(clock: Clock, times: list[float]) -> list[float]:
    return [event for at in times for event in clock.admit(at, at)]


def test_order_within_the_lateness_does_not_matter():
    """Events a few minutes behind the newest count; those beyond the lateness are late."""
    clock = Clock(600.0)
    assert given_back(clock, [1e9, 1e9 + 900, 1e9 + 400, 1e9 + 200]) == [1e9, 1e9 + 900, 1e9 + 400]
    assert clock.late == 1


def test_weekly_batches_lose_nothing():
    """A model that is served once a week keeps every event."""
    times = [1e9 + week * 7 * DAY + row for week in range(10) for row in range(3)]
    assert given_back(Clock(600.0), times) == times


def test_single_events_ten_days_apart_lose_nothing():
    """Each event confirms the one before; the newest may still be held."""
    times = [1e9 + 10 * DAY * i for i in range(20)]
    clock = Clock(600.0)
    assert given_back(clock, times) + [event for _, event in clock.held] == times


def test_one_wild_event_is_set_aside():
    """A producer whose clock is in 2099 neither moves the clock nor makes all others late."""
    clock = Clock(600.0)
    times = [1e9, 4e9, 1e9 + 60, 4e9, 1e9 + 120]
    assert given_back(clock, times) == [1e9, 1e9 + 60, 1e9 + 120]
    assert clock.wild == 2


def test_a_clock_that_really_moved_is_believed():
    """Five agreeing events far ahead, or twenty behind, move the clock; none of them is lost, and the move is told."""
    clock = Clock(600.0)
    ahead = [1e9 + 400 * DAY + i for i in range(8)]
    assert given_back(clock, [1e9, *ahead]) == [1e9, *ahead]
    back = [1e9 + i for i in range(25)]
    assert given_back(clock, back) == back
    assert len(clock.moves) == 2


@given(st.lists(st.floats(0, 3_000), min_size=1, max_size=60))
def test_rows_and_events_agree(steps: list[float]):
    """The columnar way keeps exactly the rows that the way of single events keeps."""
    rng = np.random.default_rng(len(steps))
    at = 1e9 + np.cumsum(steps) - rng.choice([0.0, 100.0, 5_000.0], len(steps), p=[0.7, 0.2, 0.1])
    one, many = Clock(600.0), Clock(600.0)
    kept = [i for i, t in enumerate(at) if one.admit(t, t)]
    assert np.flatnonzero(many.admit_rows(at)).tolist() == kept
    assert (one.late, one.watermark) == (many.late, many.watermark)


@pytest.mark.parametrize("wild", [4e9, 1.0])
def test_wild_rows_in_columns_are_set_aside(wild: float):
    """One wild row in a batch is left out and harms no other."""
    at = np.array([1e9, 1e9 + 60, wild, 1e9 + 120, 1e9 + 180])
    clock = Clock(600.0)
    assert clock.admit_rows(at).tolist() == [True, True, False, True, True]
    assert clock.watermark == 1e9 + 180


def test_a_jump_within_the_month_needs_one_more():
    """The first event after a silence of two days is held until the second agrees."""
    clock = Clock(600.0)
    clock.admit(1e9, 1e9)
    assert clock.admit(1e9 + 2 * JUMP, "a") == []
    assert clock.admit(1e9 + 2 * JUMP + 5, "b") == ["a", "b"]
