"""The optional front matter of a runbook: a small, closed YAML schema, checked by hand so that every complaint has
a line.

Only this checked part may name actions, and policy decides afterwards whether they are allowed; prose never does.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from difflib import get_close_matches

import msgspec
import yaml

from core.findings import ACTIONS, CAUSES

SIGNALS = frozenset(
    [
        "feature",
        "nulls",
        "unseen",
        "range",
        "type",
        "score",
        "confidence",
        "latency",
        "error",
        "quality",
        "silence",
        "staleness",
        "duplicates",
        "late",
    ]
)
MEASURES = SIGNALS | frozenset(
    ["psi", "ks", "jensen_shannon", "chi_squared", "null_rate", "error_rate", "fallback_rate", "unseen_rate"]
)
MAX_CHARACTERS, MAX_BRACKETS = 20_000, 100
_DURATION = re.compile(r"^\s*(\d{1,6})\s*(s|m|h|d|w)\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FENCE = re.compile(r"^---[ \t]*$", re.MULTILINE)
_HANDLE = re.compile(r"^@?[\w.+-]{1,80}(@[\w.-]{1,120})?$")


class Complaint(msgspec.Struct, frozen=True, order=True):
    """One thing wrong in one place, with its remedy. `level` is `error` or `warning`."""

    file: str
    line: int
    level: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.level}: {self.what}. {self.remedy}"


class Known(msgspec.Struct, frozen=True):
    """The ids a runbook may name. `None` for detectors means they are not checked."""

    causes: frozenset[str] = frozenset(CAUSES)
    actions: frozenset[str] = frozenset(ACTIONS)
    signals: frozenset[str] = SIGNALS
    measures: frozenset[str] = MEASURES
    detectors: frozenset[str] | None = None


class Success(msgspec.Struct, frozen=True):
    """How one shall know that it helped: the signal, on which side of a number, within how long."""

    signal: str
    below: float | None = None
    above: float | None = None
    within: timedelta | None = None


class FrontMatter(msgspec.Struct, frozen=True):
    """What the author declared; everything is optional."""

    title: str = ""
    detectors: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    success: Success | None = None
    owner: str = ""
    last_verified: date | None = None
    review_every: timedelta | None = None

    def stale(self, today: date) -> bool:
        """Whether the review is overdue. Without a date and an interval nothing was promised, so nothing is
        overdue.
        """
        if self.last_verified is None or self.review_every is None:
            return False
        return self.last_verified + self.review_every < today


def split(text: str) -> tuple[str, str, int]:
    """(front matter, body, number of the body's first line minus one). No front matter gives an empty first part."""
    if not text.startswith("---") or not (first := _FENCE.match(text)):
        return "", text, 0
    last = _FENCE.search(text, first.end())
    if last is None:
        return text[first.end() :], "", text.count("\n")
    body = text[last.end() :].removeprefix("\n")
    return text[first.end() + 1 : last.start()], body, text[: len(text) - len(body)].count("\n")


def check(file: str, source: str, known: Known) -> tuple[FrontMatter, list[Complaint]]:
    """Reads front matter. With any error nothing of it is used: a half-understood runbook must not name an action."""
    reader = _Reader(file, known)
    if len(source) > MAX_CHARACTERS or source.count("[") + source.count("{") > MAX_BRACKETS:
        reader.error(1, "front matter is larger or deeper than the schema needs", "Use the documented keys only")
        return FrontMatter(), reader.complaints
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(source, yaml.SafeLoader)):
            reader.error(1, "front matter uses a YAML alias", "Write the value out where it is needed")
            return FrontMatter(), reader.complaints
        node = yaml.compose(source, yaml.SafeLoader)
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        problem = getattr(broken, "problem", None) or "not readable"
        reader.error(
            mark.line + 1 if mark else 0,
            f"front matter is not YAML: {problem}",
            "Quote the value, or fix the indentation",
        )
        return FrontMatter(), reader.complaints
    except RecursionError:
        reader.error(1, "front matter is nested too deeply", "Use the documented keys only")
        return FrontMatter(), reader.complaints
    values = reader.mapping(node, "front matter", reader.top) if node is not None else {}
    if any(complaint.level == "error" for complaint in reader.complaints):
        return FrontMatter(), reader.complaints
    return FrontMatter(**values), reader.complaints


