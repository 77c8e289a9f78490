"""The error of a model: how dependent its rows are, and how long it is learnt before anything is told."""

import numpy as np
import pytest

from core.events import InferenceServed, LabelArrived
from detectors.dispersion import flag_effect
from detectors.e_detector_error import highest
from detectors.labels import ErrorWatch, error_of, learn_errors
from detectors.monitor import Monitor
from detectors.options import Options
from detectors.performance import metrics
from detectors.served import Served
from tests.detectors.streams import START

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


@pytest.mark.parametrize(("before", "after"), [(0.0, 1.0), (0.05, 0.6), (0.3, 0.7)])
def test_what_is_said_of_the_size_is_what_was_seen(before: float, after: float):
    """However far errors rose, the detection says to which rate, within a fifth, as well as few rows can show it."""
    watch = ErrorWatch(ALONE, learn_errors(alone(2_000, before, 1), "binary"))
    found, _ = watch.add(alone(200, after, 2), np.arange(200.0))
    assert found[0].current.mean == pytest.approx(after, abs=0.2)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_large_errors_of_numbers_are_told_once_and_end_in_any_unit(unit: float):
    """Seconds or milliseconds: errors twice as large are one trouble for 4,000 rows, and calm once they are back."""
    rng = np.random.default_rng(3)

    def sizes(rows: int, scale: float) -> np.ndarray:
        return np.abs(rng.normal(0, scale * unit, rows))

    watch = ErrorWatch(ALONE, learn_errors(sizes(2_000, 1.0), "regression"))
    found, calm = watch.add(sizes(4_000, 2.0), np.arange(4_000.0))
    assert ([d.signal for d in found], calm) == (["error"], 0)
    assert found[0].detail.startswith("errors above ")
    found, calm = watch.add(sizes(2_000, 1.0), np.arange(4_000.0, 6_000.0))
    assert found == []
    assert calm >= 500


def test_labels_in_any_spelling_mean_the_same():
    """1, "1", true and "yes" are one truth for errors and metrics; grades above 0 are a yes; words are none."""
    for label, truth in ((1, True), ("1", True), (True, True), ("yes", True), (3, True), (0, False), ("0", False),
                         (False, False), ("no", False), (-1, False)):  # fmt: skip
        assert error_of("binary", Served(0.0, "1", 0.9, None), label, 0.5) == float(not truth), label
        made = metrics("binary", [0.9, 0.1], [None, None], [label, 0], 0.5)
        assert made["accuracy"] == (1.0 if truth else 0.5), label
    assert error_of("binary", Served(0.0, "1", 0.9, None), "fraud", 0.5) is None


def test_labels_that_cannot_be_judged_are_said_once():
    """Words as labels of a model that sends scores alone: one line says what to send instead."""
    monitor = Monitor({})
    told = []
    for first in range(0, 200, 50):
        made = [InferenceServed(id=f"r{i}", at=START + i, version="1", score=0.3) for i in range(first, first + 50)]
        monitor.on_inference("acme", "m", made)
        told += monitor.on_labels("acme", "m", [LabelArrived(id=e.id, at=e.at, label="fraud") for e in made]).facts
    assert [f.detail for f in told] == [
        "label 'fraud' cannot be held against score 0.3: send a prediction too, or 0 and 1"
    ]


@pytest.mark.parametrize("kind", ["alone", "bursts"])
def test_adwin_is_quiet_on_rare_errors_and_runs(kind: str):
    """One error in a hundred, or runs of errors, raise no alarm of ADWIN in 400,000 rows; a tenfold rate does."""
    watches = [
        (ErrorWatch(Options(signals={"error": ["adwin"]}), learn_errors(made[:2_000], "binary")), made[2_000:])
        for made in ((alone(42_000, 0.01, s) if kind == "alone" else bursts(42_000, 0.1, s)) for s in range(10))
    ]
    assert sum(alarms(watch, rows) for watch, rows in watches) == 0
    assert alarms(watches[0][0], alone(2_000, 0.1 if kind == "alone" else 0.7, 99)) == 1
