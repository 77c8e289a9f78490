"""Predictions remembered until their labels come: bounded, exact, the same after a restart."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.served import Memory


def keep(memory: Memory, ids: list[str], score: float = 0.5, version: str = "1") -> None:
    memory.keep(ids, np.arange(len(ids), dtype=float), version, np.full(len(ids), score), None)


def test_a_prediction_is_given_once():
    """The label takes its prediction; a second label of the same id finds nothing, but the id is still known."""
    memory = Memory(lambda: 1_000)
    memory.keep(["a"], np.array([7.0]), "2", [0.25], ["yes"])
    found = memory.take("a")
    assert (found.at, found.version, found.score, found.prediction) == (7.0, "2", 0.25, "yes")
    assert memory.take("a") is None
    assert "a" in memory


def test_rows_without_ids_are_kept_out():
    """An empty id names nothing."""
    memory = Memory(lambda: 1_000)
    keep(memory, ["", "", "x"])
    assert memory.take("") is None
    assert memory.take("x") is not None


@given(st.lists(st.integers(1, 700), max_size=12), st.integers(256, 2_000))
def test_the_newest_are_kept_and_no_more_than_there_is_room_for(batches: list[int], room: int):
    """However batches come, the last `room` ids are known and the memory never holds more."""
    memory, ids = Memory(lambda: room), []
    for number, size in enumerate(batches):
        some = [f"{number}-{i}" for i in range(size)]
        keep(memory, some, score=float(number))
        ids += some
    assert len(memory.slots) <= room
    for name in ids[-room:]:
        assert name in memory
    for name in ids[-min(room, 50) :]:
        assert memory.take(name).score == float(name.partition("-")[0])


def test_twins_in_a_batch_are_found():
    """Ids that are here already, and ids twice in one batch, are told by position."""
    memory = Memory(lambda: 1_000)
    keep(memory, ["a", "b"])
    assert memory.known(["c", "a", "c", "d"]) == [1, 2]
    assert memory.known(["x", "y"]) == []


def test_a_snapshot_forgets_nothing():
    """Restored, it gives the same answers."""
    memory, again = Memory(lambda: 1_000), Memory(lambda: 1_000)
    keep(memory, [f"i{n}" for n in range(900)], score=0.75)
    memory.take("i3")
    again.restore(memory.snapshot(lambda a: a), lambda a: a)
    assert again.take("i899") == memory.take("i899")
    assert "i3" in again
    assert again.take("i3") is None
