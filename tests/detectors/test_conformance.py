"""Every detector of the folder, found by itself, keeps the contract of detectors/base.py."""

from __future__ import annotations

import doctest
import importlib

import msgspec
import numpy as np
import pytest

from detectors.base import BLOCK, Detector, load, names
from tests.detectors.streams import KINDS, learned, stationary

ALL = names()
NOISY = {"ddm", "eddm", "hddm", "kswin", "page_hinkley"}
"""Off by default, because they are not quiet: see their docstrings."""
SLOW = {"kswin"}
"""A thousand values a second: shorter streams show the same."""
BOUND = 4_000
"""Rows within which a shift of two standard deviations must be seen."""


def some(name: str, rows: int) -> int:
    """So many rows, or a fifth of them for a slow detector."""
    return rows // 5 if name in SLOW else rows


def flags(values: np.ndarray) -> np.ndarray:
    return (values > 1.0).astype(float)


def make(name: str, kind: str = "independent", rows: int = 20_000) -> tuple[Detector, object]:
    """A detector on the first half of a stationary stream, and the way from a block of values to its input."""
    values = stationary(kind, rows, 1)
    known, binned = learned(values)
    made = load(name)
    if made.reads == "counts":
        return made(known), binned
    turn = flags if "error" in made.families or name in {"ddm", "eddm", "hddm"} else (lambda x: x)
    known = msgspec.structs.replace(known, values=turn(values))
    return made(known), turn


def run(detector: Detector, turn: object, values: np.ndarray) -> list[tuple[int, object]]:
    found = []
    for i in range(0, len(values) - BLOCK + 1, BLOCK):
        finding = detector.update(turn(values[i : i + BLOCK]))
        if finding is not None:
            found.append((i + BLOCK, finding))
    return found


def test_every_detector_is_found_by_its_file_name():
    """Every name in the default policy is the name of a file, and each class names its file."""
    assert {"adwin", "e_detector", "e_detector_error", "psi", "ks", "jensen_shannon", "chi_squared", "quality"} <= set(
        ALL
    )
    assert all(load(name).name == name and load(name).__module__ == f"detectors.{name}" for name in ALL)


def test_an_unknown_name_is_refused_with_those_there_are():
    """A typo in policy gets the list of detectors."""
    with pytest.raises(ValueError, match=r"there is no detector 'pis'.*psi"):
        load("pis")


@pytest.mark.parametrize("name", ALL)
def test_input_is_not_changed(name: str):
    """A detector never changes the array it is given."""
    detector, turn = make(name, rows=2_000)
    block = turn(stationary("independent", BLOCK, 3))
    kept = block.copy()
    detector.update(block)
    assert np.array_equal(block, kept)


@pytest.mark.parametrize("name", ALL)
def test_equal_runs_are_equal(name: str):
    """The same input gives the same findings twice."""
    rows = some(name, 1_500)
    values = np.concatenate([stationary("independent", rows, 4), stationary("independent", rows, 5) + 2])
    first, second = (run(*make(name, rows=3_000), values) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ALL)
def test_reset_forgets(name: str):
    """After a reset a detector answers as one that was just made."""
    detector, turn = make(name, rows=3_000)
    run(detector, turn, stationary("independent", some(name, 1_000), 6) + 0.5)
    detector.reset()
    fresh, _ = make(name, rows=3_000)
    rows = some(name, 1_500)
    values = np.concatenate([stationary("independent", rows // 3, 7), stationary("independent", rows, 8) + 2])
    assert run(detector, turn, values) == run(fresh, turn, values)


@pytest.mark.parametrize("name", ALL)
def test_odd_values_are_survived(name: str):
    """NaN, infinities, constants and empty input neither raise nor give numbers that cannot be sent."""
    detector, turn = make(name, rows=3_000)
    odd = [
        np.full(BLOCK, np.nan),
        np.full(BLOCK, np.inf),
        np.full(BLOCK, -np.inf),
        np.zeros(BLOCK),
        np.full(BLOCK, 1e300),
    ]
    for block in odd * some(name, 40):
        finding = detector.update(turn(block))
        if finding is not None:
            assert np.isfinite([finding.statistic, finding.threshold, finding.effect]).all()
    detector.update(turn(np.zeros(0)))


@pytest.mark.parametrize("name", ALL)
def test_a_snapshot_goes_on_identically(name: str):
    """A detector restored from its snapshot, sent as MessagePack, goes on as if nothing had happened."""
    calm = some(name, 1_000)
    values = np.concatenate([stationary("independent", calm, 9), stationary("independent", 2 * calm, 10) + 2])
    whole, turn = make(name, rows=3_000)
    run(whole, turn, values[: calm + 10])
    again, _ = make(name, rows=3_000)
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(whole.snapshot())))
    assert run(again, turn, values[calm:]) == run(whole, turn, values[calm:])


@pytest.mark.parametrize("name", ALL)
def test_memory_plateaus(name: str):
    """The state after 30,000 rows is hardly larger than after 10,000."""
    detector, turn = make(name, rows=3_000)
    sizes = []
    for part in range(3):
        run(detector, turn, stationary("independent", 10_000 if name not in SLOW else 600, 20 + part))
        sizes.append(len(msgspec.msgpack.encode(detector.snapshot())))
    assert sizes[2] <= 1.6 * sizes[0] + 500


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [n for n in ALL if n not in NOISY])
def test_quiet_where_nothing_changes(name: str, kind: str):
    """30,000 rows of each stationary kind raise nothing; the daily one is judged against a reference of whole days."""
    detector, turn = make(name, kind, 28_800)
    assert run(detector, turn, stationary(kind, 30_000, 98)) == []


@pytest.mark.parametrize("name", [n for n in ALL if n != "quality"])
def test_a_shift_is_seen(name: str):
    """Two standard deviations more, after quiet rows, are seen within the bound and not dated before half of these."""
    detector, turn = make(name)
    calm, bound = some(name, 2_000), some(name, BOUND)
    values = np.concatenate([stationary("independent", calm, 11), stationary("independent", bound, 12) + 2])
    found = [(row, f) for row, f in run(detector, turn, values) if row > calm]
    assert found
    assert found[0][0] <= calm + bound
    assert calm // 2 <= found[0][1].onset <= found[0][0]


@pytest.mark.parametrize("name", ALL)
def test_the_docstring_runs(name: str):
    """Each detector's docstring holds a runnable example and names a source."""
    module = importlib.import_module(f"detectors.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
    assert any(mark in (load(name).__doc__ or "") for mark in ("Source", "source"))
