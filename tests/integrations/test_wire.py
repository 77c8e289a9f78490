"""Decoding: every way in which producers write events, and every way in which they write them wrongly."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import MAX_EVENT_BYTES, InferenceServed, LabelArrived, content_id
from integrations import wire
from integrations.arrow import ARROW
from integrations.streams import STREAMS, faults, stream_of
from tests.integrations.events import alert

GOOD = {"id": "a", "at": 1_700_000_000.5, "version": "1", "features": {"x": 1}, "score": 0.5}


def _read(payload: bytes, content_type: str = "") -> wire.Decoded:
    return wire.decoder("inference.acme.fraud")(payload, content_type)


@pytest.mark.parametrize(
    ("payload", "content_type"),
    [
        (json.dumps(GOOD).encode(), ""),
        (b"  " + json.dumps(GOOD, indent=2).encode() + b"\n", "application/json; charset=utf-8"),
        (json.dumps([GOOD]).encode(), ""),
        (json.dumps(GOOD).encode() + b"\n", "application/x-ndjson"),
        (msgspec.msgpack.encode(GOOD), ""),
        (msgspec.msgpack.encode([GOOD]), "application/msgpack"),
    ],
)
def test_every_format_gives_the_same_event(payload, content_type):
    """One event reads the same as object, array, NDJSON and msgpack."""
    events, bad = _read(payload, content_type)
    assert not bad
    assert events == [InferenceServed(**GOOD)]


def _arrow(rows: list[dict]) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_arrow_rows_are_the_events_of_json():
    """Columns that are no field are features; a time may be a timestamp; labels come in Arrow too."""
    flat = {name: value for name, value in GOOD.items() if name != "features"} | {"x": 1}
    assert _read(_arrow([flat]), ARROW).events == [InferenceServed(**GOOD)]
    assert _read(_arrow([GOOD]), ARROW + "; codecs=lz4").events == [InferenceServed(**GOOD)]
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    label = {"id": "a", "at": noon, "label": True, "by": "ana"}
    events, bad = wire.decoder("label.acme.fraud")(_arrow([label]), ARROW)
    assert (events, bad) == ([LabelArrived(id="a", at=noon.timestamp(), label=True)], [])


def test_one_bad_row_of_arrow_goes_alone():
    """A row without an id or with an impossible time is set aside with its place; what is no Arrow at all is one."""
    events, bad = _read(_arrow([GOOD, GOOD | {"id": None}, GOOD | {"at": 1e15}, GOOD | {"id": "d"}]), ARROW)
    assert [e.id for e in events] == ["a", "d"]
    assert [b.index for b in bad] == [1, 2]
    assert "`id`" in bad[0].reason
    assert "milliseconds" in bad[1].reason
    assert "not an Arrow IPC stream" in _read(b"garbage", ARROW).bad[0].reason


def test_lines_are_recognised_without_a_content_type():
    """Several JSON objects on lines of their own are NDJSON, blank lines and all."""
    events, bad = _read(b"\n".join([json.dumps(GOOD).encode(), b"", json.dumps(GOOD | {"id": "b"}).encode()]))
    assert [e.id for e in events] == ["a", "b"]
    assert not bad


def test_one_bad_event_in_an_array_goes_alone():
    """The bad event is set aside with its place and reason; its neighbours are read."""
    events, bad = _read(json.dumps([GOOD, {"id": "b"}, GOOD | {"id": "c"}]).encode())
    assert [e.id for e in events] == ["a", "c"]
    [one] = bad
    assert one.index == 1
    assert "at" in one.reason
    assert json.loads(one.payload) == {"id": "b"}


def test_one_bad_line_goes_alone():
    """A broken line of NDJSON does not cost its neighbours."""
    payload = json.dumps(GOOD).encode() + b'\n{"id": "b", "at"\n' + json.dumps(GOOD | {"id": "c"}).encode()
    events, bad = _read(payload)
    assert [e.id for e in events] == ["a", "c"]
    assert [b.index for b in bad] == [1]


def test_one_bad_event_in_msgpack_goes_alone():
    """msgpack arrays are taken apart in the same way."""
    events, bad = _read(msgspec.msgpack.encode([GOOD, {"id": 7}, GOOD]))
    assert len(events) == 2
    assert [b.index for b in bad] == [1]


def test_nan_and_infinity_as_python_writes_them_are_read():
    """NaN, Infinity and 1e999 are numbers to us, not reasons to lose an event."""
    payload = json.dumps([GOOD | {"score": math.nan, "features": {"x": math.inf, "y": -math.inf}}, {"id": "b"}])
    events, bad = _read(payload.encode())
    assert math.isnan(events[0].score)
    assert events[0].features == {"x": math.inf, "y": -math.inf}
    assert [b.index for b in bad] == [1]
    assert _read(b'{"id":"a","at":1,"features":{"x":1e999}}').events[0].features == {"x": math.inf}


def test_integers_beyond_64_bits_are_read():
    """A huge integer is kept exactly."""
    assert _read(b'{"id":"a","at":1,"features":{"x":' + b"9" * 40 + b"}}").events[0].features["x"] == int("9" * 40)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"hello", "malformed"),
        (b'{"id":"a","at":1', "truncated"),
        (b'"text"', "Expected `object`"),
        (b'{"id":"a","at":"yesterday"}', "not a time"),
        (b'{"id":"a","at":1700000000000000}', "milliseconds"),
        (b'{"id":"a","at":true}', "at"),
        (b'{"id":"a","at":1,"features":{"x":"\xff\xfe"}}', "UTF-8"),
        (b'{"id":"a","at":1,"features":{"x":"\\ud800"}}', "surrogate"),
        (b'{"id":"a","at":1,"features":{"x":' + b"[" * 5000 + b"]" * 5000 + b"}}", "nested"),
        (b'{"id":"a","at":1,"features":{"x":' + b"9" * 5000 + b"}}", "out of range"),
        (b'{"id":"a","at":1,"features":{"x":"' + b"y" * MAX_EVENT_BYTES + b'"}}', "bytes"),
        (b"\x81", "truncated"),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_its_reason(payload, why):
    """Undecodable, mistyped, oversized, empty: one dead event with a reason that names the trouble."""
    events, bad = _read(payload)
    assert events == []
    assert len(bad) == 1
    assert why in bad[0].reason


def test_one_oversized_event_among_others_goes_alone():
    """The size limit is for an event, not for a message."""
    huge = GOOD | {"id": "huge", "features": {"x": "y" * MAX_EVENT_BYTES}}
    events, bad = _read(json.dumps([GOOD, huge, GOOD | {"id": "c"}]).encode())
    assert [e.id for e in events] == ["a", "c"]
    assert [b.index for b in bad] == [1]


@given(
    st.binary(max_size=300),
    st.sampled_from(["", "application/json", "application/x-ndjson", "application/msgpack", ARROW]),
)
def test_any_bytes_are_answered_without_an_exception(payload, content_type):
    """Whatever arrives, decoding gives events and bad events, and never raises."""
    events, bad = _read(payload, content_type)
    assert all(isinstance(e, InferenceServed) for e in events)
    assert all(b.reason for b in bad)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_good_and_bad_add_up(goods):
    """Every event of an array comes out exactly once, as good or as bad, in order."""
    items = [GOOD | {"id": str(i)} if good else {"id": str(i)} for i, good in enumerate(goods)]
    events, bad = _read(json.dumps(items).encode())
    assert [int(e.id) for e in events] == [i for i, good in enumerate(goods) if good]
    assert [b.index for b in bad] == [i for i, good in enumerate(goods) if not good]


@pytest.mark.parametrize("subject", ["inference.acme", "inference.acme.a.b", "inference.a<b.fraud", "change.acme.x"])
def test_wrong_subject_sets_the_message_aside(subject):
    """Tenant and model come from the subject; one that names them wrongly is dead, not guessed."""
    one, bad = wire.delivered(subject, json.dumps(GOOD).encode(), "", seq=1, at=0.0)
    assert one.events == []
    assert len(bad) == 1


def test_tenant_and_model_come_from_the_subject():
    """A delivered message knows its tenant, model and place in the stream."""
    one, bad = wire.delivered("inference.acme.fraud", json.dumps(GOOD).encode(), "", seq=7, at=3.0)
    assert (one.tenant, one.model, one.seq, bad) == ("acme", "fraud", 7, [])


def test_our_own_events_round_trip():
    """What `encode` writes, the subject's decoder reads back equal."""
    events, bad = wire.decoder("alert.fired.acme")(wire.encode(alert()), "")
    assert (events, bad) == ([alert()], [])


