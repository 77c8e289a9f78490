"""A reference: what a model version looked like when it was well. Learnt by `learn.py`, kept, exported, imported."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import MiddlewatchError
from core.events import SignalWindow
from core.findings import Summary
from core.ports import Baseline
from detectors.bins import Bins
from detectors.derived import Derived
from detectors.relation import Relation


class Unfit(MiddlewatchError):
    """Data that cannot be a baseline: too few rows, or not what a well model looks like. The message says why."""


Floats = array
"""Of doubles."""
_NONE = array("d")


class Column(Struct, kw_only=True):
    """One signal of the reference. Its many numbers are arrays: thousands of models hold theirs at once."""

    signal: str
    bins: Bins
    counts: Floats
    expected_special: Floats
    """Expected shares of null, unseen, out of range (Good-Turing where the reference shows none)."""
    deff: Floats
    """Design effect of a window of 25 * 2**k rows."""
    deff_special: bytes
    """float32 design effects of null, unseen, out-of-range and far-off counts, [4, levels]."""
    whole: float
    """Design effect of the reference as a whole: it is worth `rows / whole` independent rows."""
    season: bytes = b""
    """float32 shares per cell of the season, [48, bins]; empty where hours do not help."""
    season_gain: float = 0.0
    """What knowing the hour is worth, in nats a row."""
    hourly: Floats = _NONE
    """Mean per cell of the season (48), for numbers that have one."""
    lattice: Floats = _NONE
    """All values the feature takes, for `lattice:<feature>`."""
    clip: Floats
    """Bounds for block means."""
    step: Floats
    """See steps.learn_step."""
    longest: float = 0.0
    """Longest run of one value, in rows; 0 where the value never changes or is no number."""
    summary: Summary
    typical: str = "number"
    """JSON type most values had: number, text, boolean, null, nested."""

    @property
    def family(self) -> str:
        """feature, score, confidence or latency: which detectors and which kind of trouble."""
        head = self.signal.partition(":")[0]
        return {"prediction": "score"}.get(head, head)


class ErrorReference(Struct, kw_only=True):
    """The model's errors once labels are known: 0/1 for classes, absolute error for numbers."""

    rows: int
    mean: float
    std: float
    deff: float
    task: str
    quality: dict[str, float] = {}
    """`cut`: errors above it are wrong."""
    metrics: dict[str, list[float]] = {}
    """metric -> [mean, standard deviation, windows] over windows of the reference."""
    by_bin: list[float] = []
    """Mean error per bin of the score: performance can be estimated before labels come."""


class Reference(Struct, kw_only=True):
    """Everything detection knows of a model version at rest."""

    id: str
    tenant: str
    model: str
    version: str
    rows: int
    start: float
    end: float
    source: str
    columns: list[Column]
    rate: float = 0.0
    """Rows per second while busy; 0 when the data carries no times."""
    gap: list[float]
    """Seconds: from here a wait is a gap; the longest wait known; the longest usual span of three blocks."""
    relation: Relation | None = None
    derived: list[Derived] = []
    segments: dict[str, Reference] = {}
    """"column=value" -> the reference of those rows alone."""
    error: ErrorReference | None = None
    quiet: list[float] = []
    """Longest usual silence in seconds, per hour of day (24) or empty."""
    notes: list[str] = []
    stamp: str = ""
    """File, time and options it was learnt from: the same file need not be learnt twice."""
    left: list[str] = []
    """Features that are not watched, and that nobody need be told of: counters and dates."""

    def column(self, signal: str) -> Column | None:
        return next((column for column in self.columns if column.signal == signal), None)

    def exported(self, importance: Mapping[str, float] | None = None) -> Baseline:
        """The part others need: per signal a Summary and a Histogram."""
        signals = {
            c.signal: SignalWindow(summary=c.summary, histogram=c.bins.histogram(c.counts))
            for c in self.columns
            if c.family not in ("relation", "lattice")
        }
        if self.error is not None:
            signals["error"] = SignalWindow(
                summary=Summary(rows=self.error.rows, mean=self.error.mean, std=self.error.std), value=self.error.mean
            )
        return Baseline(
            id=self.id, tenant=self.tenant, model=self.model, version=self.version, rows=self.rows, source=self.source,
            signals=signals, importance=dict(importance or {}),
        )  # fmt: skip

    def renamed(self, version: str) -> Reference:
        """The same reference for another version of the model."""
        return msgspec.structs.replace(self, version=version)


class Approved(Struct, frozen=True):
    """A person's word on one version: this reference, or (None) one learnt from its next rows."""

    id: str
    reference: Reference | None = None


def encode(reference: Reference) -> bytes:
    """The reference as bytes that `decode` reads on any machine (MessagePack)."""
    return msgspec.msgpack.encode(reference, enc_hook=array.tolist)


def decode(data: bytes) -> Reference:
    """Raises Unfit when the bytes are not an exported reference."""
    try:
        return msgspec.msgpack.decode(data, type=Reference, dec_hook=_array)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unfit(f"this is not an exported baseline: {error}") from None


def _array(kind: Any, numbers: Any) -> Floats:
    return array("d", numbers) if numbers else _NONE


def reference_id(tenant: str, model: str, columns: list[Column]) -> str:
    """Content-derived: the same data gives the same id."""
    body = msgspec.msgpack.encode([[c.signal, c.bins, c.counts.tolist()] for c in columns])
    return f"base_{hashlib.sha256(f'{tenant}/{model}/'.encode() + body).hexdigest()[:16]}"
