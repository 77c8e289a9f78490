"""The log of deployments: idempotent, conditional, never half written."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.demo import deployments
from bot.demo.deployments import Refused, Request, State, announced, change, decide, load, save

FIRST = State("flight-delay", "1")


def ask(to: str, key: str, at: float = 100.0, **more) -> Request:
    return Request("deploy", to, key, at, **more)


def test_the_same_key_twice_is_one_deployment():
    """A repeat answers with the first entry and changes nothing, even after another deployment came between."""
    state, entry, new = decide(FIRST, ask("2", "k1"))
    later, _, _ = decide(state, Request("rollback", "1", "k2", 200.0))
    again, same, repeated = decide(later, ask("2", "k1", at=300.0))
    assert (new, repeated) == (True, False)
    assert (same.id, again) == (entry.id, later)
    assert again.current == "1"


def test_a_known_key_with_other_content_is_refused():
    """One key stands for one request; another request under it is told so."""
    state, _, _ = decide(FIRST, ask("2", "k1"))
    with pytest.raises(Refused, match="k1") as refused:
        decide(state, Request("rollback", "1", "k1", 100.0))
    assert (refused.value.status, refused.value.code) == (409, "key_reused")


def test_a_stale_expectation_is_refused():
    """A deployment that expects another version than serves does not happen."""
    with pytest.raises(Refused, match="serves version 1, not 2") as refused:
        decide(FIRST, Request("rollback", "1", "k", 1.0, expected="2"))
    assert refused.value.code == "not_current"
    assert decide(FIRST, ask("2", "k", expected="1"))[0].current == "2"


def test_deploying_what_serves_is_refused():
    """Deploying the current version is a mistake, not a deployment."""
    with pytest.raises(Refused, match="already serves version 1"):
        decide(FIRST, ask("1", "k"))


@given(st.lists(st.tuples(st.sampled_from("12"), st.sampled_from("abcdef"), st.floats(0, 1e9)), max_size=20))
def test_the_log_explains_the_current_version(asked):
    """However deployments are asked for: keys are unique, each entry starts where the last ended, time never falls."""
    state = FIRST
    for to, key, at in asked:
        with contextlib.suppress(Refused):
            state, _, _ = decide(state, ask(to, key, at))
    keys = [entry.key for entry in state.log]
    assert len(keys) == len(set(keys))
    assert [entry.before for entry in state.log] == ["1", *(entry.to for entry in state.log)][: len(keys)]
    assert state.current == (state.log[-1].to if state.log else "1")
    assert [entry.at for entry in state.log] == sorted(entry.at for entry in state.log)


def test_saved_is_loaded(tmp_path):
    """What is saved is what is loaded, marks of announcement included."""
    state, entry, _ = decide(FIRST, ask("2", "k1"))
    save(tmp_path / "log.json", announced(state, entry))
    found = load(tmp_path / "log.json", "flight-delay", "1")
    assert found == announced(state, entry)
    assert found.log[0].announced


def test_a_failed_save_leaves_the_old_state(tmp_path, monkeypatch):
    """A save cut short anywhere before the rename leaves the file as it was."""
    save(tmp_path / "log.json", FIRST)
    state, _, _ = decide(FIRST, ask("2", "k1"))
    for step in ("fsync", "replace"):
        with monkeypatch.context() as broken:
            broken.setattr(deployments.os, step, lambda *given: (_ for _ in ()).throw(OSError("disk gone")))
            with pytest.raises(OSError, match="disk gone"):
                save(tmp_path / "log.json", state)
        assert load(tmp_path / "log.json", "flight-delay", "1") == FIRST


def test_a_broken_log_is_named(tmp_path):
    """A log that cannot be read stops the start and names the file."""
    (tmp_path / "log.json").write_text('{"model": "flight-delay"')
    with pytest.raises(ValueError, match=r"log\.json is not a deployment log"):
        load(tmp_path / "log.json", "flight-delay", "1")
    (tmp_path / "log.json").write_text(json.dumps({"model": "other", "current": "1", "log": []}))
    with pytest.raises(ValueError, match="of other, not of flight-delay"):
        load(tmp_path / "log.json", "flight-delay", "1")


def test_the_announcement_is_a_change_recorded():
    """A deployment is announced in the words of the wire, and its id depends on model and key alone."""
    import msgspec

    from core.events import ChangeRecorded

    state, entry, _ = decide(FIRST, ask("2", "k1", summary="v2", by="ci"))
    said = msgspec.convert(change(state, entry), ChangeRecorded)
    assert (said.from_, said.to, said.target, said.at, said.by) == ("1", "2", "flight-delay", 100.0, "ci")
    assert decide(FIRST, ask("2", "k1", at=999.0))[1].id == entry.id
