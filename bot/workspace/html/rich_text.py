"""rich_text blocks as HTML."""

from __future__ import annotations

from collections.abc import Callable

from .emoji import emoji
from .look import Look, esc, slack_date
from .mrkdwn import anchor

STYLES = (("code", "code"), ("bold", "strong"), ("italic", "em"), ("strike", "del"), ("underline", "u"))


def rich_text(block: object, look: Look) -> str:
    """A rich_text block; a plain string (as task updates carry) stays plain."""
    if isinstance(block, str):
        return f"<p>{esc(block)}</p>"
    if not isinstance(block, dict):
        return ""
    return "".join(_part(part, look) for part in block.get("elements") or [])


def _part(part: dict, look: Look) -> str:
    kind, inner = part.get("type"), part.get("elements") or []
    if kind == "rich_text_list":
        tag = "ol" if part.get("style") == "ordered" else "ul"
        start = f' start="{int(part.get("offset", 0)) + 1}"' if tag == "ol" else ""
        items = "".join(f"<li>{_inline(i.get('elements') or [], look)}</li>" for i in inner)
        return f'<{tag} class="in{min(int(part.get("indent", 0)), 4)}"{start}>{items}</{tag}>'
    if kind == "rich_text_preformatted":
        return f"<pre>{_inline(inner, look)}</pre>"
    if kind == "rich_text_quote":
        return f"<blockquote>{_inline(inner, look)}</blockquote>"
    return f"<p>{_inline(inner, look)}</p>"


def _inline(elements: list[dict], look: Look) -> str:
    return "".join(_styled(INLINE.get(e.get("type"), _unknown)(e, look), e.get("style") or {}) for e in elements)


def _styled(markup: str, style: dict) -> str:
    for name, tag in STYLES:
        if style.get(name):
            markup = f"<{tag}>{markup}</{tag}>"
    return markup


def _mention(key: str, sign: str, name: Callable[[Look], Callable[[str], str]]):
    def show(element: dict, look: Look) -> str:
        ident = str(element.get(key, ""))
        me = " me" if ident == look.viewer else ""
        return f'<span class="mention{me}">{sign}{esc(name(look)(ident))}</span>'

    return show


def _date(element: dict, look: Look) -> str:
    try:
        return esc(slack_date(look, float(element["timestamp"]), str(element.get("format", "{date_short} {time}"))))
    except (KeyError, ValueError, OverflowError, OSError):
        return esc(element.get("fallback", ""))


def _unknown(element: dict, look: Look) -> str:
    return f'<span class="unknown">{esc(element.get("type"))}</span>'


INLINE = {
    "text": lambda e, look: esc(e.get("text", "")).replace("\n", "<br>"),
    "link": lambda e, look: anchor(str(e.get("url", "")), esc(e.get("text") or e.get("url", ""))),
    "user": _mention("user_id", "@", lambda look: look.user),
    "usergroup": _mention("usergroup_id", "@", lambda look: look.group),
    "channel": _mention("channel_id", "#", lambda look: look.channel),
    "broadcast": lambda e, look: f'<span class="mention all">@{esc(e.get("range", "here"))}</span>',
    "emoji": lambda e, look: emoji(str(e.get("name", ""))),
    "date": _date,
    "color": lambda e, look: f"<code>{esc(e.get('value', ''))}</code>",
}
