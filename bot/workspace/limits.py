"""Slack's Block Kit limits, as pure functions that word their findings as Slack does.

Numbers are those of docs.slack.dev/reference/block-kit; each finding reads like
`[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]`.
"""

from __future__ import annotations

import math

from . import limits_elements as elements
from .limits_elements import Findings, need, plain, sized, text_object
from .limits_shapes import check_shapes

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
TEXT = 40_000
BLOCKS_CHARACTERS = 13_200
MARKDOWN = 12_000
PRIVATE_METADATA = 3_000
VIEW_BYTES = 250_000
METADATA_BYTES = 16_000


def check_blocks(blocks: object, surface: str = "message", root: str = "/blocks") -> list[str]:
    """Everything Slack would object to in `blocks` on `surface` (`message`, `modal` or `home`); [] when fine."""
    out = Findings()
    if not isinstance(blocks, list):
        return [out.word("must be an array", root)]
    check_shapes(blocks, root, out)
    if out:
        return list(out)
    most = MESSAGE_BLOCKS if surface == "message" else VIEW_BLOCKS
    if len(blocks) > most:
        out.say(f"no more than {most} items allowed", root)
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        _block(block, f"{root}/{number}", surface, out)
        block_id = block.get("block_id") if isinstance(block, dict) else None
        if block_id:
            if block_id in seen:
                out.say(f"block_id `{block_id}` already exists", f"{root}/{number}/block_id")
            seen.add(block_id)
    _whole(blocks, root, out)
    return list(out)


def check_view(view: object) -> list[str]:
    """Everything Slack would object to in a modal or Home `view`; [] when fine."""
    out = Findings()
    if not isinstance(view, dict):
        return [out.word("must provide an object", "/view")]
    kind = view.get("type")
    if kind not in ("modal", "home"):
        return [out.word("failed to match all allowed schemas: type must be modal or home", "/view/type")]
    if kind == "modal":
        need(view, "title", "/view", out)
        for key in ("title", "submit", "close"):
            if key in view:
                plain(view[key], f"/view/{key}", 24, out)
        has_input = any(isinstance(b, dict) and b.get("type") == "input" for b in view.get("blocks") or [])
        if has_input and not view.get("submit"):
            out.say("a view with input blocks must have a submit button", "/view/submit")
    sized(view.get("private_metadata"), "/view/private_metadata", PRIVATE_METADATA, out)
    sized(view.get("callback_id"), "/view/callback_id", 255, out)
    sized(view.get("external_id"), "/view/external_id", 255, out)
    return [*out, *check_blocks(view.get("blocks"), kind, "/view/blocks")]


def characters(value: object) -> int:
    """How many characters of text a block tree carries (what `msg_blocks_too_long` counts)."""
    if isinstance(value, dict):
        return sum(
            len(v) if k in ("text", "alt_text") and isinstance(v, str) else characters(v) for k, v in value.items()
        )
    if isinstance(value, list):
        return sum(characters(v) for v in value)
    return 0


def _whole(blocks: list, root: str, out: Findings) -> None:
    kinds = [b.get("type") for b in blocks if isinstance(b, dict)]
    if kinds.count("table") > 1:
        out.say("only one table is allowed per message", root)
    if kinds.count("data_visualization") > 2:
        out.say("no more than 2 data_visualization blocks allowed", root)
    total = sum(len(str(b.get("text", ""))) for b in blocks if isinstance(b, dict) and b.get("type") == "markdown")
    if total > MARKDOWN:
        out.say(f"must be less than {MARKDOWN + 1} characters in all markdown blocks together", root)


def _block(block: object, at: str, surface: str, out: Findings) -> None:
    if not isinstance(block, dict):
        out.say("must be an object", at)
        return
    kind = block.get("type")
    rule = BLOCKS.get(kind) if isinstance(kind, str) else None
    if rule is None:
        out.say(f"unsupported type: {kind}", f"{at}/type")
        return
    if kind == "markdown" and surface != "message":
        out.say(f"unsupported type: markdown in a {surface}", f"{at}/type")
    sized(block.get("block_id"), f"{at}/block_id", 255, out)
    rule(block, at, out)


