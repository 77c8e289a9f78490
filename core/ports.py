"""Ports: what the rooms need of one another and of the outside, as Protocols. Only `bot/compose.py` joins them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from core.approval import Plan
from core.events import ChangeRecorded, WindowClosed
from core.findings import Detection, Evidence, Hypothesis, RunbookCitation
from core.incidents import Incident

Handler = Callable[[Any], Awaitable[None]]
"""Takes one decoded event (or a list of them). Return = ack; raise Retry or Poison otherwise."""


class Bus(Protocol):
    """The event bus. `publish` returns when the server has the event; the id makes a repeat harmless."""

    async def publish(self, event: Any) -> None: ...

    async def publish_all(self, events: Sequence[Any]) -> None:
        """The same for many at once, in any order."""
        ...


class Incidents(Protocol):
    """The view of incidents, kept by compare-and-set."""

    async def get(self, incident_id: str) -> Incident | None: ...

    async def of_group(self, group: str) -> Incident | None:
        """The incident of this alert group that is not over, if any."""
        ...

    async def all(self, *, over: bool | None = None, limit: int = 200) -> list[Incident]:
        """Newest first."""
        ...

    async def save(self, incident: Incident) -> None:
        """Store revision n+1 where n is stored now (n=0: none), as not yet published. Raises Conflict otherwise."""
        ...

    async def published(self, incident: Incident) -> None:
        """Note that this revision is in the audit log."""
        ...

    async def unpublished(self) -> list[Incident]:
        """Revisions saved but perhaps not in the audit log (a crash came between)."""
        ...


class Baseline(Struct, frozen=True, kw_only=True):
    """A model version's reference as others need it: per signal a Summary and a Histogram (in WindowClosed's bins)."""

    id: str
    tenant: str
    model: str
    version: str
    rows: int
    source: str
    signals: dict[str, Any]
    """signal -> core.events.SignalWindow"""
    importance: dict[str, float] = {}


class Telemetry(Protocol):
    """Closed windows and baselines, hot."""

    async def add_window(self, window: WindowClosed) -> None: ...

    async def windows(
        self,
        tenant: str,
        model: str,
        *,
        since: float = 0.0,
        until: float = float("inf"),
        version: str | None = None,
        limit: int = 2_000,
    ) -> list[WindowClosed]:
        """Oldest first, by end time."""
        ...

    async def models(self) -> list[tuple[str, str]]:
        """(tenant, model) of everything watched."""
        ...

    async def put_baseline(self, baseline: Baseline) -> None: ...

    async def baseline(self, tenant: str, model: str) -> Baseline | None: ...


class Changes(Protocol):
    """The change log."""

    async def add_change(self, tenant: str, change: ChangeRecorded) -> None: ...

    async def changes(self, tenant: str, *, since: float, until: float) -> list[ChangeRecorded]:
        """Oldest first, by event time."""
        ...


class LineageStore(Protocol):
    """Where a tenant's lineage graph is kept, as the knowledge room encodes it."""

    async def put_lineage(self, tenant: str, encoded: bytes) -> None: ...

    async def lineage(self, tenant: str) -> bytes | None: ...


class Passage(Struct, frozen=True, kw_only=True):
    """One retrieved runbook section."""

    citation: RunbookCitation
    score: float
    title: str = ""
    causes: list[str] = []
    actions: list[str] = []
    owner: str = ""


class Nonces(Protocol):
    """Server-side rows behind the opaque values of buttons and modals."""

    async def issue(self, row: dict[str, Any], *, ttl: float) -> str:
        """A fresh random nonce (at least 128 bits) for `row`, gone after `ttl` seconds."""
        ...

    async def look(self, nonce: str) -> dict[str, Any] | None:
        """The row, still valid; None when unknown or expired."""
        ...

    async def spend(self, nonce: str) -> dict[str, Any] | None:
        """The row, exactly once: None for every later or concurrent caller."""
        ...


class Cards(Protocol):
    """The notification log: which message shows which incident, and what it shows."""

    async def card(self, incident_id: str) -> dict[str, Any] | None:
        """{"channel", "ts", "hash", "revision", ...}"""
        ...

    async def put_card(self, incident_id: str, row: dict[str, Any]) -> None: ...

    async def once(self, key: str, ttl: float) -> bool:
        """True for the first caller with this key within `ttl` seconds (event_id deduplication, reminders)."""
        ...


class Silence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's wish to hear nothing of this for a while."""

    id: str
    tenant: str
    model: str = "*"
    signal: str = "*"
    """Glob over signal names."""
    until: float
    """Wall clock, epoch seconds."""
    by: str
    reason: str


class Silences(Protocol):
    async def put_silence(self, silence: Silence) -> None: ...

    async def silences(self, now: float) -> list[Silence]: ...

    async def end_silence(self, silence_id: str) -> None: ...


