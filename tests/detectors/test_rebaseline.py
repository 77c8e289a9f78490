"""A version leaves its baseline for another by a person's word: learnt from its next rows, or brought along."""

import numpy as np
import pytest

from detectors.baseline import encode
from detectors.learn import learn
from detectors.memory import held_against, reference_of
from detectors.monitor import Monitor
from detectors.rows import rows_of
from tests.detectors.streams import START, events

SMALL = {"baseline_rows": 500, "window_rows": 100}


def some(rows: int, mean: float, first: int, version: str = "1", seed: int = 0) -> list:
    rng = np.random.default_rng(seed + first)
    return events({"x": rng.normal(mean, 1, rows)}, start=START + 60 * first, first=first, version=version)


def told(monitor: Monitor, served: list) -> tuple[list[str], list[str]]:
    """(kinds of trouble, kinds of calm)."""
    found = [monitor.on_inference("acme", "m", served[n : n + 100]) for n in range(0, len(served), 100)]
    return [d.kind for r in found for _, d in r.detections], [c.kind for r in found for _, c in r.calms]


def exported(mean: float) -> bytes:
    rows = rows_of(some(2_000, mean, 0, seed=90))
    return encode(learn(rows, tenant="acme", model="m", version="7", source="elsewhere"))


@pytest.fixture
def moved() -> Monitor:
    """A model of which version 1 is usual and version 2, four deviations away, is told."""
    monitor = Monitor(SMALL)
    assert told(monitor, some(900, 0, 0)) == ([], [])
    assert told(monitor, some(300, 4, 900, "2"))[0] == ["data_drift"]
    return monitor


def test_an_approved_version_ends_its_trouble_and_learns_its_own(moved: Monitor):
    """What was told of it is over at once; its next rows are its baseline, and what leaves that is told again."""
    reaction = moved.rebaseline("acme", "m", "2", "reb_1")
    assert [(key, c.kind, c.rows) for key, c in reaction.calms] == [(("acme", "m", "2"), "data_drift", 300)]
    assert told(moved, some(1_200, 4, 1_200, "2")) == ([], [])
    assert told(moved, some(300, 0, 2_400, "2"))[0] == ["data_drift"]


def test_a_baseline_brought_along_is_held_against_from_the_next_row(moved: Monitor):
    """An exported baseline of where version 2 is now: calm there, and told when it goes back to where version 1 was."""
    reaction = moved.rebaseline("acme", "m", "2", "reb_1", exported(4))
    assert [(b.version, b.rows, b.source) for b in reaction.baselines] == [("2", 2_000, "elsewhere")]
    assert told(moved, some(600, 4, 1_200, "2")) == ([], [])
    assert told(moved, some(200, 0, 1_800, "2"))[0] == ["data_drift"]


@pytest.mark.parametrize("brought", [b"", exported(4)])
def test_a_version_that_is_still_to_come_follows_when_it_comes(brought: bytes):
    """Approved before it serves, version 2 is not held against version 1; version 3, approved by nobody, is."""
    monitor = Monitor(SMALL)
    monitor.rebaseline("acme", "m", "2", "reb_1", brought)
    assert told(monitor, some(900, 0, 0)) == ([], [])
    assert told(monitor, some(900, 4, 900, "2")) == ([], [])
    assert told(monitor, some(300, 9, 1_800, "3"))[0] == ["data_drift"]


def test_the_same_word_again_after_a_restart_changes_nothing(moved: Monitor):
    """All approvals are heard again at a start: a version that follows one goes on as if nothing had been said."""
    moved.rebaseline("acme", "m", "2", "reb_1")
    told(moved, some(900, 4, 1_200, "2"))
    again = Monitor(SMALL)
    again.rebaseline("acme", "m", "2", "reb_1")
    again.restore_pieces(moved.pieces(whole=True))
    reaction = again.rebaseline("acme", "m", "2", "reb_1")
    assert (reaction.calms, reaction.baselines) == ([], [])
    assert again.pieces(whole=True) == moved.pieces(whole=True)
    assert told(again, some(300, 0, 2_100, "2")) == told(moved, some(300, 0, 2_100, "2"))


def test_a_second_word_on_a_version_counts_anew(moved: Monitor):
    """Approved, learnt, moved again, approved again: the second word is followed too."""
    moved.rebaseline("acme", "m", "2", "reb_1")
    told(moved, some(600, 4, 1_200, "2"))
    assert told(moved, some(200, 9, 1_800, "2"))[0] == ["data_drift"]
    assert [c.kind for _, c in moved.rebaseline("acme", "m", "2", "reb_2").calms] == ["data_drift"]
    assert told(moved, some(900, 9, 2_000, "2")) == ([], [])


def test_what_is_no_baseline_changes_nothing_and_is_said(moved: Monitor):
    """Bytes that are no exported baseline leave the version as it was, with the reason."""
    reaction = moved.rebaseline("acme", "m", "2", "reb_1", b"rubbish")
    assert [f.name for f in reaction.facts] == ["baseline_refused"]
    assert "not an exported baseline" in reaction.facts[0].detail
    assert reaction.calms == []


def test_the_baselines_of_a_stored_state_can_be_read(moved: Monitor):
    """Both versions with what they are held against, and which of them serves."""
    pieces = moved.pieces(whole=True)
    known = [(version, pieces[f"acme/m#{key}"], serving) for version, key, serving in held_against(pieces["acme/m"])]
    found = [(version, reference_of(data).rows, serving) for version, data, serving in known]
    assert found == [("1", 500, False), ("2", 500, True)]