def _section(block: dict, at: str, out: Findings) -> None:
    if not block.get("text") and not block.get("fields"):
        out.say("must define either `text` or `fields`", at)
    if block.get("text") is not None:
        text_object(block["text"], f"{at}/text", 3000, out)
    _several(block, "fields", at, 10, out, lambda f, a, o: text_object(f, a, 2000, o))
    if "accessory" in block:
        elements.element(block["accessory"], f"{at}/accessory", "section", out)


def _several(block: dict, key: str, at: str, most: int, out: Findings, each, least: int = 0) -> None:
    items = block.get(key)
    if items is None:
        if least:
            out.say(f"missing required field: {key}", at)
        return
    if not isinstance(items, list):
        out.say("must be an array", f"{at}/{key}")
        return
    if len(items) > most:
        out.say(f"no more than {most} items allowed", f"{at}/{key}")
    if len(items) < least:
        out.say(f"no fewer than {least} items allowed", f"{at}/{key}")
    for number, item in enumerate(items):
        each(item, f"{at}/{key}/{number}", out)


def _header(block: dict, at: str, out: Findings) -> None:
    if need(block, "text", at, out):
        plain(block["text"], f"{at}/text", 150, out)


def _image(block: dict, at: str, out: Findings) -> None:
    elements.picture(block, at, out)
    if "title" in block:
        plain(block["title"], f"{at}/title", 2000, out)


def _of_elements(place: str, most: int):
    def check(block: dict, at: str, out: Findings) -> None:
        _several(block, "elements", at, most, out, lambda e, a, o: elements.element(e, a, place, o), least=1)
        ids = [e.get("action_id") for e in block.get("elements") or [] if isinstance(e, dict) and e.get("action_id")]
        for action_id in sorted({i for i in ids if ids.count(i) > 1}):
            out.say(f'`action_id` "{action_id}" already exists for other actions within a block', at)

    return check


def _input(block: dict, at: str, out: Findings) -> None:
    if need(block, "label", at, out):
        plain(block["label"], f"{at}/label", 2000, out)
    if "hint" in block:
        plain(block["hint"], f"{at}/hint", 2000, out)
    if need(block, "element", at, out):
        elements.element(block["element"], f"{at}/element", "input", out)


def _markdown(block: dict, at: str, out: Findings) -> None:
    if need(block, "text", at, out):
        sized(block["text"], f"{at}/text", MARKDOWN, out, least=1)


def _rich_text(block: dict, at: str, out: Findings) -> None:
    def part(item: object, where: str, found: Findings) -> None:
        kinds = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
        if not isinstance(item, dict) or item.get("type") not in kinds:
            found.say("unsupported type: " + str(item.get("type") if isinstance(item, dict) else item), where)

    _several(block, "elements", at, 500, out, part)


def _table(most_rows: int, least_rows: int):
    def check(block: dict, at: str, out: Findings) -> None:
        rows = block.get("rows")
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            out.say("missing required field: rows" if rows is None else "must be an array of arrays", f"{at}/rows")
            return
        if len(rows) > most_rows:
            out.say(f"no more than {most_rows} items allowed", f"{at}/rows")
        if len(rows) < least_rows:
            out.say(f"no fewer than {least_rows} items allowed", f"{at}/rows")
        for number, row in enumerate(rows):
            if len(row) > 20:
                out.say("no more than 20 items allowed", f"{at}/rows/{number}")
            for column, cell in enumerate(row):
                if not isinstance(cell, dict) or cell.get("type") not in ("raw_text", "raw_number", "rich_text"):
                    out.say("unsupported cell type", f"{at}/rows/{number}/{column}")
        if characters(rows) > 10_000:
            out.say("must be less than 10001 characters in all cells together", f"{at}/rows")

    return check


