"""The page: shell, sidebar, conversation, thread, App Home, modal and the workspace panel."""

from __future__ import annotations

from .blocks import attachments_html, blocks_html, files_html
from .elements import words
from .emoji import emoji
from .look import Look, esc
from .mrkdwn import mrkdwn

HUES = 8
ICONS = {
    "home": '<path d="M3 10.5 12 3l9 7.5V21h-6v-6H9v6H3z"/>',
    "reply": '<path d="M4 5h16v11H9l-5 4z"/>',
    "smile": '<circle cx="12" cy="12" r="9"/><path d="M8 14c1 2 7 2 8 0M9 9.5v.1M15 9.5v.1"/>',
    "send": '<path d="M4 12 20 4l-5 16-3.5-6.5z"/>',
    "close": '<path d="M6 6l12 12M18 6 6 18"/>',
    "back": '<path d="M15 5l-7 7 7 7"/>',
    "gear": '<path d="M4 7h10M18 7h2M4 17h2M10 17h10"/><circle cx="16" cy="7" r="2"/><circle cx="8" cy="17" r="2"/>',
    "moon": '<path d="M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10z"/>',
    "menu": '<path d="M4 6h16M4 12h16M4 18h16"/>',
}


def icon(name: str) -> str:
    """One of our line drawings, decorative."""
    return f'<svg class="i" viewBox="0 0 24 24" aria-hidden="true">{ICONS[name]}</svg>'


def avatar(user_id: str, name: str, bot: bool) -> str:
    """Initials on a colour that is always the same for one person; the app has its lantern."""
    if bot:
        return '<img class="avatar" src="/static/bot.svg" alt="" width="36" height="36">'
    initials = "".join(word[0] for word in name.split()[:2]).upper()
    return f'<span class="avatar h{sum(user_id.encode()) % HUES}" aria-hidden="true">{esc(initials)}</span>'


def message(shown: dict, look: Look, where: str, follows: bool = False, status: str = "") -> str:
    """One message. `where` is `channel` or `thread`; `follows` joins it to the author's message before."""
    ts, user = shown["ts"], shown["user"]
    bot = "bot_id" in shown or user == "U0WATCHBOT"
    name = esc(look.user(user))
    tag = '<span class="tag">APP</span>' if bot else ""
    at = look.time(float(ts))
    clock = f'<time datetime="{at.isoformat()}" title="{at:%A, %d %B %Y, %H:%M:%S}">{at:%H:%M}</time>'
    quiet = '<p class="only-you">Only visible to you</p>' if shown.get("is_ephemeral") else ""
    edited = ' <small class="edited">(edited)</small>' if shown.get("edited") and not shown.get("_stream") else ""
    body = _body(shown, look) + edited
    classes = " ".join(
        ["message", *(["follows"] if follows else []), *(["ephemeral"] if quiet else []),
         *(["streaming"] if shown.get("_stream") else [])]
    )  # fmt: skip
    head = f'<header><b class="name">{name}</b>{tag}{clock}</header>'
    face = f'<span class="quiet-time">{clock}</span>' if follows else avatar(user, look.user(user), bot)
    return (
        f'<article class="{classes}" id="{where}-{esc(ts)}" data-ts="{esc(ts)}" '
        f'data-message-channel="{esc(shown["_channel"])}" aria-label="{name} at {at:%H:%M}">'
        f'<div class="face">{face}</div><div class="content">{quiet}{head}<div class="body">{body}</div>'
        f"{_reactions(shown, look)}{_replies(shown, look) if where == 'channel' else ''}"
        f"{_status(status)}</div>{_tools(shown, where)}</article>"
    )


def _body(shown: dict, look: Look) -> str:
    blocks = shown.get("blocks") or []
    if blocks and not shown.get("_typed"):
        inner = blocks_html(blocks, look)
    else:
        inner = f'<div class="block text">{mrkdwn(shown.get("text", ""), look)}</div>' if shown.get("text") else ""
    inner += files_html(shown.get("files") or [], look)
    return inner + attachments_html(shown.get("attachments") or [], look)


def _status(status: str) -> str:
    return f'<p class="status-line" role="status">{esc(status)}</p>' if status else ""


def _reactions(shown: dict, look: Look) -> str:
    out = "".join(
        f'<button type="button" class="reaction{" mine" if look.viewer in r["users"] else ""}" data-react="'
        f'{esc(r["name"])}" title="{esc(", ".join(look.user(u) for u in r["users"]))} with :{esc(r["name"])}:">'
        f"{emoji(r['name'])} <span>{r['count']}</span></button>"
        for r in shown.get("reactions") or []
    )
    return f'<div class="reactions">{out}</div>' if out else ""


