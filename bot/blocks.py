"""Block Kit as small nouns, and the one door through which outside text enters a message.

Everything that comes from telemetry, tickets, runbooks or people passes `clean`, `escape` or `code` before it stands
in a block. Limits are those of docs.slack.dev/reference/block-kit; builders cut to them rather than fail.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

Block = dict[str, Any]

SECTION, FIELD, HEADER, CONTEXT, BUTTON, ALT = 3_000, 2_000, 150, 2_000, 75, 1_900
MESSAGE_BLOCKS, MESSAGE_CHARACTERS = 50, 13_000

_LINK = re.compile(r"(?:\b(?:https?|ftps?|file|slack|mailto|tel|javascript|data):|\bwww\.)\S+", re.I)
_CITATION = re.compile(r"\[([A-Z]\d{1,3})\]")
_MENTION = re.compile(r"@(?=(?:here|channel|everyone|everybody)\b)", re.I)
_MARKUP = re.compile(r"(?<![\w])([*_~])(?=\S)|(?<=\S)([*_~])(?![\w])")
_PLAINLY = {"*": "∗", "_": "ˍ", "~": "∼"}
_SECRETS = re.compile(
    r"xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}|\bAKIA[0-9A-Z]{12,}|\bgh[pousr]_\w{16,}|\bsk-[\w-]{16,}|\beyJ[\w-]{10,}\.[\w.-]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*|(?i:\bbearer\s+[\w.~+/-]{12,})"
    r"|(?i:\b(?:password|passwd|secret|token|api_?key)\s*[:=]\s*\S+)|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"
)


def clean(text: Any, most: int = 300) -> str:
    """`text` as one printable line of at most `most` characters: no control, bidirectional, zero-width, private or
    surrogate characters, no secrets of well-known shapes, no links, nothing that looks like a citation of ours.

    >>> clean("a\\u202eb\\nc https://evil.example/x xoxb-123456789012")
    'ab c [link removed] ***'
    """
    kept = (" " if c in "\n\r\t\x0b\x0c\u2028\u2029" else c for c in str(text)[: most * 4 + 400])
    line = "".join(c for c in kept if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    line = _LINK.sub("[link removed]", _SECRETS.sub("***", line))
    line = _CITATION.sub(r"(\1)", line)
    return cut(" ".join(line.split()), most)


def cut(text: str, most: int) -> str:
    """`text` in at most `most` characters, an ellipsis marking the cut."""
    return text if len(text) <= most else text[: max(most - 1, 0)].rstrip() + "…"


def escape(text: Any, most: int = 300) -> str:
    """Outside text for a mrkdwn object: cleaned, `& < >` escaped, mentions and formatting marks made harmless.

    >>> escape("<!channel> *boo* @here a & b")
    '&lt;!channel&gt; ∗boo∗ ＠here a &amp; b'
    """
    line = _MENTION.sub("＠", clean(text, most)).replace("`", "'")
    line = _MARKUP.sub(lambda m: _PLAINLY[m[0]], line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def name(text: Any, most: int = 80) -> str:
    """A name (model, feature, version) in plain text; letters that imitate Latin ones are spelt out.

    >>> name("fr\\u0430ud")
    'fr\\\\u0430ud'
    """
    line = _MENTION.sub("＠", clean(text, most)).replace("`", "'").replace("<", "‹").replace(">", "›")
    if re.search(r"[A-Za-z]", line):
        line = "".join(_spelt(c) for c in line)
    return cut(line, most) or "(no name)"


def _spelt(c: str) -> str:
    if c.isascii() or not c.isalpha():
        return c
    return f"\\u{ord(c):04x}" if unicodedata.name(c, "").split(" ")[0] in ("CYRILLIC", "GREEK", "FULLWIDTH") else c


def code(text: Any, most: int = 80) -> str:
    """A name as inline code in a mrkdwn object."""
    return "`" + name(text, most).replace("&", "&amp;") + "`"


def plain(text: str, most: int = HEADER) -> Block:
    """A plain_text object; an empty text becomes a dash, because Slack refuses empty ones."""
    return {"type": "plain_text", "text": cut(text, most) or "-", "emoji": False}


def mrkdwn(text: str, most: int = SECTION) -> Block:
    """A mrkdwn object that Slack does not search for links, channels or people (`verbatim`)."""
    return {"type": "mrkdwn", "text": whole(text, most) or "-", "verbatim": True}


def whole(text: str, most: int) -> str:
    """`text` cut to `most` characters without splitting an entity, a `<...>` or a pair of backticks."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    for opening, closing in (("<", ">"), ("&", ";")):
        at = head.rfind(opening)
        if at >= 0 and closing not in head[at:] and len(head) - at < 400:
            head = head[:at]
    if head.count("`") % 2:
        head = head[: head.rfind("`")]
    return head.rstrip() + "…"


def header(text: str) -> Block:
    return {"type": "header", "text": plain(text)}


def section(text: str, accessory: Block | None = None) -> Block:
    block: Block = {"type": "section", "text": mrkdwn(text)}
    return block | {"accessory": accessory} if accessory else block