def test_an_event_that_could_not_be_read_back_is_not_written():
    """NaN in a required number is refused where it is made, not found at the reader."""
    with pytest.raises(ValueError, match=r"al_1.*onset"):
        wire.encode(alert(onset=math.nan))


def test_dead_letter_is_the_same_for_the_same_trouble_and_shows_no_control_characters():
    """A redelivery writes the same dead letter id; what it shows is cut and cleaned."""
    bad = wire.Bad("why\x1b[31m" + "x" * 9_000, b"\x00\x1bpay\xe2\x80\xaeload" * 9_000, 3)
    first = wire.dead_letter("inference.acme.fraud", bad, seq=9, now=1.0)
    again = wire.dead_letter("inference.acme.fraud", bad, seq=9, now=2.0)
    assert first.id == again.id
    assert first.id == content_id("dead", "inference.acme.fraud", 9, 3, bad.payload)
    assert len(first.payload) <= 4_000
    assert len(first.reason) <= 500
    assert not set("\x00\x1b\u202e") & set(first.payload + first.reason)
    assert first.size == len(bad.payload)


def test_every_subject_has_one_stream():
    """All families of subjects are kept, each by one stream."""
    assert {stream_of(f"{name}.acme.x") for name in [*wire.PRODUCED, *wire.OURS]} == {s.name for s in STREAMS}
    with pytest.raises(ValueError, match="no stream keeps"):
        stream_of("orders.new")


def test_the_audit_log_must_have_no_limits():
    """A stream that could forget audit entries is named as faulty; other streams' limits are the operator's."""
    audit = next(s for s in STREAMS if s.append_only)
    good = {"subjects": ["incident.>"], "deny_delete": True, "deny_purge": True, "max_age": 0, "max_bytes": -1}
    assert faults(audit, good) == []
    assert len(faults(audit, good | {"max_age": 10, "deny_purge": False})) == 2
    inference = next(s for s in STREAMS if s.name == "INFERENCE")
    assert faults(inference, {"subjects": ["inference.>"], "max_age": 1}) == []
    assert faults(inference, {"subjects": ["other.>"]})
