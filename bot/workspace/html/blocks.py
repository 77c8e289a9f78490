"""Block Kit blocks as HTML, one function per type; a type we do not know is shown as such."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from .charts import chart
from .elements import element, words
from .look import Look, esc
from .mrkdwn import anchor, markdown
from .rich_text import rich_text

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def blocks_html(blocks: list[dict], look: Look, errors: dict[str, str] | None = None) -> str:
    """All blocks in order; `errors` (block_id -> sentence) appear under their inputs."""
    return "".join(block_html(block, look, (errors or {}).get(block.get("block_id", ""), "")) for block in blocks)


def block_html(block: dict, look: Look, error: str = "") -> str:
    """One block."""
    kind = block.get("type")
    if kind == "input":
        return _input(block, look, error)
    draw = BLOCKS.get(kind)
    if draw is None:
        return (
            f'<details class="block unknown"><summary>A block of type “{esc(kind)}” that this page does not draw'
            f"</summary><pre>{esc(json.dumps(block, indent=2, ensure_ascii=False))}</pre></details>"
        )
    return f'<div class="block {esc(kind)}">{draw(block, look)}</div>'


def _section(block: dict, look: Look) -> str:
    text = f'<div class="text">{words(block["text"], look)}</div>' if block.get("text") else ""
    fields = "".join(f'<div class="field">{words(f, look)}</div>' for f in block.get("fields") or [])
    main = text + (f'<div class="fields">{fields}</div>' if fields else "")
    part = block.get("accessory")
    if not part:
        return main
    beside = picture(part, look, "thumb") if part.get("type") == "image" else element(block, part, look)
    return f'<div class="main">{main}</div><div class="accessory">{beside}</div>'


def picture(part: dict, look: Look, style: str = "") -> str:
    """An image by `image_url` or `slack_file`. Only loopback addresses are fetched: nothing leaves the machine."""
    given = part.get("slack_file") or {}
    file = look.file(given.get("id") or given.get("url") or "") if given else None
    url = file["url_private"] if file else part.get("image_url") or ""
    alt = part.get("alt_text", "")
    if given and file is None:
        return f'<span class="unknown">{esc(alt)} (the file is gone)</span>'
    if urlsplit(url).hostname not in LOOPBACK:
        host = esc(urlsplit(url).hostname or "?")
        said = f"<small>picture at {host}, not fetched</small>"
        return f'<span class="offsite">{anchor(url, esc(alt) or host)} {said}</span>'
    size = ""
    if file and file.get("original_w"):
        size = f' width="{int(file["original_w"])}" height="{int(file["original_h"])}"'
    return f'<img class="{style}" src="{esc(url)}" alt="{esc(alt)}" loading="lazy"{size}>'


def _image(block: dict, look: Look) -> str:
    title = f"<figcaption>{words(block['title'], look)}</figcaption>" if block.get("title") else ""
    shown = picture(block, look, "picture")
    given = block.get("slack_file") or {}
    file = look.file(given.get("id") or given.get("url") or "") if given else None
    url = file["url_private"] if file else block.get("image_url", "")
    if shown.startswith("<img"):
        shown = f'<a class="zoom" data-zoom href="{esc(url)}" target="_blank" rel="noopener noreferrer">{shown}</a>'
    return f"<figure>{title}{shown}</figure>"


def _elements(block: dict, look: Look) -> str:
    return "".join(element(block, part, look) for part in block.get("elements") or [])


def _context(block: dict, look: Look) -> str:
    parts = block.get("elements") or []
    return "".join(
        picture(p, look, "tiny") if p.get("type") == "image" else f"<span>{words(p, look)}</span>" for p in parts
    )


def _input(block: dict, look: Look, error: str) -> str:
    part = block["element"]
    ident = esc(f"i-{block['block_id']}-{part['action_id']}")
    optional = " <small>(optional)</small>" if block.get("optional") else ""
    hint = f'<p class="hint">{words(block["hint"], look)}</p>' if block.get("hint") else ""
    said = f'<p class="wrong" role="alert">{esc(error)}</p>' if error else ""
    state = " invalid" if error else ""
    return (
        f'<div class="block input-block{state}" data-input-block="{esc(block["block_id"])}">'
        f'<label for="{ident}">{words(block["label"], look)}{optional}</label>'
        f"{element(block, part, look)}{said}{hint}</div>"
    )


def _cell(cell: dict, look: Look) -> str:
    if cell.get("type") == "rich_text":
        return rich_text(cell, look)
    return esc(cell.get("text", cell.get("value", cell.get("number", ""))))


def _rows(block: dict, look: Look, header: bool, caption: str) -> str:
    settings = block.get("column_settings") or []

    def cell(tag: str, column: int, value: dict) -> str:
        setting = settings[column] if column < len(settings) and settings[column] else {}
        align = setting.get("align") or ("right" if value.get("type") == "raw_number" else "left")
        wrap = " wrap" if setting.get("is_wrapped") else ""
        return f'<{tag} class="{esc(align)}{wrap}">{_cell(value, look)}</{tag}>'

    out = []
    for number, row in enumerate(block["rows"]):
        tag = "th" if header and number == 0 else "td"
        out.append("<tr>" + "".join(cell(tag, n, c) for n, c in enumerate(row)) + "</tr>")
    name = f"<caption>{esc(caption)}</caption>" if caption else ""
    label = esc(caption or "Table")
    table = f"<table>{name}{''.join(out)}</table>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{table}</div>'


STATUS_WORDS = {"pending": "waiting", "in_progress": "in progress", "complete": "done", "error": "failed"}


def _task(block: dict, look: Look) -> str:
    status = block.get("status", "pending")
    inner = "".join(
        f'<div class="{key}">{_details(block[key], look)}</div>' for key in ("details", "output") if block.get(key)
    )
    sources = "".join(
        f"<li>{anchor(str(s.get('url', '')), esc(s.get('text') or s.get('url', '')))}</li>"
        for s in block.get("sources") or []
    )
    if sources:
        inner += f'<ul class="sources">{sources}</ul>'
    head = (
        f'<span class="status {esc(status)}" role="img" aria-label="{STATUS_WORDS.get(status, status)}"></span>'
        f"<span>{esc(block.get('title', ''))}</span>"
    )
    if not inner:
        return f'<div class="task">{head}</div>'
    opened = " open" if status in ("in_progress", "error") else ""
    return f'<details class="task"{opened}><summary>{head}</summary>{inner}</details>'


def _details(value: object, look: Look) -> str:
    return markdown(value, look) if isinstance(value, str) else rich_text(value, look)


def _plan(block: dict, look: Look) -> str:
    tasks = block.get("tasks") or []
    done = sum(t.get("status") == "complete" for t in tasks)
    inner = "".join(f"<li>{_task(t, look)}</li>" for t in tasks)
    count = f"<small>{done} of {len(tasks)}</small>" if tasks else ""
    return f'<div class="plan-head"><strong>{esc(block.get("title", ""))}</strong>{count}</div><ol>{inner}</ol>'


def _alert(block: dict, look: Look) -> str:
    return f'<div class="level {esc(block.get("level", "default"))}" role="note">{words(block.get("text"), look)}</div>'


def _card(block: dict, look: Look) -> str:
    hero = picture(block["hero_image"], look, "hero") if block.get("hero_image") else ""
    icon = picture(block["icon"], look, "thumb") if block.get("icon") else ""
    title = f"<strong>{words(block['title'], look)}</strong>" if block.get("title") else ""
    sub = f"<small>{words(block['subtitle'], look)}</small>" if block.get("subtitle") else ""
    body = f"<p>{words(block['body'], look)}</p>" if block.get("body") else ""
    acts = "".join(element(block, a, look) for a in block.get("actions") or [])
    acts = f'<div class="acts">{acts}</div>' if acts else ""
    return f'{hero}<div class="inner">{icon}<div>{title}{sub}</div></div>{body}{acts}'


def _container(block: dict, look: Look) -> str:
    rich = block.get("rich_text_title")
    title = rich_text(rich, look) if rich else f"<strong>{words(block.get('title'), look)}</strong>"
    sub = f"<small>{words(block['subtitle'], look)}</small>" if block.get("subtitle") else ""
    inner = blocks_html(block.get("child_blocks") or [], look)
    if block.get("is_collapsible"):
        opened = "" if block.get("default_collapsed") else " open"
        return f"<details{opened}><summary>{title}{sub}</summary>{inner}</details>"
    return f'<div class="head">{title}{sub}</div>{inner}'


def _file(block: dict, look: Look) -> str:
    return f'<span class="file">File {esc(block.get("external_id", ""))}</span>'


def _video(block: dict, look: Look) -> str:
    url = str(block.get("title_url") or block.get("video_url", ""))
    return f"{anchor(url, words(block.get('title'), look))} <small>video, not fetched</small>"


BLOCKS = {
    "section": _section,
    "header": lambda b, look: f"<h3>{words(b.get('text'), look)}</h3>",
    "divider": lambda b, look: "<hr>",
    "image": _image,
    "actions": _elements,
    "context": _context,
    "context_actions": _elements,
    "markdown": lambda b, look: markdown(b.get("text", ""), look),
    "rich_text": rich_text,
    "table": lambda b, look: _rows(b, look, True, ""),
    "data_table": lambda b, look: _rows(b, look, True, b.get("caption", "")),
    "data_visualization": lambda b, look: chart(b),
    "task_card": _task,
    "plan": _plan,
    "alert": _alert,
    "card": _card,
    "carousel": lambda b, look: "".join(block_html(c, look) for c in b.get("elements") or []),
    "container": _container,
    "file": _file,
    "video": _video,
}


def files_html(files: list[dict], look: Look) -> str:
    """The files of a message: pictures shown, others named."""
    out = []
    for file in files:
        name = f'<span class="file-name">{esc(file.get("title") or file["name"])}</span>'
        if file["mimetype"].startswith("image/"):
            part = {"slack_file": {"id": file["id"]}, "alt_text": file.get("alt_txt") or file["title"]}
            out.append(f'<div class="block image">{name}{_image(part, look)}</div>')
        else:
            size = f"<small>{file['size']} bytes</small>"
            out.append(f'<div class="block file">{anchor(file["url_private"], name)} {size}</div>')
    return "".join(out)


def attachments_html(attachments: list[dict], look: Look) -> str:
    """Legacy attachments: a bar beside their blocks or text."""
    return "".join(
        f'<div class="attachment">{blocks_html(a.get("blocks") or [], look)}'
        f"{words({'type': 'mrkdwn', 'text': a.get('text') or ''}, look)}</div>"
        for a in attachments
    )
