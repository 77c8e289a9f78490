"""The words on the wire, past tense, defined once.

Producers' events (`InferenceServed`, `LabelArrived`, `ChangeRecorded`) ignore fields they do not know: a tolerant
reader. Our own events forbid them. All times are event time in epoch seconds, UTC, as floats; producers may also send
RFC 3339 text. `python -m bot schema` prints the JSON Schemas.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from core.findings import Calm, Detection, Histogram, Summary

Scalar = None | bool | int | float | str

MAX_EVENT_BYTES = 1_000_000
"""One event larger than this is dead-lettered: it is not a row of features."""

_TOKEN = re.compile(r"^[A-Za-z0-9_-][A-Za-z0-9_\-]{0,127}$")


def epoch(value: Any) -> float:
    """Epoch seconds (UTC) of an RFC 3339 text or a number of seconds.

    Raises ValueError for anything else, and for times outside 1970..9999 (milliseconds sent as seconds land there).
    """
    if isinstance(value, bool) or value is None:
        raise ValueError(f"at={value!r} is not a time; send RFC 3339 text or epoch seconds")
    if isinstance(value, int | float):
        seconds = float(value)
    else:
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            raise ValueError(f"at={str(value)[:64]!r} is not a time; send RFC 3339 text or epoch seconds") from None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds) or not 0 <= seconds < 253_402_300_800:
        raise ValueError(f"at={str(value)[:64]!r} is outside 1970..9999; send epoch seconds, not milliseconds")
    return seconds


def iso(at: float) -> str:
    """RFC 3339 text, to the second, of epoch seconds: `2013-03-10T05:00:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def content_id(prefix: str, *parts: Any) -> str:
    """An id that is the same whenever the content is: `<prefix>_<16 hex>`. JetStream then drops the twin."""
    text = "\x1f".join(str(part) for part in parts)
    return f"{prefix}_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def token(name: str) -> str:
    """`name` if it can stand in a subject between two dots (letters, digits, `-`, `_`); ValueError otherwise."""
    if not _TOKEN.match(name):
        raise ValueError(f"{name[:80]!r} cannot stand in a subject: use letters, digits, '-' and '_' (at most 128)")
    return name


class _Produced(Struct, frozen=True, kw_only=True):
    def __post_init__(self) -> None:
        if not isinstance(self.at, float):  # type: ignore[attr-defined]
            msgspec.structs.force_setattr(self, "at", epoch(self.at))  # type: ignore[attr-defined]
        else:
            epoch(self.at)  # type: ignore[attr-defined]


class InferenceServed(_Produced, frozen=True, kw_only=True):
    """One served prediction with its inputs, as the model server publishes it on `inference.<tenant>.<model>`."""

    id: str
    at: str | int | float
    version: str = ""
    features: dict[str, Any] = msgspec.field(default_factory=dict)
    score: float | dict[str, float] | None = None
    prediction: Any = None
    latency_ms: float | None = None
    error: str | bool | None = None


class LabelArrived(_Produced, frozen=True, kw_only=True):
    """The truth for an earlier inference: `id` is the inference's id; subject `label.<tenant>.<model>`."""

    id: str
    at: str | int | float
    label: bool | int | float | str


ChangeKind = Literal["deployment", "schema", "flag", "configuration", "feature_job", "data"]


class ChangeRecorded(_Produced, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Somebody changed something; subject `change.<tenant>`, written by CI/CD, registries and feature jobs."""

    id: str
    at: str | int | float
    kind: ChangeKind
    target: str
    summary: str = ""
    from_: str | None = None
    to: str | None = None
    by: str | None = None
    url: str | None = None


class _Ours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Envelope: `id`, `cause` (id of the event that led here), `actor`, `at` (event time, epoch seconds)."""

    id: str
    cause: str
    actor: str
    at: float


class SignalWindow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signal's share of a closed window: what it looked like, counted in the reference's own bins."""

    summary: Summary
    histogram: Histogram | None = None
    psi: float | None = None
    """Bias-corrected PSI of this window against the reference."""
    value: float | None = None
    """For signals that are one number a window (rates, quality, latency quantiles)."""


class Signals(Mapping[str, SignalWindow]):
    """The signals of a window as the JSON they travel in, read when somebody asks: of most windows nobody does."""

    __slots__ = ("_read", "text")

    def __init__(self, text: bytes):
        self.text = text
        self._read: dict[str, SignalWindow] | None = None

    def _known(self) -> dict[str, SignalWindow]:
        if self._read is None:
            self._read = msgspec.json.decode(self.text, type=dict[str, SignalWindow])
        return self._read

    def __getitem__(self, signal: str) -> SignalWindow:
        return self._known()[signal]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


def as_text(value: Any) -> msgspec.Raw:
    """For an encoder of msgspec (`enc_hook`): `Signals` as the JSON they are."""
    if isinstance(value, Signals):
        return msgspec.Raw(value.text)
    raise TypeError(f"{type(value).__name__} has no JSON")


class WindowClosed(_Ours, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One closed window of one model version, on `window.<tenant>.<model>`."""

    tenant: str
    model: str
    version: str
    baseline: str
    start: float
    end: float
    rows: int
    signals: dict[str, SignalWindow]
    """Where detectors made it, `Signals`."""
    segment: str = ""
    design_effect: dict[str, float] = msgspec.field(default_factory=dict)
    """Per signal: by how much rows of this stream count less than independent ones (>= 1)."""


class Detected(_Ours, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the detectors saw on one model version: troubles that began, and that ended; `detection.<tenant>.<model>`.

    Whether anybody is told is decided where the detections of all models meet (`core.alerts`).
    """

    tenant: str
    model: str
    version: str
    detections: list[Detection] = []
    calms: list[Calm] = []


Severity = Literal["SEV1", "SEV2", "SEV3", "SEV4"]


class AlertFired(_Ours, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Detections on one model that belong together, past every stage of the pipeline; `alert.fired.<tenant>`."""

    tenant: str
    model: str
    version: str
    fingerprint: str
    """Identity of the trouble (tenant, model, kind): the same trouble firing again has the same fingerprint."""
    group: str
    """Alerts with one group become one incident."""
    kind: str
    """data_drift | concept_drift | prediction_drift | quality | silence | latency | staleness | forecast"""
    severity: Severity
    onset: float
    """When the change began, as estimated; event time."""
    detections: list[Detection]
    reason: str
    """`core.alerting.NotifyReason` value."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    models: list[str] = msgspec.field(default_factory=list)
    """All models hit, when the group spans several."""
    fired_at: float = 0.0
    """Wall clock when the alert was published."""


class AlertResolved(_Ours, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The trouble with this fingerprint is no longer seen; `alert.resolved.<tenant>`."""

    tenant: str
    model: str
    fingerprint: str
    group: str
    rows: int
    """How many rows of calm were seen."""
    reason: str = "resolved"
    """`core.alerting.NotifyReason` value."""


class DeadLetter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something undecodable, kept with its reason on `dead.<subject>`."""

    id: str
    at: float
    subject: str
    reason: str
    payload: str
    """At most 4,000 characters, control characters replaced."""
    size: int
    """Bytes of the original."""


def subject_of(event: Any) -> str:
    """The subject an event of ours is published on."""
    from core.incidents import IncidentChanged

    match event:
        case AlertFired():
            return f"alert.fired.{event.tenant}"
        case AlertResolved():
            return f"alert.resolved.{event.tenant}"
        case Detected():
            return f"detection.{event.tenant}.{event.model}"
        case WindowClosed():
            return f"window.{event.tenant}.{event.model}"
        case IncidentChanged():
            return f"incident.{event.incident.state}.{event.incident.tenant}"
        case DeadLetter():
            return f"dead.{event.subject}"
    raise TypeError(f"{type(event).__name__} has no subject")
