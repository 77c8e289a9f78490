"""The incident: what people work on. One table of transitions, each with exactly one writer, each entry chained.

An incident is a value; `advance` and `mark` return the next one. `core.incident_log` makes it durable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from core.approval import Approval, Plan
from core.errors import AuditError, TransitionError
from core.events import AlertFired, Severity, _Ours
from core.findings import Hypothesis

State = Literal["opened", "diagnosed", "approved", "executing", "verifying", "resolved", "dismissed", "failed"]
Writer = Literal["investigate", "converse", "act"]

TRANSITIONS: Mapping[tuple[State, State], Writer] = {
    ("opened", "diagnosed"): "investigate",
    ("opened", "resolved"): "investigate",  # the alert resolved by itself
    ("opened", "dismissed"): "converse",
    ("diagnosed", "resolved"): "investigate",
    ("diagnosed", "dismissed"): "converse",
    ("diagnosed", "approved"): "converse",
    ("approved", "executing"): "act",
    ("approved", "diagnosed"): "act",  # a precondition no longer holds: back to the people, with the reason
    ("executing", "verifying"): "act",
    ("executing", "failed"): "act",
    ("verifying", "resolved"): "act",
    ("verifying", "failed"): "act",
    ("failed", "approved"): "converse",  # the undo
    ("failed", "dismissed"): "converse",
}
"""The whole machine. Marks (acknowledge, another alert, one approval of two) keep the state; anyone may write them."""

TERMINAL: frozenset[State] = frozenset({"resolved", "dismissed"})


class TimelineEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the incident's history. `at` is wall clock (people and machines act then), epoch seconds."""

    at: float
    actor: str
    what: str
    reason: str = ""