def fields(texts: Sequence[str]) -> Block:
    """A section of two columns, at most ten fields."""
    return {"type": "section", "fields": [mrkdwn(t, FIELD) for t in texts[:10]]}


def context(*texts: str) -> Block:
    """Small print: at most ten elements; the last holds what would not fit."""
    return {"type": "context", "elements": [mrkdwn(t, CONTEXT) for t in texts[:10] if t]}


def picture(file_id: str, alt: str, title: str = "") -> Block:
    block: Block = {"type": "image", "slack_file": {"id": file_id}, "alt_text": cut(alt, ALT) or "chart"}
    return block | {"title": plain(title)} if title else block


def button(text: str, action: str, value: str, *, style: str = "", label: str = "", confirm: Block | None = None):
    """A button; `label` is what a screen reader says."""
    block: Block = {
        "type": "button", "action_id": action, "text": plain(text, BUTTON), "value": value,
        "accessibility_label": cut(label or text, BUTTON),
    }  # fmt: skip
    if style:
        block["style"] = style
    return block | {"confirm": confirm} if confirm else block


def confirm(title: str, text: str, yes: str, no: str = "Cancel", style: str = "primary") -> Block:
    return {
        "title": plain(title, 100), "text": plain(text, 300), "confirm": plain(yes, 30), "deny": plain(no, 30),
        "style": style,
    }  # fmt: skip


def overflow(action: str, choices: Iterable[tuple[str, str]]) -> Block:
    """The three dots: at most five (text, value)."""
    return {"type": "overflow", "action_id": action, "options": [option(t, v) for t, v in list(choices)[:5]]}


def option(text: str, value: str) -> Block:
    return {"text": plain(text, 75), "value": value}


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)[:25]}


def select(action: str, choices: Sequence[tuple[str, str]], chosen: str = "", placeholder: str = "") -> Block:
    options = [option(text, value) for text, value in choices[:100]]
    block: Block = {"type": "static_select", "action_id": action, "options": options}
    first = next((o for o in options if o["value"] == chosen), None)
    if first:
        block["initial_option"] = first
    return block | {"placeholder": plain(placeholder)} if placeholder else block


def field(block_id: str, label: str, element: Block, *, hint: str = "", optional: bool = False, tell: bool = False):
    """An input block; `tell` sends a block action when it changes."""
    block: Block = {"type": "input", "block_id": block_id, "label": plain(label), "element": element}
    if hint:
        block["hint"] = plain(hint, 500)
    if optional:
        block["optional"] = True
    return block | {"dispatch_action": True} if tell else block


def words(action: str, *, placeholder: str = "", multiline: bool = True, most: int = 500) -> Block:
    block: Block = {"type": "plain_text_input", "action_id": action, "multiline": multiline, "max_length": most}
    return block | {"placeholder": plain(placeholder)} if placeholder else block


def numbered(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with a fresh `block_id` wherever there is none: an edit must not reuse them."""
    batch = secrets.token_hex(4)
    return [b if "block_id" in b else {**b, "block_id": f"{batch}-{n}"} for n, b in enumerate(blocks)]


def when(at: float, form: str = "{date_short} {time}") -> str:
    """A moment in the reader's own time zone, UTC where that cannot be shown.

    >>> when(1362891600)
    '<!date^1362891600^{date_short} {time}|2013-03-10 05:00 UTC>'
    """
    return f"<!date^{int(at)}^{form}|{utc(at)}>"


def utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def clock(at: float) -> str:
    """`05:00Z`, for notifications."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%MZ")


def span(seconds: float) -> str:
    """A length of time in at most two units.

    >>> span(18600), span(45), span(200000)
    ('5h10m', '45s', '2d7h')
    """
    left = int(max(seconds, 0))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        if len(parts) == 2 or (parts and unit in ("m", "s")):
            break
    return "".join(parts) or "0s"


def link(url: str | None, text: str, hosts: Iterable[str]) -> str:
    """`text` linked to `url` when its host is allow-listed, else `text` alone. `text` must be escaped already."""
    if not url or any(c in url for c in "<>|\" '`") or not url.isascii() or not url.isprintable():
        return text
    try:
        parts = urlsplit(url)
        host, user = parts.hostname or "", parts.username
    except ValueError:
        return text
    allowed = parts.scheme in ("https", "http") and user is None and host in {h.lower() for h in hosts}
    return f"<{url}|{text}>" if allowed else text


def number(value: float | None) -> str:
    """A number as a person would write it.

    >>> number(0.30912), number(1234567.0), number(52.0), number(None)
    ('0.309', '1,234,567', '52', '-')
    """
    if value is None:
        return "-"
    if value != value or abs(value) == float("inf"):
        return "not a number" if value != value else ("infinity" if value > 0 else "-infinity")
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.1 or share == 0 else f"{100 * share:.2g}%"


_RAMP = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], most: int = 16) -> str:
    """The last `most` values as little bars.

    >>> sparkline([0, 1, 2, 3])
    '▁▃▆█'
    """
    last = [v for v in values if v == v][-most:]
    if not last:
        return ""
    low, high = min(last), max(last)
    step = (high - low) / (len(_RAMP) - 1) or 1.0
    return "".join(_RAMP[round((v - low) / step)] for v in last)
