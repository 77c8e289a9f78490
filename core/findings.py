"""What the rooms find: detections, evidence, causes, claims, hypotheses. Frozen, content-hashed, sendable."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any, Literal

import msgspec
from msgspec import Struct


class _Word(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Histogram(_Word, frozen=True, kw_only=True):
    """Counts in fixed bins: `len(cuts)+1` numeric bins or one per level, then one for null, then one for unseen.

    Numeric bin i holds `cuts[i-1] < x <= cuts[i]`. Counts are floats so that windows can be weighted.
    """

    counts: list[float]
    cuts: list[float] = []
    levels: list[str] = []

    @property
    def total(self) -> float:
        return float(sum(self.counts))

    def labels(self) -> list[str]:
        """One short label per bin, for pictures and cards."""
        if self.levels:
            return [*self.levels, "null", "unseen"]
        cuts = [f"{c:.4g}" for c in self.cuts]
        if not cuts:
            return ["any", "null", "unseen"]
        return [
            f"<= {cuts[0]}",
            *(f"{a}..{b}" for a, b in itertools.pairwise(cuts)),
            f"> {cuts[-1]}",
            "null",
            "unseen",
        ]


class Summary(_Word, frozen=True, kw_only=True):
    """Plain numbers of one signal over some rows. None where it makes no sense (a category has no mean)."""

    rows: int
    nulls: int = 0
    mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    p05: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p95: float | None = None
    maximum: float | None = None
    distinct: int | None = None
    top: str | None = None
    """Most frequent level."""


class MovedBin(_Word, frozen=True, kw_only=True):
    """One of the most-moved bins: shares of the rows before and now."""

    label: str
    reference: float
    current: float


class Detection(_Word, frozen=True, kw_only=True):
    """One firing of one detector on one signal, with its provenance."""

    detector: str
    signal: str
    """`feature:<name>` | `nulls:<name>` | `unseen:<name>` | `range:<name>` | `type:<name>` | `score` | `confidence` |
    `latency` | `error` | `quality:<metric>` | `silence` | `staleness:<name>` | `duplicates` | `late`"""
    kind: str
    """Same words as `AlertFired.kind`."""
    at: float
    onset: float
    """Estimated start of the change, event time."""
    row: int = 0
    """How many rows of this model version had been seen when it fired."""
    onset_row: int = 0
    statistic: float
    threshold: float
    effect: float | None = None
    """Graded size people know: bias-corrected PSI for distributions, the difference for rates."""
    direction: Literal["up", "down", "both", ""] = ""
    importance: float = 0.0
    reference: Summary | None = None
    current: Summary | None = None
    reference_histogram: Histogram | None = None
    current_histogram: Histogram | None = None
    moved: list[MovedBin] = []
    scores: dict[str, float] = {}
    """Other statistics from the same counts for the reader: kl, js, ks, chi_squared, psi_raw ..."""
    window_start: float = 0.0
    window_end: float = 0.0
    false_alarms_per_week: float | None = None
    segment: str = ""
    detail: str = ""


CAUSES = (
    "unit_change", "sentinel_default", "schema_change", "logging_experiment", "duplicate_events", "partial_data",
    "category_encoding", "stale_feature_job", "online_store_miss", "training_serving_skew", "feature_file_limit",
    "bad_model_version", "wrong_artefact", "training_stopped", "threshold_change", "runtime_regression",
    "latency_fallback", "mixed_rollout", "late_labels", "label_definition", "covariate_drift", "concept_drift",
    "seasonality", "campaign_mix", "monitor_fault", "silence", "unknown",
)  # fmt: skip
"""The closed list of typed causes; `unknown` is "a type I do not know"."""

ACTIONS = ("ticket", "notify", "fallback", "rollback", "refresh_feature_job", "retrain")
"""The action catalogue. Policy decides which of them may be proposed for what."""


class Calm(_Word, frozen=True, kw_only=True):
    """A trouble of this kind that is over; `rows` of calm were seen."""

    kind: str
    at: float
    rows: int
    signals: list[str] = []


class Evidence(_Word, frozen=True, kw_only=True):
    """A frozen answer to one query, so that a claim can be recomputed months later."""

    id: str
    """`E1`, `E2` ... within one investigation."""
    source: Literal["alert", "telemetry", "lineage", "changes", "runbooks", "history", "forecast"]
    title: str
    query: str
    parameters: dict[str, Any] = {}
    result: dict[str, Any]
    at: float
    """Event time the answer speaks of."""
    digest: str = ""

    def sealed(self) -> Evidence:
        """The same evidence with its content hash filled in."""
        body = msgspec.json.encode([self.source, self.query, self.parameters, self.result, self.at], order="sorted")
        return msgspec.structs.replace(self, digest=hashlib.sha256(body).hexdigest())


class Gap(_Word, frozen=True, kw_only=True):
    """Something the investigation could not check, and why."""

    what: str
    why: str


class NumberRef(_Word, frozen=True, kw_only=True):
    """Where a number in a claim comes from: `text` as it stands in the sentence, `path` into the evidence's result."""

    text: str
    evidence: str
    path: str
    """Dotted path into `Evidence.result` (list indexes as numbers), or `psi(<path>,<path>)`-like recomputation."""


class Claim(_Word, frozen=True, kw_only=True):
    """One sentence that may be posted, the evidence it cites, and the numbers in it."""

    text: str
    citations: list[str]
    numbers: list[NumberRef] = []
    role: Literal["fact", "cause", "ruled_out", "blast", "remedy"] = "fact"
    entities: list[str] = []
    """Names (features, models, versions, changes) that must occur in the cited evidence."""


class DroppedClaim(_Word, frozen=True, kw_only=True):
    """A sentence the gate did not let through, and why."""

    text: str
    why: str


class Contribution(_Word, frozen=True, kw_only=True):
    """One line of a cause's score, in nats; the list sums to the score."""

    node: str
    what: str
    nats: float


class Cause(_Word, frozen=True, kw_only=True):
    """One candidate cause, ranked."""

    node: str
    type: str
    """One of CAUSES."""
    posterior: float
    score: float = 0.0
    change: str | None = None
    """Id of the `ChangeRecorded` held responsible."""
    path: list[str] = []
    """Nodes from the cause to what alerted."""
    contributions: list[Contribution] = []


class RunbookCitation(_Word, frozen=True, kw_only=True):
    """`file#heading@revision` with what the reader needs to judge it."""

    file: str
    heading: str
    revision: str
    text: str
    relevance: float
    last_verified: str | None = None
    stale: bool = False


class Reached(_Word, frozen=True, kw_only=True):
    """One downstream node of the blast radius."""

    node: str
    kind: str
    owner: str = ""
    tier: str = ""
    distance: int = 1


class Hypothesis(_Word, frozen=True, kw_only=True):
    """What the investigation says: only claims that passed the gate are in `claims`."""

    written_by: str
    """`rules` or `model:<name>`."""
    headline: str
    claims: list[Claim]
    causes: list[Cause]
    confidence: float
    abstained: bool = False
    missing: str = ""
    """When abstaining: what a person would have to look at."""
    gaps: list[Gap] = []
    evidence: list[Evidence] = []
    dropped: list[DroppedClaim] = []
    runbook: RunbookCitation | None = None
    blast: list[Reached] = []
    blast_more: int = 0
    action: str = "ticket"
    """An id of ACTIONS; parameters come from code, never from here."""
    alternatives: list[str] = []
    evidence_digest: str = ""
    calibration: str = ""
    """Version of the calibration behind `confidence`."""

    @property
    def cause(self) -> Cause | None:
        return self.causes[0] if self.causes else None
