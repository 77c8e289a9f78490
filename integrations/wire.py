"""From the bytes of one message to events: tolerant of producers, strict about each event, pure.

One message may hold one JSON object, a JSON array, NDJSON, the same in msgpack, or an Arrow IPC stream, told apart by
its Content-Type or (but for Arrow) its first byte. An event that cannot be read is set aside alone, with its reason;
the rest of the message goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from core.events import (
    MAX_EVENT_BYTES,
    AlertFired,
    AlertResolved,
    ChangeRecorded,
    DeadLetter,
    Detected,
    InferenceServed,
    LabelArrived,
    WindowClosed,
    as_text,
    content_id,
    token,
)
from core.incidents import IncidentChanged
from integrations import arrow
from integrations.arrow import ARROW
from integrations.plain import visible
from integrations.streams import spoken

JSON, NDJSON, MSGPACK = "application/json", "application/x-ndjson", "application/msgpack"

_LINES = {NDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines"}
_PACKED = {MSGPACK, "application/x-msgpack", "application/vnd.msgpack"}
_ARROW = {ARROW, "application/vnd.apache.arrow", "application/x-arrow"}
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_PAYLOAD_SHOWN, _REASON_SHOWN = 4_000, 500
_PLACE = re.compile(r" - at `\$([^`]+)`$")

PRODUCED: dict[str, Any] = {
    "inference": InferenceServed,
    "label": LabelArrived,
    "change": ChangeRecorded,
    "lineage": dict[str, Any],
}
"""What producers send: many events a message, tenant and model in the subject."""

OURS: dict[str, Any] = {
    "window": WindowClosed,
    "detection": Detected,
    "alert.fired": AlertFired,
    "alert.resolved": AlertResolved,
    "incident": IncidentChanged,
    "dead": DeadLetter,
}
"""What we write ourselves: one event a message, complete in itself."""


class Bad(NamedTuple):
    """One event that could not be read: why, its bytes, and where in the message it stood."""

    reason: str
    payload: bytes
    index: int


class Decoded(NamedTuple):
    """What one message held."""

    events: list[Any]
    bad: list[Bad]


Decode = Callable[[bytes, str], Decoded]
"""(payload, content type) -> Decoded. Never raises."""


class Delivered(Struct, frozen=True, kw_only=True):
    """The events of one message with what only its subject and the server know."""

    subject: str
    tenant: str
    model: str
    """Empty where the subject names none (`change.<tenant>`, `lineage.<tenant>`)."""
    events: list[Any]
    seq: int
    """Position in the stream; grows by one a message."""
    at: float
    """When the server stored it, epoch seconds."""


def family(subject: str) -> str:
    """The key of `subject` in PRODUCED or OURS: `alert.fired.acme` -> `alert.fired`, `label.acme.m` -> `label`."""
    parts = subject.split(".")
    return ".".join(parts[:2]) if parts[0] == "alert" else parts[0]


_TOKENS = {"inference": 3, "label": 3, "change": 2, "lineage": 2}


def address(subject: str) -> tuple[str, str]:
    """(tenant, model) of a producer's subject; the model is empty where the family has none.

    Raises ValueError when the subject has too few or too many tokens, or one that no name may have.
    """
    first, *names = subject.split(".")
    if len(names) + 1 != _TOKENS[first]:
        form = ".".join([first, "<tenant>", "<model>"][: _TOKENS[first]])
        raise ValueError(f"the subject {subject[:200]!r} should be {form}")
    tenant, model = [token(name) for name in names] + [""] * (2 - len(names))
    return tenant, model


def delivered(
    subject: str, payload: bytes, content_type: str = "", *, seq: int = 0, at: float = 0.0, decode: Decode | None = None
) -> tuple[Delivered, list[Bad]]:
    """One stored message, decoded, and what in it could not be read. Never raises for anything a producer may send."""
    subject, tenant, model = spoken(subject), "", ""
    try:
        if family(subject) in PRODUCED:
            tenant, model = address(subject)
        events, bad = (decode or decoder(subject))(payload, content_type)
    except ValueError as error:
        events, bad = [], [Bad(str(error), payload, 0)]
    return Delivered(subject=subject, tenant=tenant, model=model, events=events, seq=seq, at=at), bad


def decoder(subject: str) -> Decode:
    """How to decode what comes on `subject`. Raises ValueError for a subject that is not ours to read."""
    name = family(subject)
    return _decoder_of(name)


@cache
def _decoder_of(name: str) -> Decode:
    kind = PRODUCED.get(name) or OURS.get(name)
    if kind is None:
        raise ValueError(f"{name!r} is no subject family of ours; there are {', '.join([*PRODUCED, *OURS])}")
    return _EventDecoder(kind)


def said_type(content_type: str) -> str:
    """The media type that a producer named, without its parameters: `application/json`."""
    return content_type.partition(";")[0].strip().lower()


def is_arrow(content_type: str) -> bool:
    """Whether a message of this Content-Type holds an Arrow IPC stream."""
    return said_type(content_type) in _ARROW


class _EventDecoder:
    def __init__(self, kind: Any):
        self._kind = kind
        name = getattr(kind, "__name__", "")
        self._remedy = (
            f"; `python -m bot schema {name}` prints what is expected" if name != "dict" else
            "; an OpenLineage RunEvent is one JSON object, see openlineage.io"
        )  # fmt: skip
        self._kinds = {field.encode_name for field in msgspec.structs.fields(kind)} if name != "dict" else set()
        self._json = msgspec.json.Decoder(kind)
        self._json_many = msgspec.json.Decoder(list[kind])
        self._packed = msgspec.msgpack.Decoder(kind)
        self._packed_many = msgspec.msgpack.Decoder(list[kind])

    def __call__(self, payload: bytes, content_type: str = "") -> Decoded:
        said = said_type(content_type)
        if said in _ARROW:
            return self._arrow(payload)
        body = payload if said in _PACKED else payload.strip()
        if not body:
            return Decoded(
                [], [Bad("the message is empty: send one JSON object, an array of them or NDJSON", payload, 0)]
            )
        if said in _PACKED or (said != JSON and said not in _LINES and _looks_packed(body)):
            return self._decode(body, self._packed, self._packed_many, _PACKED_PIECES, body[0] not in _MAP_BYTES)
        if said in _LINES:
            return self._lines(body)
        if body[:1] == b"[":
            return self._decode(body, self._json, self._json_many, _JSON_PIECES, True)
        decoded = self._decode(body, self._json, self._json_many, _JSON_PIECES, False)
        if decoded.bad and _looks_like_lines(body):
            return self._lines(body)
        return decoded

    def _decode(self, body: bytes, one: Any, many: Any, pieces: Any, several: bool) -> Decoded:
        if len(body) <= MAX_EVENT_BYTES:
            try:
                return Decoded(many.decode(body) if several else [one.decode(body)], [])
            except _UNREADABLE:
                pass  # the slow path says which event it is, and why
        if not several:
            return self._each([body], one)
        try:
            return self._each(pieces.decode(body), one)
        except _UNREADABLE as error:
            return self._lenient_many(body, error) if one is self._json else Decoded([], [self._bad(error, body, 0)])

    def _lines(self, body: bytes) -> Decoded:
        if len(body) <= MAX_EVENT_BYTES:
            try:
                return Decoded(self._json.decode_lines(body), [])
            except _UNREADABLE:
                pass  # the slow path says which line it is, and why
        return self._each([line for line in body.splitlines() if line.strip()], self._json)

    def _arrow(self, payload: bytes) -> Decoded:
        try:
            rows = arrow.rows_of(payload, self._kinds)
        except ValueError as error:
            return Decoded([], [Bad(str(error), payload, 0)])
        events, bad = [], []
        for index, row in enumerate(rows):
            try:
                events.append(msgspec.convert(row, self._kind))
            except _UNREADABLE as error:
                bad.append(self._bad(error, arrow.shown(row), index))
        return Decoded(events, bad)

    def _each(self, pieces: Iterable[Any], one: Any) -> Decoded:
        events, bad = [], []
        for index, piece in enumerate(pieces):
            raw = bytes(piece)
            try:
                events.append(self._one(raw, one))
            except _UNREADABLE as error:
                bad.append(self._bad(error, raw, index))
        return Decoded(events, bad)

    def _one(self, raw: bytes, one: Any) -> Any:
        if len(raw) > MAX_EVENT_BYTES:
            raise ValueError(_too_large(raw))
        try:
            return one.decode(raw)
        except _UNREADABLE as strict:
            if one is not self._json:
                raise
            try:
                return self._converted(_lenient(raw))
            except (msgspec.ValidationError, UnicodeEncodeError):
                raise  # it can be read; what it says is wrong, and this says where
            except _UNREADABLE:
                raise strict from None

    def _lenient_many(self, body: bytes, strict: BaseException) -> Decoded:
        """An array that is JSON only with NaN and Infinity in it, as Python's own encoder writes them."""
        try:
            items = _lenient(body)
        except _UNREADABLE:
            return Decoded([], [self._bad(strict, body, 0)])
        events, bad = [], []
        for index, item in enumerate(items):
            try:
                raw = json.dumps(item, ensure_ascii=False).encode()
                if len(raw) > MAX_EVENT_BYTES:
                    raise ValueError(_too_large(raw))
                events.append(self._converted(item))
            except _UNREADABLE as error:
                bad.append(self._bad(error, json.dumps(item).encode(), index))
        return Decoded(events, bad)

    def _converted(self, item: Any) -> Any:
        json.dumps(item, ensure_ascii=False).encode()  # a lone surrogate could never be written again
        return msgspec.convert(item, self._kind)

    def _bad(self, error: BaseException, payload: bytes, index: int) -> Bad:
        """What is wrong, with the value that is, and where to read what is right."""
        if isinstance(error, RecursionError):
            said = "nested too deeply: features are flat"
        elif isinstance(error, UnicodeDecodeError):
            said = f"not UTF-8 text: {error.reason} at byte {error.start}"
        elif isinstance(error, UnicodeEncodeError):
            said = "a text holds half of a surrogate pair: send whole UTF-8 text"
        else:
            said = str(error)
        if isinstance(error, msgspec.MsgspecError) and "; send " not in said:
            said += _value(said, payload) + self._remedy
        return Bad(said, payload, index)


