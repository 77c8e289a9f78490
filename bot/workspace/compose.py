"""What a person types, as Slack stores it: escaped text with links and mentions, and its rich_text block."""

from __future__ import annotations

import re
from collections.abc import Callable

TOKEN = re.compile(r"(?P<code>`[^`\n]+`)|(?P<url>https?://[^\s<>|]+)|(?P<at>@[\w-]+)|(?P<hash>#[\w-]+)")
BROADCASTS = ("here", "channel", "everyone")


def escaped(text: str) -> str:
    """Slack's three escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def composed(text: str, who: Callable[[str], tuple[str, str] | None]) -> tuple[str, list[dict]]:
    """(text, blocks) of a typed message.

    `who` turns `@name`, `#name` into `("user" | "usergroup" | "channel", id)`, or None for plain words.
    """
    parts: list[str] = []
    elements: list[dict] = []
    at = 0
    for match in TOKEN.finditer(text):
        _plain(text[at : match.start()], parts, elements)
        mark, element = _token(match, who)
        parts.append(mark)
        elements.append(element)
        at = match.end()
    _plain(text[at:], parts, elements)
    section = {"type": "rich_text_section", "elements": elements}
    return "".join(parts), [{"type": "rich_text", "elements": [section]}]


def _plain(text: str, parts: list[str], elements: list[dict]) -> None:
    if text:
        parts.append(escaped(text))
        elements.append({"type": "text", "text": text})


def _token(match: re.Match, who: Callable[[str], tuple[str, str] | None]) -> tuple[str, dict]:
    word = match.group()
    if match["code"]:
        return escaped(word), {"type": "text", "text": word[1:-1], "style": {"code": True}}
    if match["url"]:
        return f"<{escaped(word)}>", {"type": "link", "url": word}
    name = word[1:].lower()
    if match["at"] and name in BROADCASTS:
        return f"<!{name}>", {"type": "broadcast", "range": name}
    found = who(word.lower())
    if found is None:
        return escaped(word), {"type": "text", "text": word}
    kind, ident = found
    if kind == "user":
        return f"<@{ident}>", {"type": "user", "user_id": ident}
    if kind == "usergroup":
        return f"<!subteam^{ident}|{escaped(word)}>", {"type": "usergroup", "usergroup_id": ident}
    return f"<#{ident}|{name}>", {"type": "channel", "channel_id": ident}
