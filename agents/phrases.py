"""Small parts of sentences that several rules share."""

from __future__ import annotations

from agents.draft import Draft
from agents.picture import Picture, Signal
from core.findings import Evidence


def drafted(p: Picture, *cites: Evidence | None) -> Draft:
    return Draft({e.id: e for e in p.evidence}, *(e.id for e in cites if e is not None))


def alert_id(p: Picture) -> str:
    return p.alert.id  # type: ignore[union-attr]


def named(signal: Signal, d: Draft) -> str:
    """The signal as people call it."""
    if signal.family in ("feature", "range"):
        return d.name(signal.label)
    if signal.family == "nulls":
        return f"missing values of {d.name(signal.label)}"
    if signal.family == "unseen":
        return f"unseen levels of {d.name(signal.label)}"
    if signal.family == "type":
        return f"the type of {d.name(signal.label)}"
    if signal.family == "staleness":
        return f"the age of {d.name(signal.label)}"
    if signal.family == "quality":
        return f"the quality ({d.name(signal.label)})"
    return f"the {d.name(signal.label)}"


def plural(word: str, number: str) -> str:
    return word if number == "1" else f"{word}s"


def listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
