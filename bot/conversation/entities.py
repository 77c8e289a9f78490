"""Finding what people name: models, signals, lengths of time. Exact first, then close, never a silent guess."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from bot.blocks import code
from bot.desk import Desk
from core.errors import Refused

_UNITS = r"(\d{1,4})\s*(m|min|minutes?|h|hours?|d|days?|w|weeks?)\b"
_SPAN = re.compile(rf"\b{_UNITS}", re.I)
_PHRASE = re.compile(rf"\b(?:(?:since|for|over|in|within|during)\s+)?(?:the\s+)?(?:(?:last|past)\s+)?{_UNITS}", re.I)
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Unclear(Refused):
    """Several things could be meant, or none: `options` are the closest."""

    def __init__(self, reason: str, options: list[str]):
        super().__init__(reason)
        self.options = options


def seconds(text: str) -> float | None:
    """The first length of time in `text`.

    >>> seconds("since 6h"), seconds("2 days"), seconds("soon")
    (21600.0, 172800.0, None)
    """
    found = _SPAN.search(text)
    return float(int(found[1]) * _SECONDS[found[2][0].lower()]) if found else None


def without_span(text: str) -> str:
    """`text` without its length of time and the words that introduce it."""
    return " ".join(_PHRASE.sub("", text).split())


def closest(wanted: str, names: Iterable[str], what: str) -> str:
    """The one of `names` that is meant. Raises Unclear with the closest others."""
    every = list(dict.fromkeys(names))
    folded = {_fold(n): n for n in every}
    if _fold(wanted) in folded:
        return folded[_fold(wanted)]
    parts = [n for n in every if _fold(wanted) in _fold(n)] if len(wanted) >= 2 else []
    if len(parts) == 1:
        return parts[0]
    near = parts or difflib.get_close_matches(wanted.lower(), [n.lower() for n in every], 3, 0.6)
    options = [n for n in every if n in near or n.lower() in near][:4]
    if len(options) == 1 and _fold(options[0])[:1] == _fold(wanted)[:1]:
        ratio = difflib.SequenceMatcher(None, wanted.lower(), options[0].lower()).ratio()
        if ratio >= 0.85:
            return options[0]
    if not wanted:
        raise Unclear(f"Which {what}?", every[:4])
    raise Unclear(f"I know no {what} called {code(wanted)}.", options or every[:3])


def _fold(text: str) -> str:
    return re.sub(r"[\s_\-]+", "", text.casefold())


def mentioned(text: str, names: Iterable[str]) -> str:
    """The longest of `names` that occurs as a whole in `text`, or ''."""
    folded = f" {re.sub(r'[^a-z0-9]+', ' ', text.casefold())} "
    hits = [n for n in names if f" {re.sub(r'[^a-z0-9]+', ' ', n.casefold()).strip()} " in folded]
    return max(hits, key=len, default="")


async def model(desk: Desk, wanted: str) -> tuple[str, str]:
    """(tenant, model); `tenant/model` or the model's name. Raises Unclear."""
    known = await desk.telemetry.models()
    if not known:
        raise Refused("No model has sent events yet. Publish one to inference.<tenant>.<model> and it appears here.")
    full = {f"{t}/{m}": (t, m) for t, m in known}
    if wanted in full:
        return full[wanted]
    name = closest(wanted, [m for _, m in known], "model")
    owners = [pair for pair in known if pair[1] == name]
    if len(owners) > 1:
        raise Unclear(f"{code(name)} is served for several tenants.", [f"{t}/{m}" for t, m in owners][:4])
    return owners[0]


async def signals(desk: Desk, tenant: str, name: str) -> list[str]:
    """Every signal seen of a model: in its baseline and its latest windows."""
    baseline = await desk.telemetry.baseline(tenant, name)
    found = dict.fromkeys(baseline.signals if baseline else ())
    for window in (await desk.telemetry.windows(tenant, name, limit=2_000))[-3:]:
        found |= dict.fromkeys(window.signals)
    return list(found)


def signal(wanted: str, known: list[str]) -> str:
    """The signal meant: `temp` is `feature:temp`. Raises Unclear."""
    if wanted in known:
        return wanted
    bare = {s.partition(":")[2] or s: s for s in reversed(known)}
    bare |= {s.partition(":")[2]: s for s in known if s.startswith("feature:")}
    return bare[closest(wanted, bare, "signal")]
