"""Predictions remembered until their labels come: bounded, exact, the same after a restart."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from detectors.columnar import texts as texts_of_arrow
from detectors.ids import keys
from detectors.served import Memory


def keep(memory: Memory, ids: list[str], score: float = 0.5, version: str = "1") -> None:
    memory.keep(keys(ids), np.arange(len(ids), dtype=float), version, np.full(len(ids), score), None)


def test_a_prediction_is_given_once():
    """The label takes its prediction; a second label of the same id finds nothing, but the id is still known."""
    memory = Memory(lambda: 1_000)
    memory.keep(keys(["a"]), np.array([7.0]), "2", [0.25], ["yes"])
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
    assert len(memory) <= room
    for name in ids[-room:]:
        assert name in memory
    for name in ids[-min(room, 50) :]:
        assert memory.take(name).score == float(name.partition("-")[0])


def test_twins_in_a_batch_are_found():
    """Ids that are here already, and ids twice in one batch, are told by position."""
    memory = Memory(lambda: 1_000)
    keep(memory, ["a", "b"])
    assert memory.known(keys(["c", "a", "c", "d", "", ""])) == [1, 2]
    assert memory.known(keys(["x", "y"])) == []


@given(st.lists(st.text(max_size=20), max_size=30))
def test_an_id_has_one_key_in_whatever_form_it_came(texts: list[str]):
    """As a text among others, alone, and as Arrow holds it; an empty one has none, and different ids differ."""
    held = texts_of_arrow(pa.array(["before", *texts], pa.string()).slice(1)) if texts else []
    assert list(held) == texts
    found = keys(texts).tolist()
    assert found == keys(held).tolist() == [int(keys([text])[0]) for text in texts]
    assert [key == 0 for key in found] == [text == "" for text in texts]
    assert len(set(found)) == len(set(texts))


@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=40), max_size=30))
def test_ids_that_come_again_and_again_are_found_where_they_were_last(batches: list[list[int]]):
    """However ids repeat, the last 256 predictions are known by their newest answer, and nothing else is."""
    memory, told = Memory(lambda: 256), []
    for number, batch in enumerate(batches):
        names = [f"i{i}" for i in batch]
        memory.keep(keys(names), np.arange(len(names), dtype=float), "1", np.full(len(names), float(number)), None)
        told += [(name, float(number)) for name in names]
    newest = dict(told[-256:])
    for i in range(61):
        assert (f"i{i}" in memory) == (f"i{i}" in newest)
    for name, score in newest.items():
        assert memory.take(name).score == score


def test_a_snapshot_forgets_nothing():
    """Restored, it gives the same answers."""
    memory, again = Memory(lambda: 1_000), Memory(lambda: 1_000)
    keep(memory, [f"i{n}" for n in range(900)], score=0.75)
    memory.take("i3")
    again.restore(memory.snapshot(np.copy), np.copy)
    assert again.take("i899") == memory.take("i899")
    assert "i3" in again
    assert again.take("i3") is None
