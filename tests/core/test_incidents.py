"""The incident machine and its audit chain."""

import itertools

import msgspec
import pytest

from core.errors import AuditError, TransitionError
from core.incidents import TRANSITIONS, advance, changed, entry_hash, mark, opened, verify_chain
from tests.core.words import alert, diagnosed, policy

STATES = ("opened", "diagnosed", "approved", "executing", "verifying", "resolved", "dismissed", "failed")


def exported(*incidents):
    return [msgspec.json.encode(changed(i), order="sorted") for i in incidents]


def history():
    first = opened(alert(), "inc_1", 10.0)
    second = mark(first, now=11.0, actor="UANA", what="acknowledged", acknowledged_by="UANA")
    third = advance(
        second, "dismissed", writer="converse", now=12.0, actor="UANA", what="dismissed", reason="test data"
    )
    return first, second, third


def test_every_transition_has_exactly_one_writer():
    """A writer that the table does not name for a transition is refused, for each pair of states."""
    first = opened(alert(), "inc_1", 10.0)
    for before, after in itertools.product(STATES, STATES):
        incident = msgspec.structs.replace(first, state=before)
        for writer in ("investigate", "converse", "act"):
            allowed = TRANSITIONS.get((before, after)) == writer
            try:
                result = advance(incident, after, writer=writer, now=1.0, actor="x", what="y")
            except TransitionError:
                assert not allowed
            else:
                assert allowed
                assert result.state == after


def test_a_state_that_is_over_never_changes_again():
    """Resolved and dismissed incidents take feedback and nothing else."""
    *_, over = history()
    with pytest.raises(TransitionError, match="nothing more"):
        mark(over, now=13.0, actor="UANA", what="late", acknowledged_by="UANA")
    assert mark(over, now=13.0, actor="UANA", what="feedback", feedback=[]).revision == over.revision + 1


def test_each_revision_chains_to_the_one_before():
    """Every entry names the hash of the same incident's previous entry and carries its own."""
    first, second, third = history()
    assert (first.previous, second.previous, third.previous) == ("", first.hash, second.hash)
    assert all(i.hash == entry_hash(i) for i in (first, second, third))
    assert verify_chain(exported(first, second, third)) == 3


def test_a_single_altered_byte_is_found():
    """Flipping any one byte of any entry of an exported log makes the verification fail."""
    log = exported(*history())
    for number, entry in enumerate(log):
        for place in range(len(entry)):
            altered = entry[:place] + bytes([entry[place] ^ 1]) + entry[place + 1 :]
            with pytest.raises(AuditError, match=f"entry {number + 1}|entry {number + 2}"):
                verify_chain([*log[:number], altered, *log[number + 1 :]])


@pytest.mark.parametrize("gone", [0, 1])
def test_a_missing_entry_is_found(gone):
    """Leaving out an entry that others follow breaks the chain."""
    log = exported(*history())
    with pytest.raises(AuditError, match=r"first entry|missing or altered"):
        verify_chain([e for n, e in enumerate(log) if n != gone])


def test_an_entry_written_twice_is_harmless():
    """A retry past the server's deduplication window repeats the same bytes, which verify."""
    first, second, third = exported(*history())
    assert verify_chain([first, second, second, third]) == 4


def test_incidents_survive_the_wire_unchanged():
    """Encoding and decoding an incident with hypothesis and plan gives an equal value and the same hash."""
    incident = diagnosed(policy())
    again = msgspec.json.decode(msgspec.json.encode(incident), type=type(incident))
    assert again == incident
    assert entry_hash(again) == incident.hash
