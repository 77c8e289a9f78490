"""The ports of one process, in memory: for tests of the Slack side alone. The real stores are tested in their room."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import msgspec

from core.approval import Plan
from core.errors import Conflict
from core.findings import Hypothesis, RunbookCitation
from core.incident_log import IncidentLog
from core.incidents import Incident, IncidentChanged
from core.ports import Baseline, Passage, Rebaseline, Silence
from tests.bot import examples as x


class Views:
    """Incidents, cards, nonces, silences, flags, telemetry and changes."""

    def __init__(self, now=lambda: x.NOW) -> None:
        self.now = now
        self.rows: dict[str, Incident] = {}
        self.entries: list[IncidentChanged] = []
        self.pending: dict[str, Incident] = {}
        self.cards_: dict[str, dict[str, Any]] = {}
        self.keys: set[str] = set()
        self.nonces_: dict[str, tuple[float, dict[str, Any]]] = {}
        self.silences_: list[Silence] = []
        self.rebaselines_: dict[tuple[str, str, str], Rebaseline] = {}
        self.flags_: dict[str, bytes] = {}
        self.counts: dict[str, int] = {}
        self.windows_ = x.windows()
        self.changes_ = x.changes()
        self.listeners: list[Any] = []

    # incidents and the bus

    async def get(self, incident_id: str) -> Incident | None:
        return self.rows.get(incident_id)

    async def of_group(self, group: str) -> Incident | None:
        return next((i for i in self.rows.values() if i.group == group and not i.over), None)

    async def all(self, *, over: bool | None = None, limit: int = 200) -> list[Incident]:
        kept = [i for i in self.rows.values() if over is None or i.over == over]
        return sorted(kept, key=lambda i: -i.opened_at)[:limit]

    async def save(self, incident: Incident) -> None:
        await asyncio.sleep(0)
        known = self.rows.get(incident.id)
        if (known.revision if known else 0) != incident.revision - 1:
            raise Conflict(incident.id)
        self.rows[incident.id] = self.pending[incident.id] = incident

    async def published(self, incident: Incident) -> None:
        self.pending.pop(incident.id, None)

    async def unpublished(self) -> list[Incident]:
        return list(self.pending.values())

    async def publish(self, event: IncidentChanged) -> None:
        self.entries.append(event)
        for listener in self.listeners:
            await listener(event)

    # cards, nonces, silences, flags

    async def card(self, incident_id: str) -> dict[str, Any] | None:
        row = self.cards_.get(incident_id)
        return dict(row) if row else None

    async def put_card(self, incident_id: str, row: dict[str, Any]) -> None:
        msgspec.json.encode(row)
        self.cards_[incident_id] = dict(row)

    async def once(self, key: str, ttl: float) -> bool:
        if key in self.keys:
            return False
        self.keys.add(key)
        return True

    async def issue(self, row: dict[str, Any], *, ttl: float) -> str:
        nonce = secrets.token_urlsafe(24)
        self.nonces_[nonce] = (self.now() + ttl, dict(row))
        return nonce

    async def look(self, nonce: str) -> dict[str, Any] | None:
        until, row = self.nonces_.get(nonce, (0.0, None))
        return dict(row) if row is not None and self.now() < until else None

    async def spend(self, nonce: str) -> dict[str, Any] | None:
        row = await self.look(nonce)
        self.nonces_.pop(nonce, None)
        return row

    async def put_silence(self, silence: Silence) -> None:
        self.silences_.append(silence)

    async def put_rebaseline(self, approved: Rebaseline, baseline: bytes = b"") -> None:
        assert not baseline, "chat brings no files"
        self.rebaselines_[approved.tenant, approved.model, approved.version] = approved

    async def rebaselines(self) -> list[Rebaseline]:
        return list(self.rebaselines_.values())

    async def silences(self, now: float) -> list[Silence]:
        return [s for s in self.silences_ if s.until > now]

    async def end_silence(self, silence_id: str) -> None:
        self.silences_ = [s for s in self.silences_ if s.id != silence_id]

    async def get_flag(self, name: str) -> bytes | None:
        return self.flags_.get(name)

    async def set_flag(self, name: str, value: bytes | None, *, ttl: float | None = None) -> None:
        if value is None:
            self.flags_.pop(name, None)
        else:
            self.flags_[name] = value

    async def count(self, name: str, by: int = 1) -> int:
        self.counts[name] = self.counts.get(name, 0) + by
        return self.counts[name]

    # telemetry and changes

    async def add_window(self, window) -> None:
        self.windows_.append(window)

    async def windows(self, tenant, model, *, since=0.0, until=float("inf"), version=None, limit=2_000):
        kept = [w for w in self.windows_ if (w.tenant, w.model) == (tenant, model) and since <= w.end <= until]
        return [w for w in kept if version in (None, w.version)][-limit:]

    async def models(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((w.tenant, w.model) for w in self.windows_))

    async def put_baseline(self, baseline: Baseline) -> None:
        raise AssertionError("the Slack side never writes baselines")

    async def baseline(self, tenant: str, model: str) -> Baseline | None:
        return None

    async def add_change(self, tenant: str, change) -> None:
        self.changes_.append(change)

    async def changes(self, tenant: str, *, since: float, until: float):
        return [c for c in self.changes_ if since <= c.at <= until] if tenant == "acme" else []

    # the story

    def log(self) -> IncidentLog:
        return IncidentLog(self, self)

    async def put(self, incident: Incident) -> Incident:
        """`incident` as if it had been written: for tests that start in the middle."""
        self.rows[incident.id] = incident
        return incident


class Shelf:
    """Runbooks: one that fits temperatures, nothing else."""

    async def overdue(self) -> list[dict[str, str]]:
        return [{"file": "unit-change.md", "last_verified": "2024-01-01", "owner": "@ml-oncall"}]

    async def search(
        self, words: str, *, expression: str = "", question: str = "", top: int = 5, asked: bool = False
    ) -> list[Passage]:
        if not any(w in words.lower() for w in ("temperature", "unit", "drift", "stale")):
            return []
        text = "Compare the means before and after.\nA factor of 5/9 and an offset of 32 is Fahrenheit to Celsius."
        citation = RunbookCitation(
            file="unit-change.md", heading="Diagnosis", revision="49191a5f00", text=text, relevance=0.7,
            last_verified="2024-01-01", stale=True,
        )  # fmt: skip
        return [Passage(citation=citation, score=0.7, title="A unit has changed", owner="@ml-platform")]


class Graph:
    """Lineage: weather -> weather_features -> flight-delay -> gate-planner."""

    chain = ("weather", "weather_features", "flight-delay", "gate-planner")
    kinds = ("dataset", "job", "model", "service")

    def _facts(self, at: int, distance: int):
        name, kind = self.chain[at], self.kinds[at]
        return {"id": name, "name": name, "kind": kind, "owner": "@ops", "last_state": "", "distance": abs(distance)}

    def node(self, name: str):
        return self._facts(self.chain.index(name), 0) if name in self.chain else None

    def upstream(self, name: str, depth: int = 20):
        middle = self.chain.index(name)
        return [self._facts(at, middle - at) for at in reversed(range(middle))]

    def downstream(self, name: str, depth: int = 20):
        middle = self.chain.index(name)
        return [self._facts(at, at - middle) for at in range(middle + 1, len(self.chain))]

    def paths(self, start: str, end: str):
        return []

    def edges(self):
        return [{"source": a, "target": b} for a, b in zip(self.chain, self.chain[1:], strict=False)]


class Plans:
    async def plan(self, incident: Incident, hypothesis: Hypothesis, now: float) -> Plan | None:
        return x.plan(created=now)