class _Reader:
    """Walks the YAML nodes, turning each known key into its typed value and the rest into complaints."""

    def __init__(self, file: str, known: Known):
        self.file, self.known, self.complaints = file, known, []
        self.top = {
            "title": self._text, "triggers": self._triggers, "applies_to": self._applies,
            "causes": self._ids("cause", known.causes), "actions": self._ids("action", known.actions),
            "success": self._success, "owner": self._owner, "last_verified": self._date, "review_every": self._duration,
        }  # fmt: skip

    def error(self, line: int, what: str, remedy: str) -> None:
        self.complaints.append(Complaint(self.file, line + 1, "error", what, remedy))

    def mapping(self, node: yaml.Node, where: str, keys: dict[str, Callable]) -> dict:
        """The values of a mapping's known keys; a reader may return a dict of its own, which is merged."""
        if not isinstance(node, yaml.MappingNode):
            self.error(
                node.start_mark.line + 1,
                f"{where} is not a mapping",
                f"Write 'key: value' lines; keys: {', '.join(keys)}",
            )
            return {}
        out, seen = {}, set()
        for key_node, value in node.value:
            key, line = str(key_node.value)[:60], key_node.start_mark.line + 1
            if key in seen:
                self.error(line, f"key {key!r} appears twice in {where}", "Keep one of them")
            elif key not in keys:
                self.error(line, f"unknown key {key!r} in {where}", _suggest(key, keys))
            else:
                got = keys[key](value, key)
                out.update(got if isinstance(got, dict) else {key: got})
            seen.add(key)
        return out

    def _text(self, node: yaml.Node, key: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or len(node.value) > 200:
            self.error(
                node.start_mark.line + 1, f"{key} is not a short text", "Write one line of at most 200 characters"
            )
            return ""
        return node.value.strip()

    def _owner(self, node: yaml.Node, key: str) -> str:
        owner = self._text(node, key)
        if owner and not _HANDLE.match(owner):
            self.error(
                node.start_mark.line + 1,
                f"owner {owner[:60]!r} is not a handle",
                'Write one handle or address: "@team" or team@example.com',
            )
        return owner

    def _list(self, node: yaml.Node, key: str) -> tuple[str, ...]:
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if len(items) > 50 or not all(isinstance(item, yaml.ScalarNode) for item in items):
            self.error(node.start_mark.line + 1, f"{key} is not a short list of words", f"Write {key}: [one, two]")
            return ()
        return tuple(item.value.strip() for item in items if item.value.strip())

    def _ids(self, kind: str, allowed: frozenset[str] | None) -> Callable:
        def read(node: yaml.Node, key: str) -> tuple[str, ...]:
            values = self._list(node, key)
            for value in values:
                if allowed is not None and value not in allowed:
                    self.error(node.start_mark.line + 1, f"unknown {kind} {value[:60]!r}", _suggest(value, allowed))
            return values

        return read

    def _triggers(self, node: yaml.Node, key: str) -> dict:
        keys = {
            "detectors": self._ids("detector", self.known.detectors),
            "signals": self._ids("signal", self.known.signals),
        }
        return self.mapping(node, key, keys)

    def _applies(self, node: yaml.Node, key: str) -> dict:
        return self.mapping(node, key, {"models": self._list, "features": self._list})

    def _success(self, node: yaml.Node, key: str) -> dict:
        signal = self._ids("measure", self.known.measures)
        keys = {
            "signal": lambda n, k: next(iter(signal(n, k)), ""),
            "below": self._number,
            "above": self._number,
            "within": self._duration,
        }
        values = self.mapping(node, key, keys)
        if not values.get("signal") or (values.get("below") is None) == (values.get("above") is None):
            self.error(
                node.start_mark.line + 1,
                "success does not say when it holds",
                "Write success: {signal: psi, below: 0.1, within: 30m}",
            )
            return {}
        return {"success": Success(**values)}

    def _number(self, node: yaml.Node, key: str) -> float | None:
        try:
            value = float(node.value)
        except (TypeError, ValueError):
            value = float("nan")
        if value != value or abs(value) == float("inf"):
            self.error(node.start_mark.line + 1, f"{key} is not a number", f"Write {key}: 0.1")
            return None
        return value

    def _duration(self, node: yaml.Node, key: str) -> timedelta | None:
        found = _DURATION.match(node.value) if isinstance(node, yaml.ScalarNode) else None
        if not found:
            self.error(
                node.start_mark.line + 1,
                f"{key} is not a duration",
                f"Write a number and a unit, as in {key}: 90d (s, m, h, d, w)",
            )
            return None
        return timedelta(**{_UNITS[found[2]]: int(found[1])})

    def _date(self, node: yaml.Node, key: str) -> date | None:
        try:
            return date.fromisoformat(node.value)
        except (TypeError, ValueError):
            self.error(node.start_mark.line + 1, f"{key} is not a date", f"Write {key}: 2026-10-02")
            return None


def _suggest(word: str, allowed: frozenset[str] | dict) -> str:
    near = get_close_matches(word, list(allowed), n=1)
    options = ", ".join(sorted(allowed))
    return f"Did you mean {near[0]!r}? Known: {options}" if near else f"Known: {options}"
