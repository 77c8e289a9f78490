"""Numbers of a sentence, recomputed from the evidence they cite.

A number's `path` is a small expression over `Evidence.result`: a dotted path (`signals.3.current.p50`; list indexes are
numbers), a path into another cited evidence (`E3:changes.0.at`), or a function of such (see FUNCTIONS). Nothing else is
understood: no attributes, no operators, no names from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agents import units
from core.findings import Evidence
from core.statistics import corrected_psi, psi, shares


class NotFound(Exception):
    """The expression does not lead to a number in the evidence; the message says where it ends."""


def lookup(result: Any, path: str) -> Any:
    """What stands at a dotted path. Raises NotFound.

    >>> lookup({"a": [{"b": 2.5}]}, "a.0.b")
    2.5
    """
    here = result
    for step in path.split("."):
        if isinstance(here, list) and step.isdigit() and int(step) < len(here):
            here = here[int(step)]
        elif isinstance(here, Mapping) and step in here:
            here = here[step]
        else:
            raise NotFound(f"nothing at {path!r} (no {step!r})")
    return here


def names_along(result: Any, path: str) -> list[str]:
    """What the things on a dotted path are called (their `label`, else their `name`): whose number it is."""
    here, found = result, []
    for step in path.split("."):
        here = here[int(step)] if isinstance(here, list) else here[step]
        if isinstance(here, Mapping) and isinstance(here.get("name"), str):
            found.append(here.get("label") or here["name"])
    return found


def _minutes(start: float, end: float) -> float:
    return (end - start) / 60


def _share(counts: Sequence[float], *places: float) -> float:
    return 100 * sum(counts[int(p)] for p in places) / max(sum(counts), 1e-12)


def _each(rows: Sequence[Any], field: str) -> list[float]:
    values = [row[field] for row in rows if isinstance(row.get(field), int | float)]
    if not values:
        raise NotFound(f"no row has a number {field!r}")
    return values


def _except(rows: Sequence[Any], *names: str) -> list[Any]:
    return [row for row in rows if row["name"] not in names]


def _only(rows: Sequence[Any], field: str, *wanted: Any) -> list[Any]:
    return [row for row in rows if row.get(field) in wanted]


def _largest_shift(reference: Sequence[float], current: Sequence[float]) -> float:
    return 100 * max(abs(a - b) for a, b in zip(shares(reference, 0), shares(current, 0), strict=True))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "psi": psi,
    "corrected_psi": corrected_psi,
    "share": _share,  # per cent of the counts in these bins
    "largest_shift": _largest_shift,  # per cent of rows in the bin that moved most
    "unit_gap": units.mean_gap,  # mean distance of the quantiles from the converted healthy ones
    "unit_error": units.error_of,
    "minutes": _minutes,  # from the first time to the second; negative when it lies before
    "hours": lambda a, b: (b - a) / 3600,
    "days": lambda a, b: (b - a) / 86_400,
    "diff": lambda a, b: b - a,
    "ratio": lambda a, b: b / a,
    "percent": lambda a: 100 * a,
    "points": lambda a, b: 100 * (b - a),  # difference of two shares, in percentage points
    "count": len,
    "max": lambda rows, field: max(_each(rows, field)),
    "min": lambda rows, field: min(_each(rows, field)),
    "sum": lambda rows, field: sum(_each(rows, field)),
    "list": lambda *values: list(values),
    "with": lambda rows, field: [r for r in rows if isinstance(r.get(field), int | float)],
    "except": _except,
    "only": _only,
    "above": lambda rows, field, limit: [r for r in rows if isinstance(r.get(field), int | float) and r[field] > limit],
    "clock": lambda at: datetime.fromtimestamp(at, UTC).strftime("%H:%MZ"),
    "day": lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d"),
}
DURATIONS = ("minutes", "hours", "days")
SIGNED = ("diff", "points")

_TOKEN = re.compile(r"\s*(?:(?P<text>'[^']*')|(?P<name>[^\s(),']+)|(?P<mark>[(),]))")


class Expression:
    """One parsed expression: `value(evidence)`, the functions used, the paths read."""

    def __init__(self, text: str, default: str):
        if len(text) > 600:
            raise NotFound("the expression is too long")
        self.text, self.default = text, default
        self.functions: list[str] = []
        self.paths: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._tokens = list(_TOKEN.finditer(text))
        if "".join(m[0] for m in self._tokens).strip() != text.strip():
            raise NotFound(f"cannot read {text[:80]!r}")
        self._at = 0
        self._tree = self._parse(0)
        if self._at != len(self._tokens):
            raise NotFound(f"cannot read {text[:80]!r}")

    def _parse(self, depth: int) -> Any:
        if self._at >= len(self._tokens) or depth > 6:
            raise NotFound(f"cannot read {self.text[:80]!r}")
        token = self._tokens[self._at]
        self._at += 1
        if token["text"] is not None:
            self.texts.append(token["text"][1:-1])
            return ("text", token["text"][1:-1])
        if token["name"] is None:
            raise NotFound(f"cannot read {self.text[:80]!r}")
        word = token["name"]
        if self._mark() != "(":
            if re.fullmatch(r"-?\d+(\.\d+)?", word):
                return ("text", float(word))
            head, sep, rest = word.partition(":")
            evidence, path = (head, rest) if sep and re.fullmatch(r"E\d+", head) else (self.default, word)
            self.paths.append((evidence, path))
            return ("path", evidence, path)
        if word not in FUNCTIONS:
            raise NotFound(f"no function {word[:40]!r}")
        self.functions.append(word)
        self._at += 1
        parts = [self._parse(depth + 1)]
        while self._mark() == ",":
            self._at += 1
            parts.append(self._parse(depth + 1))
        if self._mark() != ")":
            raise NotFound(f"cannot read {self.text[:80]!r}")
        self._at += 1
        return ("call", word, parts)

    def _mark(self) -> str | None:
        return self._tokens[self._at]["mark"] if self._at < len(self._tokens) else None

    def value(self, evidence: Mapping[str, Evidence]) -> Any:
        """A number, or a text for `clock` and `day`. Raises NotFound."""
        try:
            found = self._value(self._tree, evidence)
        except (TypeError, ValueError, KeyError, IndexError, ZeroDivisionError, OverflowError, AttributeError) as error:
            raise NotFound(f"{self.text[:80]!r} cannot be computed: {error}") from None
        if isinstance(found, bool) or not isinstance(found, int | float | str):
            raise NotFound(f"{self.text[:80]!r} is not a number")
        return found

    def _value(self, tree: Any, evidence: Mapping[str, Evidence]) -> Any:
        match tree:
            case ("text", value):
                return value
            case ("path", source, path):
                if source not in evidence:
                    raise NotFound(f"there is no evidence {source}")
                return lookup(evidence[source].result, path)
            case (_, function, parts):
                return FUNCTIONS[function](*(self._value(part, evidence) for part in parts))


def decimals_of(shown: str) -> int:
    """How many decimals a number is written with.

    >>> decimals_of("1,200"), decimals_of("0.31")
    (0, 2)
    """
    return len(shown.partition(".")[2])


def agrees(shown: str, value: float | str, *, signed: bool = True) -> bool:
    """Whether a number as written is the value rounded to as many decimals as are written.

    >>> agrees("0.31", 0.3149), agrees("0.31", 0.316), agrees("1,200", 1200)
    (True, False, True)
    """
    if isinstance(value, str):
        return shown == value
    bare = shown.replace(",", "").replace("−", "-")
    if not re.fullmatch(r"[+-]?\d+(\.\d+)?", bare):
        return False
    exact = value if signed else abs(value)
    return float(bare) == round(float(exact), decimals_of(bare))