def _replies(shown: dict, look: Look) -> str:
    count = shown.get("reply_count", 0)
    if not count:
        return ""
    faces = "".join(avatar(u, look.user(u), u == "U0WATCHBOT") for u in shown["reply_users"][:4])
    last = look.time(float(shown["latest_reply"]))
    word = "reply" if count == 1 else "replies"
    return (
        f'<button type="button" class="replies" data-thread="{esc(shown["ts"])}">{faces}<b>{count} {word}</b>'
        f"<span>Last at {last:%H:%M}</span></button>"
    )


def _tools(shown: dict, where: str) -> str:
    if shown.get("is_ephemeral"):
        return (
            '<div class="tools"><button type="button" class="icon" data-dismiss aria-label="Dismiss" '
            f'title="Dismiss">{icon("close")}</button></div>'
        )
    reply = ""
    if where == "channel":
        thread = esc(shown.get("thread_ts") or shown["ts"])
        reply = (
            f'<button type="button" class="icon" data-thread="{thread}" aria-label="Reply in thread" '
            f'title="Reply in thread">{icon("reply")}</button>'
        )
    quick = "".join(
        f'<button type="button" class="icon" data-react="{name}" aria-label="React with {name}" '
        f'title="React with :{name}:">{emoji(name)}</button>'
        for name in ("eyes", "white_check_mark", "+1")
    )
    return f'<div class="tools">{quick}{reply}</div>'


def day(at) -> str:
    """The line between two days."""
    return f'<div class="day" id="day-{at:%Y%m%d}" role="separator"><span>{at:%A, %B} {at.day}</span></div>'


def messages(shown: list[dict], look: Look, where: str, statuses: dict[str, str]) -> str:
    """A run of messages with day lines; a message within five minutes of its author's last one follows it."""
    out, before = [], None
    for one in shown:
        at = look.time(float(one["ts"]))
        new_day = before is None or look.time(float(before["ts"])).date() != at.date()
        if new_day and where == "channel":
            out.append(day(at))
        follows = (
            not new_day and before is not None and before["user"] == one["user"]
            and float(one["ts"]) - float(before["ts"]) < 300 and not before.get("reply_count")
            and bool(before.get("is_ephemeral")) == bool(one.get("is_ephemeral"))
            # A card stands alone: one must see where an incident begins and ends.
            and len(one.get("blocks") or ()) < 4 and len(before.get("blocks") or ()) < 4
        )  # fmt: skip
        out.append(message(one, look, where, follows, statuses.get(one["ts"], "")))
        before = one
    return "".join(out)


def composer(placeholder: str, thread_ts: str = "") -> str:
    """Where people type. Suggestions for /commands, @people and #channels come from the page's script."""
    thread = f' data-thread-ts="{esc(thread_ts)}"' if thread_ts else ""
    label = esc(placeholder)
    return (
        f'<form class="composer"{thread}><ul class="suggestions" role="listbox" hidden></ul>'
        f'<textarea rows="1" aria-label="{label}" placeholder="{label}" autocomplete="off"></textarea>'
        f'<button class="send" aria-label="Send" title="Send">{icon("send")}</button></form>'
    )


def modal(stack: list[dict], look: Look, errors: dict[str, str] | None = None) -> str:
    """The top of a modal stack as a form; empty when nothing is open."""
    if not stack:
        return ""
    view = stack[-1]
    close = words(view["close"], look) if view.get("close") else ("Back" if len(stack) > 1 else "Cancel")
    submit = ""
    if view.get("submit"):
        off = " disabled" if view.get("submit_disabled") else ""
        submit = f'<button class="button primary"{off}>{words(view["submit"], look)}</button>'
    back = (
        f'<button type="button" class="icon" data-close aria-label="Back">{icon("back")}</button>'
        if len(stack) > 1 else ""
    )  # fmt: skip
    return (
        f'<form data-view="{esc(view["id"])}" data-hash="{esc(view["hash"])}" novalidate><header>{back}'
        f'<h2 id="modal-title">{words(view["title"], look)}</h2><button type="button" class="icon" data-close="all" '
        f'aria-label="Close">{icon("close")}</button></header>'
        f'<div class="blocks">{blocks_html(view["blocks"], look, errors)}</div>'
        f'<footer><button type="button" class="button" data-close>{close}</button>{submit}</footer></form>'
    )


def home(view: dict | None, look: Look, app_name: str) -> str:
    """A person's App Home."""
    if view is None:
        return f'<div class="empty"><p>{esc(app_name)} has not published a Home for you yet.</p></div>'
    return f'<div class="home" data-view="{esc(view["id"])}">{blocks_html(view["blocks"], look)}</div>'
