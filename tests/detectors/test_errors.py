"""The error of a model: how dependent its rows are, and how long it is learnt before anything is told."""

import numpy as np
import pytest

from detectors.dispersion import flag_effect
from detectors.e_detector_error import highest
from detectors.labels import ErrorWatch, learn_errors
from detectors.options import Options

ALONE = Options(signals={"error": ["e_detector_error"]})


def bursts(rows: int, rate: float, seed: int) -> np.ndarray:
    """0 and 1 that come in runs of twelve rows on average; a run is worth one row, or a little more."""
    rng = np.random.default_rng(seed)
    return np.repeat((rng.random(rows) < rate).astype(float), rng.geometric(1 / 12, rows))[:rows]


def alone(rows: int, rate: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(rows) < rate).astype(float)


def alarms(watch: ErrorWatch, errors: np.ndarray) -> int:
    return len(watch.add(errors, np.arange(len(errors), dtype=float))[0])


def test_independent_rows_count_in_full():
    """Of forty series of independent errors the middle one counts in full, and nine in ten as more than half."""
    found = [flag_effect(alone(2_000, 0.1, seed)) for seed in range(40)]
    assert np.median(found) == 1.0
    assert np.quantile(found, 0.9) < 2.0


def test_runs_count_as_what_they_are_worth():
    """Runs of twelve on average (their lengths vary, so a design effect of 23) are seen as such, also in 500 rows."""
    for rows in (500, 2_000, 20_000):
        found = [flag_effect(bursts(rows, 0.2, seed)) for seed in range(10)]
        assert 12 < np.median(found) < 60, rows


@pytest.mark.parametrize("errors", [np.zeros(500), np.repeat([0.0, 1.0], [497, 3])])
def test_what_is_hardly_ever_seen_cannot_say(errors):
    """Fewer than five errors say nothing of how dependent they are: each counts a third."""
    assert flag_effect(errors) >= 3.0


def test_a_rate_never_seen_is_not_taken_for_zero():
    """No error in 500 rows leaves a rate of up to four in a thousand; many rows pin the rate down."""
    assert 0.002 < highest(0.0, 500) < 0.006
    assert highest(0.1, 1e6) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_errors_in_runs_do_not_alarm_after_500_rows_of_them(rate):
    """Errors that come in runs are learnt for longer than independent ones, and then told at most once in 400,000."""
    raised, learnt = 0, []
    for seed in range(10):
        watch = ErrorWatch(ALONE, None, task="binary")
        raised += alarms(watch, bursts(40_000, rate, 90 + seed))
        learnt.append(watch.reference.rows)
    assert raised <= 1
    assert min(learnt) >= 2_000
    lone = ErrorWatch(ALONE, None, task="binary")
    alarms(lone, alone(2_000, rate, 1))
    assert lone.reference.rows == 500


def test_a_step_is_told_within_fifty_rows():
    """A model that errs on half its rows where it erred on a tenth is told within fifty rows, eight times in ten."""
    soon = 0
    for seed in range(10):
        watch = ErrorWatch(ALONE, learn_errors(alone(2_000, 0.1, seed), "binary"))
        soon += alarms(watch, alone(50, 0.5, 1_000 + seed))
    assert soon >= 8