_JSON_PIECES = msgspec.json.Decoder(list[msgspec.Raw])
_PACKED_PIECES = msgspec.msgpack.Decoder(list[msgspec.Raw])
_MAP_BYTES = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
_ARRAY_BYTES = frozenset([*range(0x90, 0xA0), 0xDC, 0xDD])


def _looks_packed(body: bytes) -> bool:
    return body[0] in _MAP_BYTES or body[0] in _ARRAY_BYTES


def _looks_like_lines(body: bytes) -> bool:
    lines = [line.lstrip() for line in body.splitlines() if line.strip()]
    return len(lines) > 1 and all(line[:1] == b"{" for line in lines)


def _lenient(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8"))


def _too_large(raw: bytes) -> str:
    return (
        f"the event has {len(raw)} bytes; at most {MAX_EVENT_BYTES} are taken: send what the model reads, no documents"
    )


def _value(said: str, payload: bytes) -> str:
    """` = <value>` of the place that an error names, when it can be found there."""
    place = _PLACE.search(said)
    if place is None:
        return ""
    try:
        found = _lenient(payload)
        for step in place[1].strip(".").split("."):
            found = found[step]
    except (*_UNREADABLE, LookupError, TypeError):
        return ""  # inside a list or a map of values: the place is all that is known
    return f" = {json.dumps(found)[:60]}"


_PLAIN = msgspec.json.Encoder(enc_hook=as_text)


def dead_letter(subject: str, bad: Bad, *, seq: int, now: float) -> DeadLetter:
    """`bad` as it is kept on `dead.<subject>`. The id follows from content and place, so that a repeat is dropped."""
    shown = bad.payload[: _PAYLOAD_SHOWN * 4].decode("utf-8", "replace")  # at most 4 bytes a character
    return DeadLetter(
        id=content_id("dead", subject, seq, bad.index, bad.payload),
        at=now,
        subject=subject,
        reason=visible(bad.reason, _REASON_SHOWN),
        payload=visible(shown, _PAYLOAD_SHOWN),
        size=len(bad.payload),
    )


def encode(event: Any) -> bytes:
    """Canonical JSON of an event of ours. Raises ValueError when it could not be read back (NaN for a number).

    Windows, by far the most and the largest, are neither sorted nor read back: their fields have one order, and their
    numbers were made finite where they were made.
    """
    if isinstance(event, WindowClosed):
        return _PLAIN.encode(event)
    payload = msgspec.json.encode(event, order="sorted")
    try:
        msgspec.json.decode(payload, type=type(event))
    except msgspec.ValidationError as error:
        raise ValueError(f"{type(event).__name__} {event.id} cannot be published: {error} (NaN or infinity?)") from None
    return payload
