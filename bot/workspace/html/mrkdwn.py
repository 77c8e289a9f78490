"""Slack's mrkdwn, standard Markdown and emoji names as HTML. Everything not understood is escaped text."""

from __future__ import annotations

import functools
import re
from urllib.parse import urlsplit

from .emoji import KNOWN, emoji
from .look import Look, esc, slack_date

OPEN, SHUT = "\ue000", "\ue001"
SAFE = ("http", "https", "mailto")


def anchor(url: str, label: str) -> str:
    """A link that opens beside the page; text alone when the scheme is not http, https or mailto."""
    try:
        safe = urlsplit(url).scheme.lower() in SAFE
    except ValueError:
        safe = False
    return f'<a href="{esc(url)}" target="_blank" rel="noopener noreferrer">{label}</a>' if safe else label


def unescaped(text: str) -> str:
    """Slack's three escapes undone."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def mrkdwn(text: str, look: Look, verbatim: bool = False) -> str:
    """Slack's own markup: `*bold* _italic_ ~struck~ `code` ```block``` > quote <url|label> <@U1> <!date^..>`.

    `verbatim` text makes no links of bare addresses.
    """
    kept: list[str] = []

    def keep(markup: str) -> str:
        kept.append(markup)
        return f"{OPEN}{len(kept) - 1}{SHUT}"

    text = text.replace(OPEN, "").replace(SHUT, "")
    text = re.sub(r"```\n?(.+?)\n?```", lambda m: keep(f"<pre>{esc(unescaped(m[1]))}</pre>"), text, flags=re.S)
    text = re.sub(r"`([^`\n]+)`", lambda m: keep(f"<code>{esc(unescaped(m[1]))}</code>"), text)
    text = re.sub(r"<([^<>\n]+)>", lambda m: keep(_special(m[1], look)), text)
    if not verbatim:
        bare = r"https?://[^\s<>|" + OPEN + r"]+[^\s<>|.,;:!?)" + OPEN + "]"
        text = re.sub(bare, lambda m: keep(_bare(m[0])), text)
    text = re.sub(r":([a-z0-9_+'-]+):", lambda m: keep(emoji(m[1])) if m[1] in KNOWN else m[0], text)
    text = esc(unescaped(text))
    for mark, tag in (("*", "strong"), ("_", "em"), ("~", "del")):
        m = re.escape(mark)
        text = re.sub(rf"(?<![\w{m}]){m}(?=\S)([^{m}\n]*[^\s{m}]){m}(?![\w{m}])", rf"<{tag}>\1</{tag}>", text)
    text = _lines(text)
    while OPEN in text:
        text = re.sub(f"{OPEN}(\\d+){SHUT}", lambda m: kept[int(m[1])], text)
    return text


def _bare(url: str) -> str:
    return anchor(unescaped(url), esc(unescaped(url)))


def _special(inner: str, look: Look) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        me = " me" if target[1:] == look.viewer else ""
        return f'<span class="mention{me}">@{esc(look.user(target[1:]))}</span>'
    if target.startswith("#"):
        name = label or look.channel(target[1:])
        return f'<a class="mention" href="?channel={esc(target[1:])}" data-channel="{esc(target[1:])}">#{esc(name)}</a>'
    if target.startswith("!date^"):
        return _date(target, label, look)
    if target.startswith("!subteam^"):
        return f'<span class="mention">@{esc(look.group(target[9:]))}</span>'
    if target.startswith("!"):
        return f'<span class="mention all">@{esc(label or target[1:])}</span>'
    return anchor(unescaped(target), esc(unescaped(label or target.removeprefix("mailto:"))))


def _date(target: str, fallback: str, look: Look) -> str:
    parts = target.split("^")
    try:
        shown = slack_date(look, float(parts[1]), parts[2])
    except (IndexError, ValueError, OverflowError, OSError):
        return esc(unescaped(fallback))
    stamp = f'<time datetime="{look.time(float(parts[1])).isoformat()}" title="{esc(fallback)}">{esc(shown)}</time>'
    return anchor(unescaped(parts[3]), stamp) if len(parts) > 3 and parts[3] else stamp


def _lines(text: str) -> str:
    out: list[str] = []
    quoted: list[str] = []
    for line in text.split("\n"):
        quote = re.match(r"&gt; ?(.*)", line)
        if quote:
            quoted.append(quote[1])
            continue
        if quoted:
            out.append(f"<blockquote>{'<br>'.join(quoted)}</blockquote>")
            quoted = []
        bullet = re.match(r"\s*[•◦▪-] (.*)", line)
        out.append(f'<span class="bullet">{bullet[1]}</span>' if bullet else f"{line}<br>")
    if quoted:
        out.append(f"<blockquote>{'<br>'.join(quoted)}</blockquote>")
    return re.sub(r"(<br>)+$", "", "".join(out))


@functools.cache
def _parser():
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: urlsplit(url).scheme.lower() in SAFE

    def link_open(renderer, tokens, index, options, env):
        tokens[index].attrSet("target", "_blank")
        tokens[index].attrSet("rel", "noopener noreferrer")
        return renderer.renderToken(tokens, index, options, env)

    def cell_open(renderer, tokens, index, options, env):
        # The page's policy forbids inline styles: alignment becomes a class.
        style = str(tokens[index].attrs.pop("style", ""))
        tokens[index].attrSet("class", style.removeprefix("text-align:"))
        return renderer.renderToken(tokens, index, options, env)

    def image(renderer, tokens, index, options, env):
        # A picture named by text is never fetched: its words stand for it.
        return esc(tokens[index].content)

    parser.add_render_rule("link_open", link_open)
    parser.add_render_rule("image", image)
    parser.add_render_rule("th_open", cell_open)
    parser.add_render_rule("td_open", cell_open)
    return parser


def markdown(text: str, look: Look) -> str:
    """Standard Markdown (the `markdown` block and streams); raw HTML is shown as text; `<@U1>` still mentions."""
    out = _parser().render(text)
    out = re.sub(r"&lt;([@#!][^&<>]+)&gt;", lambda m: _special(m[1], look), out)
    return re.sub(r":([a-z0-9_+'-]+):", lambda m: emoji(m[1]) if m[1] in KNOWN else m[0], out)