class Rebaseline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person approved as usual from now on: a version's own next rows, or a baseline they brought."""

    id: str
    tenant: str
    model: str
    version: str
    at: float
    """Wall clock, epoch seconds."""
    by: str
    reason: str
    file: str = ""
    """Name of the file the baseline came from; empty: it is learnt from the version's next rows."""


class Rebaselines(Protocol):
    """The latest approval for each version of each model."""

    async def put_rebaseline(self, approved: Rebaseline, baseline: bytes = b"") -> None: ...

    async def rebaselines(self) -> list[Rebaseline]:
        """Oldest first."""
        ...

    async def brought(self, approved: Rebaseline) -> bytes:
        """The baseline that came with it; empty when none did."""
        ...


class Snapshots(Protocol):
    """State in named pieces, kept by one writer at a time: whoever claimed it last."""

    async def claim(self, name: str) -> int:
        """From now on this caller writes `name`; the epoch that its `store` must show."""
        ...

    async def load(self, name: str) -> dict[str, bytes]:
        """All pieces; empty when nothing was ever stored."""
        ...

    async def piece(self, name: str, piece: str) -> bytes | None:
        """One of them."""
        ...

    async def store(self, name: str, epoch: int, pieces: Mapping[str, bytes]) -> None:
        """Replace these pieces, all of them or none. Raises Conflict when somebody claimed `name` after this epoch."""
        ...


class Flags(Protocol):
    """Small shared facts: the chat kill switch (`frozen`), Middlewatch's own health counters."""

    async def get_flag(self, name: str) -> bytes | None: ...

    async def set_flag(self, name: str, value: bytes | None, *, ttl: float | None = None) -> None: ...

    async def count(self, name: str, by: int = 1) -> int: ...


class Runbooks(Protocol):
    """Search over runbooks; an empty list means that nothing fits."""

    async def search(
        self, words: str, *, expression: str = "", question: str = "", top: int = 5, asked: bool = False
    ) -> list[Passage]:
        """`asked`: a person asks in their own words, so weaker fits are shown than a card would cite."""
        ...

    async def overdue(self) -> list[dict[str, str]]:
        """Runbooks whose review is overdue, the longest first: {"file", "last_verified", "owner"}."""
        ...


class LineageView(Protocol):
    """Read side of one tenant's lineage. Nodes are names; facts are plain dicts ready to be cited."""

    def node(self, name: str) -> dict[str, Any] | None: ...

    def upstream(self, name: str, depth: int = 20) -> list[dict[str, Any]]: ...

    def downstream(self, name: str, depth: int = 20) -> list[dict[str, Any]]: ...

    def paths(self, start: str, end: str) -> list[list[str]]: ...

    def edges(self) -> list[dict[str, Any]]: ...


class History(Protocol):
    """Past incidents, searchable."""

    async def similar(self, incident: Incident, top: int = 3) -> list[dict[str, Any]]: ...


class LanguageModel(Protocol):
    """Any chat model behind an OpenAI-compatible address. Fills typed answers; holds no write tool."""

    name: str

    async def fill(self, system: str, user: str, schema: type[Any], *, timeout: float) -> Any:
        """An instance of `schema` (a msgspec Struct). Raises Unavailable on time-out, refusal or malformed output."""
        ...

    async def choose(
        self, system: str, user: str, tools: Mapping[str, tuple[str, type[Any]]], *, timeout: float
    ) -> tuple[str, Any]:
        """The tool called for a question: a name of `tools` and an instance of its parameters. Raises Unavailable."""
        ...


class Investigator(Protocol):
    """From an incident to a hypothesis."""

    async def investigate(self, incident: Incident, now: float) -> Hypothesis: ...


class Planner(Protocol):
    """From a hypothesis to an exact plan, or None. Parameters come from facts, never from text."""

    async def plan(self, incident: Incident, hypothesis: Hypothesis, now: float) -> Plan | None: ...


class Deployer(Protocol):
    """Changes what serves. `key` makes a repeat harmless: the same key acts at most once."""

    async def current(self, tenant: str, model: str) -> dict[str, Any]:
        """{"version", "previous", "versions": {v: {"healthy": bool}}, "in_flight": bool}. Raises Unavailable."""
        ...

    async def act(self, verb: str, tenant: str, model: str, parameters: dict[str, str], key: str) -> dict[str, Any]:
        """Run `rollback`, `deploy`, `fallback`, `refresh`, `retrain`. Raises Unavailable or Refused."""
        ...


class Ticketing(Protocol):
    """Opens (once per key) and reads tickets."""

    async def open_ticket(self, key: str, title: str, body: str) -> str:
        """The ticket's id or URL."""
        ...


class Receiver(Protocol):
    """An outside system that shows incidents; `sync` makes it so and is idempotent."""

    async def sync(self, incident: Incident) -> None: ...


class Charts(Protocol):
    """Draws pictures. Returns PNG bytes and alt text."""

    def detection(self, detection: Detection, windows: Sequence[WindowClosed]) -> tuple[bytes, str]: ...


Snapshot = Evidence
"""Evidence is its own snapshot: frozen and content-hashed."""
