"""How past incidents ended, searchable: "seen before on 12 Sep: unit_change, rollback confirmed in 14 min".

The index is a view of the incident log: add every resolved incident (again, if need be) and it is rebuilt. Likeness
is by what is structured first (the same model, signal, kind, cause, feature) and by words second, so it needs no
embedding model.
"""

import threading
from datetime import UTC, datetime
from typing import Any

from core.incidents import Incident
from knowledge.lexical import Bm25
from knowledge.words import clean, words

MAX_INCIDENTS = 20_000
LIKE = {"cause": 3.0, "signals": 2.0, "model": 1.5, "kind": 1.0, "features": 2.0}
LEAST = 2.0
"""Likeness under which an incident is not worth a line."""


class History:
    """Past incidents of all tenants; a search never crosses tenants. Thread-safe."""

    def __init__(self) -> None:
        self._facts: dict[str, dict[str, Any]] = {}
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._text = Bm25()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, incident: Incident) -> None:
        """Remembers an incident that is over; a later revision (feedback) takes the earlier one's place. Others are
        ignored.
        """
        if not incident.over:
            return
        facts = remembered(incident)
        with self._lock:
            self._drop(incident.id)
            if len(self._facts) >= MAX_INCIDENTS:
                self._drop(min(self._facts, key=lambda name: self._facts[name]["at"]))
            slot = self._free.pop() if self._free else len(self._slots)
            self._slots[incident.id], self._facts[incident.id] = slot, facts
            self._text.add(slot, words(_prose(facts)))

    async def similar(self, incident: Incident, top: int = 3) -> list[dict[str, Any]]:
        """Past incidents like this one, most alike first: facts, `likeness`, and `line`, a sentence for the card."""
        about = remembered(incident)
        found = self._search(about, _prose(about), about["tenant"], LEAST)
        return [facts for facts in found if facts["incident"] != incident.id][:top]

    def search(self, text: str, tenant: str = "", top: int = 10) -> list[dict[str, Any]]:
        """Past incidents by words alone, best first; an empty tenant means all of them (for an administrator)."""
        return self._search({}, clean(text, 2_000), tenant, 0.0)[:top]

    def _search(self, about: dict[str, Any], text: str, tenant: str, least: float) -> list[dict[str, Any]]:
        terms = dict.fromkeys(words(text), 1.0)
        with self._lock:
            scores = self._text.scores(terms)
            most = max(float(scores.max(initial=0.0)), 1e-9)
            found = []
            for name, facts in self._facts.items():
                by_words = float(scores[self._slots[name]])
                likeness = _likeness(about, facts) + 2.0 * by_words / most
                if (not tenant or facts["tenant"] == tenant) and likeness >= least and (about or by_words > 0):
                    found.append({**facts, "likeness": round(likeness, 3)})
        return sorted(found, key=lambda facts: (-facts["likeness"], -facts["at"], facts["incident"]))

    def _drop(self, name: str) -> None:
        if name in self._facts:
            slot = self._slots.pop(name)
            self._text.remove(slot)
            self._free.append(slot)
            del self._facts[name]


def remembered(incident: Incident) -> dict[str, Any]:
    """What is worth remembering of an incident, as plain facts that can be cited."""
    hypothesis, outcome, plan, execution = incident.hypothesis, incident.outcome, incident.plan, incident.execution
    signals = sorted({detection.signal for alert in incident.alerts for detection in alert.detections})
    said = incident.feedback[-1] if incident.feedback else None
    ran = bool(execution and execution.finished)
    ranked = hypothesis.cause if hypothesis else None
    facts = {
        "id": incident.id, "incident": incident.id, "tenant": incident.tenant, "model": incident.model,
        "version": incident.version,
        "at": incident.opened, "kind": incident.kind, "severity": incident.severity, "signals": signals,
        "features": sorted({signal.split(":", 1)[1] for signal in signals if signal.startswith(_OF_A_FEATURE)}),
        "cause": said.true_cause if said and said.true_cause else ranked.type if ranked else "",
        "node": ranked.node if ranked else "",
        "headline": hypothesis.headline if hypothesis else "", "action": plan.action if plan and ran else "",
        "verdict": outcome.verdict if outcome else "", "outcome": outcome.text if outcome else "",
        "minutes": round((incident.changed_at - incident.opened_at) / 60, 1), "feedback": said.verdict if said else "",
    }  # fmt: skip
    return {**facts, "line": sentence(facts)}


def sentence(facts: dict[str, Any]) -> str:
    """One line for the card, with what came of it."""
    day = datetime.fromtimestamp(facts["at"], UTC).strftime("%-d %b %Y")
    cause = facts["cause"].replace("_", " ") or "no cause named"
    action = facts["action"].replace("_", " ") or "no action"
    ended = facts["verdict"].replace("_", " ") or "no outcome recorded"
    return f"Seen before on {day} ({facts['incident']}): {cause}; {action}, {ended} after {facts['minutes']:.0f} min"


_OF_A_FEATURE = ("feature:", "nulls:", "unseen:", "range:", "type:", "staleness:")


def _likeness(about: dict[str, Any], facts: dict[str, Any]) -> float:
    total = 0.0
    for key, weight in LIKE.items():
        one, other = about.get(key), facts[key]
        if isinstance(other, list):
            shared = set(one or ()) & set(other)
            total += weight * len(shared) / max(len(set(one or ()) | set(other)), 1)
        elif one and one == other and one != "unknown":
            total += weight
    return total


def _prose(facts: dict[str, Any]) -> str:
    parts = [
        facts["model"],
        facts["kind"],
        *facts["signals"],
        facts["cause"],
        facts["node"],
        facts["headline"],
        facts["action"],
        facts["outcome"],
    ]
    return clean(" ".join(parts), 4_000)
