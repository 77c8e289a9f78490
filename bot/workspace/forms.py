"""From what a person chose or typed to the values Slack sends: `actions`, `state.values`, inline objections."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .errors import PersonError

MISSING = object()
TYPED = ("plain_text_input", "email_text_input", "url_text_input", "number_input")
PICKS = {
    "users_select": ("selected_user", "initial_user"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
}
MANY = {
    "multi_users_select": ("selected_users", "initial_users"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
}
ONE_OPTION = ("static_select", "external_select", "radio_buttons")
MANY_OPTIONS = ("multi_static_select", "multi_external_select", "checkboxes")


def elements_of(blocks: list[dict]) -> Iterator[tuple[dict, dict]]:
    """(block, element) for everything a person can operate, inside containers and cards too."""
    for block in blocks:
        for inner in ("child_blocks", "elements") if block["type"] in ("container", "carousel") else ():
            yield from elements_of(block.get(inner) or [])
        parts = [block.get("accessory"), block.get("element"), *(block.get("actions") or [])]
        if block["type"] in ("actions", "context_actions"):
            parts += block.get("elements") or []
        for part in parts:
            if isinstance(part, dict) and part.get("action_id"):
                yield block, part


def find(blocks: list[dict], action_id: str, block_id: str | None = None) -> tuple[dict, dict]:
    """The block and element of an action. Raises PersonError when the message no longer has it.

    An app may give its blocks new ids with every edit, and a person may press a button of the rendering before: it is
    the same button as long as its action is there.
    """
    named = [(b, e) for b, e in elements_of(blocks) if e["action_id"] == action_id]
    here = [(b, e) for b, e in named if block_id in (None, "", b["block_id"])]
    if here or named:
        return (here or named)[0]
    there = ", ".join(sorted({e["action_id"] for _, e in elements_of(blocks)})) or "none"
    raise PersonError(f"There is no {action_id!r} here any more (actions here: {there}).", 409, stale=True)


def choices(element: dict) -> list[dict]:
    """All options, groups flattened."""
    groups = element.get("option_groups") or []
    return [*(element.get("options") or []), *(o for g in groups for o in g.get("options", ()))]


def _option(element: dict, given: object) -> dict:
    if isinstance(given, dict):
        given = given.get("value")
    for option in choices(element):
        if given in (option.get("value"), option["text"]["text"]):
            return option
    if element["type"] in ("external_select", "multi_external_select"):
        return {"text": {"type": "plain_text", "text": str(given)}, "value": str(given)}
    known = ", ".join(str(o.get("value")) for o in choices(element))
    raise PersonError(f"{given!r} is not one of the options of {element['action_id']!r}: {known}", 400)


def chosen(element: dict, given: object = MISSING) -> dict:
    """The part of a state value or action that says what was chosen, such as `{"selected_option": {...}}`."""
    kind = element["type"]
    if kind in TYPED:
        value = element.get("initial_value") if given is MISSING else given
        return {"value": None if value in (None, "") else str(value)}
    if kind == "rich_text_input":
        value = element.get("initial_value") if given is MISSING else given
        return {"rich_text_value": _rich(value) if isinstance(value, str) else value or None}
    if kind in ONE_OPTION:
        value = element.get("initial_option") if given is MISSING else given
        return {"selected_option": _option(element, value) if value else None}
    if kind in MANY_OPTIONS:
        values = element.get("initial_options") if given is MISSING else given
        values = [values] if isinstance(values, str) and values else values or []
        return {"selected_options": [_option(element, v) for v in values]}
    if kind in PICKS:
        field, initial = PICKS[kind]
        value = element.get(initial) if given is MISSING else given
        return {field: int(value) if kind == "datetimepicker" and value else value or None}
    if kind in MANY:
        field, initial = MANY[kind]
        value = element.get(initial) if given is MISSING else given
        return {field: [value] if isinstance(value, str) and value else list(value or [])}
    if kind == "file_input":
        return {"files": [] if given is MISSING else list(given or [])}
    return {}


def _rich(text: str) -> dict:
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "elements": [section]}


def action_of(block: dict, element: dict, given: object, ts: str) -> dict:
    """The entry of `actions` for one operated element."""
    action = {"type": element["type"], "action_id": element["action_id"], "block_id": block["block_id"]}
    kind = element["type"]
    if kind in ("button", "workflow_button"):
        action |= {k: element[k] for k in ("text", "value", "style", "url") if k in element}
    elif kind == "icon_button":
        action |= {k: element[k] for k in ("text", "value", "icon") if k in element}
    elif kind == "overflow":
        action |= {"selected_option": _option(element, given)}
    elif kind == "feedback_buttons":
        buttons = (element["positive_button"], element["negative_button"])
        pressed = next((b for b in buttons if given in (b["value"], b["text"]["text"])), None)
        if pressed is None:
            raise PersonError(f"feedback must be one of {', '.join(b['value'] for b in buttons)}, not {given!r}", 400)
        action |= {"value": pressed["value"], "text": pressed["text"]}
    else:
        action |= chosen(element, given)
    return action | {"action_ts": ts}


def state_of(blocks: list[dict], given: dict | None = None) -> dict:
    """`state.values`: block_id -> action_id -> typed value.

    `given` is what the person changed, as `{action_id: value}` or `{block_id: {action_id: value}}`;
    what it leaves out keeps the element's initial value.
    """
    given = given or {}
    values: dict[str, dict] = {}
    for block, element in elements_of(blocks):
        block_id, action_id = block["block_id"], element["action_id"]
        inner = given.get(block_id)
        value = inner.get(action_id, MISSING) if isinstance(inner, dict) else given.get(action_id, MISSING)
        part = chosen(element, value)
        if part:
            values.setdefault(block_id, {})[action_id] = {"type": element["type"], **part}
    return values


def objections(blocks: list[dict], state: dict) -> dict[str, str]:
    """What Slack's own client refuses before the app sees it: block_id -> sentence."""
    wrong = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        value = state.get(block["block_id"], {}).get(element["action_id"], {})
        said = _objection(element, value, bool(block.get("optional")))
        if said:
            wrong[block["block_id"]] = said
    return wrong


def _objection(element: dict, value: dict, optional: bool) -> str:
    content = next((v for k, v in value.items() if k != "type"), None)
    if content in (None, "", []):
        return "" if optional else "Please complete this required field."
    if element["type"] in TYPED:
        least, most = element.get("min_length"), element.get("max_length")
        if least and len(content) < least:
            return f"Please enter at least {least} characters."
        if most and len(content) > most:
            return f"Please enter no more than {most} characters."
    if element["type"] == "email_text_input" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", content):
        return "Please enter a valid email address."
    if element["type"] == "url_text_input" and not re.fullmatch(r"https?://\S+", content):
        return "Please enter a valid URL."
    if element["type"] == "number_input":
        return _number_objection(element, content)
    return ""


def _number_objection(element: dict, content: str) -> str:
    try:
        number = float(content)
    except ValueError:
        return "Please enter a number."
    if not element.get("is_decimal_allowed") and not number.is_integer():
        return "Please enter a whole number."
    if "min_value" in element and number < float(element["min_value"]):
        return f"Please enter a number of at least {element['min_value']}."
    if "max_value" in element and number > float(element["max_value"]):
        return f"Please enter a number of at most {element['max_value']}."
    return ""