def _data_table(block: dict, at: str, out: Findings) -> None:
    need(block, "caption", at, out)
    _table(101, 2)(block, at, out)
    if isinstance(block.get("rows"), list) and len({len(r) for r in block["rows"] if isinstance(r, list)}) > 1:
        out.say("all rows must have the same number of cells", f"{at}/rows")


def _chart(block: dict, at: str, out: Findings) -> None:
    if need(block, "title", at, out):
        sized(block["title"], f"{at}/title", 50, out, least=1)
    chart = block.get("chart")
    if not isinstance(chart, dict) or chart.get("type") not in ("line", "bar", "area", "pie"):
        out.say("must be one of line, bar, area, pie", f"{at}/chart/type")
        return
    if chart["type"] == "pie":
        _several(chart, "segments", f"{at}/chart", 12, out, lambda s, a, o: _number(s.get("value"), f"{a}/value", o), 1)
    else:
        _several(chart, "series", f"{at}/chart", 12, out, _series, least=1)


def _series(series: dict, at: str, out: Findings) -> None:
    points = series.get("data", series.get("values"))
    if not isinstance(points, list) or not points:
        out.say("missing required field: data", at)
        return
    for number, point in enumerate(points):
        _number(point.get("value") if isinstance(point, dict) else point, f"{at}/data/{number}", out)


def _number(value: object, at: str, out: Findings) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        out.say("must be a finite number", at)


def _task_card(block: dict, at: str, out: Findings) -> None:
    need(block, "task_id", at, out)
    if need(block, "title", at, out):
        sized(block["title"], f"{at}/title", 3000, out)
    if block.get("status") not in ("pending", "in_progress", "complete", "error"):
        out.say("must be one of pending, in_progress, complete, error", f"{at}/status")


def _plan(block: dict, at: str, out: Findings) -> None:
    need(block, "title", at, out)
    _several(block, "tasks", at, 50, out, lambda t, a, o: _block({"type": "task_card", **t}, a, "message", o))


def _alert(block: dict, at: str, out: Findings) -> None:
    if need(block, "text", at, out):
        text_object(block["text"], f"{at}/text", 3000, out)
    if block.get("level", "default") not in ("default", "info", "warning", "error", "success"):
        out.say("must be one of default, info, warning, error, success", f"{at}/level")


def _card(block: dict, at: str, out: Findings) -> None:
    if not any(block.get(key) for key in ("hero_image", "title", "actions", "body")):
        out.say("must define one of hero_image, title, actions, body", at)
    for key, most in (("title", 150), ("subtitle", 150), ("body", 200)):
        if key in block:
            text_object(block[key], f"{at}/{key}", most, out)
    _several(block, "actions", at, 25, out, lambda e, a, o: elements.element(e, a, "actions", o))


def _carousel(block: dict, at: str, out: Findings) -> None:
    _several(block, "elements", at, 10, out, lambda c, a, o: _block(c, a, "message", o), least=1)


def _container(block: dict, at: str, out: Findings) -> None:
    if not block.get("title") and not block.get("rich_text_title"):
        out.say("must define either `title` or `rich_text_title`", at)
    _several(block, "child_blocks", at, 10, out, lambda b, a, o: _block(b, a, "message", o), least=1)


def _video(block: dict, at: str, out: Findings) -> None:
    for key in ("alt_text", "title", "thumbnail_url", "video_url"):
        need(block, key, at, out)


def _anything(block: dict, at: str, out: Findings) -> None:
    """Blocks Slack builds itself (dividers, files, calls): nothing to measure."""


BLOCKS = {
    "section": _section,
    "header": _header,
    "image": _image,
    "actions": _of_elements("actions", 25),
    "context": _of_elements("context", 10),
    "context_actions": _of_elements("context_actions", 5),
    "divider": _anything,
    "input": _input,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "table": _table(100, 1),
    "data_table": _data_table,
    "data_visualization": _chart,
    "task_card": _task_card,
    "plan": _plan,
    "alert": _alert,
    "card": _card,
    "carousel": _carousel,
    "container": _container,
    "video": _video,
    "file": _anything,
    "call": _anything,
}