class Execution(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run of an approved plan."""

    plan: str
    """Digest of the plan that ran."""
    started: float
    finished: float | None = None
    event_time: float | None = None
    """Event time from which recovery is judged."""
    result: str = ""
    error: str = ""


class Outcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of it, judged by the success test written down at approval."""

    verdict: Literal["confirmed", "not_recovered", "recovered_by_itself", "dismissed", "failed"]
    text: str
    rows: int = 0
    before: float | None = None
    after: float | None = None
    statistic: float | None = None
    threshold: float | None = None


class Feedback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's verdict on the hypothesis."""

    by: str
    at: float
    verdict: Literal["right", "partly", "wrong"]
    true_cause: str = ""


class Incident(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trouble, from the first alert to its outcome. Immutable: changes make a new revision."""

    id: str
    tenant: str
    model: str
    version: str
    group: str
    kind: str
    severity: Severity
    state: State
    revision: int
    onset: float
    """Event time the change began (estimate)."""
    opened: float
    """Event time of the first alert."""
    opened_at: float
    """Wall clock of opening."""
    changed_at: float
    alerts: list[AlertFired]
    models: list[str] = []
    hypothesis: Hypothesis | None = None
    plan: Plan | None = None
    approvals: list[Approval] = []
    execution: Execution | None = None
    outcome: Outcome | None = None
    acknowledged_by: str | None = None
    steering: list[str] = []
    feedback: list[Feedback] = []
    timeline: list[TimelineEntry] = []
    previous: str = ""
    """Hash of the previous revision's entry; empty for the first."""
    hash: str = ""

    @property
    def over(self) -> bool:
        return self.state in TERMINAL


class IncidentChanged(_Ours, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the audit log: the whole incident after the change; `incident.<state>.<tenant>`."""

    incident: Incident


def entry_hash(incident: Incident) -> str:
    """SHA-256 over the incident's canonical JSON without `hash` (it includes `previous`, which makes the chain)."""
    bare = msgspec.structs.replace(incident, hash="")
    return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()


def sealed(incident: Incident) -> Incident:
    """`incident` with its own hash filled in."""
    return msgspec.structs.replace(incident, hash=entry_hash(incident))


def opened(alert: AlertFired, incident_id: str, now: float) -> Incident:
    """The first revision of the incident that `alert` opens. `now` is wall clock."""
    first = TimelineEntry(at=now, actor="investigate", what=f"opened by alert {alert.id}")
    return sealed(
        Incident(
            id=incident_id, tenant=alert.tenant, model=alert.model, version=alert.version, group=alert.group,
            kind=alert.kind, severity=alert.severity, state="opened", revision=1, onset=alert.onset, opened=alert.at,
            opened_at=now, changed_at=now, alerts=[alert], models=alert.models or [alert.model], timeline=[first],
        )
    )  # fmt: skip


def _next(incident: Incident, now: float, actor: str, what: str, reason: str, **fields: Any) -> Incident:
    entry = TimelineEntry(at=now, actor=actor, what=what, reason=reason)
    return sealed(
        msgspec.structs.replace(
            incident, **fields, revision=incident.revision + 1, changed_at=now, previous=incident.hash, hash="",
            timeline=[*incident.timeline, entry],
        )
    )  # fmt: skip


def advance(
    incident: Incident,
    state: State,
    *,
    writer: Writer,
    now: float,
    actor: str,
    what: str,
    reason: str = "",
    **fields: Any,
) -> Incident:
    """The incident in `state`. Raises TransitionError when the table does not allow it to this writer."""
    allowed = TRANSITIONS.get((incident.state, state))
    if allowed is None:
        raise TransitionError(f"incident {incident.id} is {incident.state}: it cannot become {state}")
    if allowed != writer:
        raise TransitionError(f"{incident.state} -> {state} is written by {allowed}, not by {writer}")
    return _next(incident, now, actor, what, reason, state=state, **fields)


def mark(incident: Incident, *, now: float, actor: str, what: str, reason: str = "", **fields: Any) -> Incident:
    """A change that keeps the state. Raises TransitionError on an incident that is over (feedback excepted)."""
    if incident.over and set(fields) - {"feedback"}:
        raise TransitionError(f"incident {incident.id} is {incident.state}: nothing more can change")
    if "state" in fields:
        raise TransitionError("a mark never changes the state; use advance")
    return _next(incident, now, actor, what, reason, **fields)


def verify_chain(entries: list[bytes]) -> int:
    """Check exported audit entries (JSON `IncidentChanged`, one each, in stream order); the number checked.

    Every byte of an entry counts: it must be the canonical encoding of what it says, its hash must match, and it must
    name the hash of the same incident's previous entry. Raises AuditError naming the entry.
    """
    last: dict[str, Incident] = {}
    decoder = msgspec.json.Decoder(IncidentChanged)
    for number, raw in enumerate(entries, 1):
        try:
            event = decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AuditError(f"entry {number} cannot be read: {error}") from None
        incident = event.incident
        if msgspec.json.encode(event, order="sorted") != raw:
            raise AuditError(f"entry {number} ({incident.id}) is not in canonical form: it was altered")
        _check_link(number, event, last.get(incident.id))
        last[incident.id] = incident
    return len(entries)


def _check_link(number: int, event: IncidentChanged, before: Incident | None) -> None:
    incident = event.incident
    where = f"entry {number} ({incident.id} revision {incident.revision})"
    if incident.hash != entry_hash(incident):
        raise AuditError(f"{where}: the content does not match its hash: it was altered")
    if event.id != f"{incident.id}.{incident.revision}" or event != changed(incident):
        raise AuditError(f"{where}: the envelope does not match the incident: it was altered")
    if before is None:
        if incident.revision != 1 or incident.previous:
            raise AuditError(f"{where}: the log does not hold this incident's first entry")
        return
    if before.hash == incident.hash:
        return  # the same entry written twice (a retry past the server's deduplication window): harmless
    if incident.revision != before.revision + 1 or incident.previous != before.hash:
        raise AuditError(f"{where}: does not follow revision {before.revision}: an entry is missing or altered")


def changed(incident: Incident) -> IncidentChanged:
    """The audit entry of this revision. A pure function of the incident, so that a retry writes the same bytes."""
    last = incident.timeline[-1]
    cause = incident.alerts[-1].id if incident.revision == 1 else f"{incident.id}.{incident.revision - 1}"
    return IncidentChanged(
        id=f"{incident.id}.{incident.revision}",
        cause=cause,
        actor=last.actor,
        at=incident.changed_at,
        incident=incident,
    )
