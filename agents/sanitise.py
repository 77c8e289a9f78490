"""Text from outside (telemetry, tickets, runbooks, people) made harmless before anyone reads it.

`clean` for people, `name` for identifiers, `template` and `fence` for a language model. Nothing here decides whether a
text is honest: untrusted text stays untrusted, it merely cannot hide anything or break out of its place.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories nobody can see: control, format (bidi, zero-width, tags), surrogates, private, unassigned."""
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
"""Letters by category, but drawn as nothing."""

_TEMPLATES = (
    (re.compile(r"(?i)\b[a-z][a-z0-9+.\-]{1,20}://\S+|\bwww\.\S+"), "<link>"),
    (re.compile(r"<[!@#][^>]{0,80}>?"), "<mention>"),
    (re.compile(r"(?i)@(?:here|channel|everyone)\b"), "<mention>"),
    (re.compile(r"[\w.+\-]+@[\w\-]+\.[\w.\-]+"), "<address>"),
    (re.compile(r"(?i)\b(?:xox[abeoprs]-|xapp-|sk-|ghp_|glpat-|AKIA)[\w\-]{8,}"), "<secret>"),
    (re.compile(r"\b[0-9a-fA-F]{24,}\b"), "<hash>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "<ip>"),
)


def clean(text: Any, limit: int = 300) -> str:
    """One line of visible text of at most `limit` characters; what was cut ends in an ellipsis.

    >>> clean("tem\\u200bp \\u202egnp.exe\\x00\\n  ok")
    'temp gnp.exe ok'
    """
    raw = str(text)[: max(limit * 8, 4_000)]
    if not (raw.isascii() and raw.isprintable()):
        raw = unicodedata.normalize("NFC", raw.encode("utf-8", "ignore").decode("utf-8"))
        kept = (" " if c in "\n\r\t\v\f\u2028\u2029" else c for c in raw)
        raw = "".join(c for c in kept if c == " " or (unicodedata.category(c) not in _HIDDEN and c not in _BLANKS))
    line = " ".join(raw.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def name(text: Any, limit: int = 96) -> str:
    """An identifier that can stand in a sentence: visible, one line, without mentions, links or mark-up characters.

    >>> name("amount`<!channel>*")
    'amount_!channel_'
    """
    return re.sub(r"[<>`*\[\]{}|]+", "_", clean(text, limit)) or "unnamed"


def template(text: Any, limit: int = 300) -> str:
    """`clean`, with links, mentions, addresses, secrets and hashes replaced by typed placeholders.

    >>> template("see https://evil.test/x?k=1 <!channel> now")
    'see <link> <mention> now'
    """
    line = clean(text, limit * 2)
    for pattern, placeholder in _TEMPLATES:
        line = pattern.sub(placeholder, line)
    return clean(line, limit)


def fence(text: Any, label: str, limit: int = 2_000) -> str:
    """Untrusted text between two marks that cannot occur in it, for the user part of a prompt.

    >>> fence("a >>> b", "note")
    '<<<note\\na > > > b\\n>>>'
    """
    inside = template(text, limit)
    while "<<<" in inside or ">>>" in inside:
        inside = inside.replace("<<<", "< < <").replace(">>>", "> > >")
    return f"<<<{label}\n{inside}\n>>>"


def plain(value: Any, depth: int = 6) -> Any:
    """JSON-like data with every text templated, every key made a name, depth and breadth bounded, floats finite.

    >>> plain({"a\\x00": [float("nan"), "x\\u202e"]})
    {'a': [None, 'x']}
    """
    match value:
        case None | bool() | int():
            return value if not isinstance(value, int) or abs(value) < 2**63 else float(value)
        case float():
            return value if value == value and abs(value) != float("inf") else None
        case dict() if depth:
            return {name(k): plain(v, depth - 1) for k, v in list(value.items())[:200]}
        case list() | tuple() | set() | frozenset() if depth:
            return [plain(v, depth - 1) for v in list(value)[:500]]
        case dict() | list() | tuple() | set() | frozenset():
            return None
    return template(value)
