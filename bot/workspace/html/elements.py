"""Buttons, selects, pickers and inputs as HTML.

A pressable carries `data-press`; an input is wrapped in `[data-input]`. Both name their `data-block` and
`data-action`; `data-dispatch` marks inputs whose change is an action of its own.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from ..forms import choices
from .emoji import emoji
from .look import Look, esc
from .mrkdwn import anchor, mrkdwn


def words(value: object, look: Look) -> str:
    """A text object (or a string) as HTML."""
    if not isinstance(value, dict):
        return esc(value or "")
    if value.get("type") == "mrkdwn":
        return mrkdwn(value.get("text", ""), look, verbatim=bool(value.get("verbatim")))
    return emojied(value.get("text", ""))


def emojied(text: str) -> str:
    """Plain text with the emoji it names."""
    return re.sub(r":([a-z0-9_+'-]+):", lambda m: emoji(m[1]), esc(text))


def _names(block: dict, element: dict) -> str:
    return f'data-block="{esc(block["block_id"])}" data-action="{esc(element["action_id"])}"'


def _asks(element: dict, look: Look) -> str:
    """The confirmation dialog's words, rendered here so that the page's script has nothing to interpret."""
    ask = element.get("confirm")
    if not ask:
        return ""
    said = {key: words(ask[key], look) for key in ("title", "text", "confirm", "deny")}
    said |= {"label": ask["title"]["text"], "style": "danger" if ask.get("style") == "danger" else "primary"}
    return f' data-confirm="{esc(json.dumps(said))}"'


def button(block: dict, element: dict, look: Look) -> str:
    style = f" {element['style']}" if element.get("style") in ("primary", "danger") else ""
    label = element.get("accessibility_label")
    aria = f' aria-label="{esc(label)}"' if label else ""
    marks = f'class="button{style}"{aria} {_names(block, element)}{_asks(element, look)}'
    text = words(element.get("text"), look)
    if element.get("url"):
        link = anchor(element["url"], text)
        return link.replace("<a ", f"<a data-press {marks} ", 1) if link.startswith("<a ") else text
    return f'<button type="button" data-press {marks}>{text}</button>'


def icon_button(block: dict, element: dict, look: Look) -> str:
    name = element.get("text", {}).get("text", element.get("icon", ""))
    label = element.get("accessibility_label") or name
    sign = {"trash": "🗑"}.get(element.get("icon", ""), "•")
    return (
        f'<button type="button" class="icon" data-press {_names(block, element)}{_asks(element, look)} '
        f'aria-label="{esc(label)}" title="{esc(name)}">{sign}</button>'
    )


def feedback(block: dict, element: dict, look: Look) -> str:
    out = []
    for key, sign in (("positive_button", "up"), ("negative_button", "down")):
        choice = element[key]
        label = choice.get("accessibility_label") or choice["text"]["text"]
        out.append(
            f'<button type="button" class="icon thumb {sign}" data-press data-value="{esc(choice["value"])}" '
            f'{_names(block, element)} aria-label="{esc(label)}" title="{esc(label)}"></button>'
        )
    return "".join(out)


def overflow(block: dict, element: dict, look: Look) -> str:
    items = "".join(
        f'<li><button type="button" role="menuitem" data-press data-value="{esc(o.get("value", ""))}" '
        f"{_names(block, element)}{_asks(element, look)}>{words(o['text'], look)}"
        f"{_description(o, look)}</button></li>"
        for o in element["options"]
    )
    return (
        '<details class="overflow"><summary class="button" aria-label="More actions">⋯</summary>'
        f'<ul role="menu">{items}</ul></details>'
    )


def _description(option: dict, look: Look) -> str:
    return f"<small>{words(option['description'], look)}</small>" if option.get("description") else ""


def _wrap(block: dict, element: dict, inner: str, dispatch: bool, tag: str = "div") -> str:
    mark = " data-dispatch" if dispatch else ""
    kind = esc(element["type"])
    return f'<{tag} class="input {kind}" data-input data-kind="{kind}" {_names(block, element)}{mark}>{inner}</{tag}>'


def _ident(block: dict, element: dict) -> str:
    return esc(f"i-{block['block_id']}-{element['action_id']}")


def _label(block: dict, element: dict) -> str:
    # An input block has a visible label; elsewhere the placeholder must serve.
    if block["type"] == "input":
        return f'id="{_ident(block, element)}"'
    said = (element.get("placeholder") or {}).get("text") or element["type"].replace("_", " ")
    return f'aria-label="{esc(said)}"'


def typed(block: dict, element: dict, look: Look, dispatch: bool) -> str:
    kind = element["type"]
    label, value = _label(block, element), str(element.get("initial_value") or "")
    if isinstance(element.get("initial_value"), dict):
        value = "".join(e.get("text", "") for p in element["initial_value"]["elements"] for e in p["elements"])
    hint = esc((element.get("placeholder") or {}).get("text", ""))
    focus = " autofocus" if element.get("focus_on_load") else ""
    most = f' maxlength="{int(element["max_length"])}"' if element.get("max_length") else ""
    if element.get("multiline") or kind == "rich_text_input":
        inner = f'<textarea {label} rows="4" placeholder="{hint}"{most}{focus}>{esc(value)}</textarea>'
    else:
        html_type = {"email_text_input": "email", "url_text_input": "url"}.get(kind, "text")
        mode = ' inputmode="decimal"' if kind == "number_input" else ""
        inner = (
            f'<input {label} type="{html_type}"{mode} placeholder="{hint}" value="{esc(value)}"{most}{focus} '
            'autocomplete="off">'
        )
    return _wrap(block, element, inner, dispatch)


def select(block: dict, element: dict, look: Look, dispatch: bool) -> str:
    kind = element["type"]
    first = (element.get("placeholder") or {}).get("text") or "Choose…"
    if kind == "static_select":
        chosen = (element.get("initial_option") or {}).get("value")
        inner = _grouped(element, chosen, look)
    else:
        key = kind.removesuffix("s_select")
        chosen = element.get(f"initial_{key}")
        inner = "".join(_option(value, name, value == chosen) for value, name in _directory(kind, look))
    blank = f'<option value="">{esc(first)}</option>'
    return _wrap(block, element, f"<select {_label(block, element)}>{blank}{inner}</select>", dispatch)


def _directory(kind: str, look: Look) -> tuple[tuple[str, str], ...]:
    return look.people if "users" in kind else look.channels


def _option(value: str, text: str, chosen: bool) -> str:
    return f'<option value="{esc(value)}"{" selected" if chosen else ""}>{esc(text)}</option>'


def _grouped(element: dict, chosen: str | None, look: Look) -> str:
    def listed(options: list[dict]) -> str:
        return "".join(_option(o.get("value", ""), o["text"]["text"], o.get("value") == chosen) for o in options)

    groups = element.get("option_groups") or []
    inner = "".join(
        f'<optgroup label="{esc(g["label"]["text"])}">{listed(g["options"])}</optgroup>' for g in groups
    )  # fmt: skip
    return inner or listed(element.get("options") or [])


def boxes(block: dict, element: dict, look: Look, dispatch: bool) -> str:
    kind = element["type"]
    one = kind == "radio_buttons"
    if kind in ("checkboxes", "radio_buttons", "multi_static_select"):
        items = [(o.get("value", ""), words(o["text"], look) + _description(o, look)) for o in choices(element)]
        first = element.get("initial_options") or [element.get("initial_option") or {}]
        chosen = {o.get("value") for o in first}
    else:
        items = [(value, esc(name)) for value, name in _directory(kind, look)]
        chosen = set(element.get("initial_" + kind.removeprefix("multi_").removesuffix("_select")) or ())
    name = _ident(block, element)
    inner = "".join(
        f'<label><input type="{"radio" if one else "checkbox"}" name="{name}" value="{esc(value)}"'
        f"{' checked' if value in chosen else ''}><span>{text}</span></label>"
        for value, text in items
    )
    role = "radiogroup" if one else "group"
    label = esc((block.get("label") or element.get("placeholder") or {}).get("text", kind.replace("_", " ")))
    return _wrap(block, element, f'<div class="boxes" role="{role}" aria-label="{label}">{inner}</div>', dispatch)


def external(block: dict, element: dict, look: Look, dispatch: bool) -> str:
    hint = esc((element.get("placeholder") or {}).get("text") or "Type to search")
    listed = _ident(block, element) + "-options"
    inner = (
        f'<input {_label(block, element)} type="text" list="{listed}" data-suggest placeholder="{hint}" '
        f'autocomplete="off"><datalist id="{listed}"></datalist>'
    )
    return _wrap(block, element, inner, dispatch)


def picker(block: dict, element: dict, look: Look, dispatch: bool) -> str:
    kind = element["type"]
    html_type, initial = {
        "datepicker": ("date", element.get("initial_date")),
        "timepicker": ("time", element.get("initial_time")),
        "datetimepicker": ("datetime-local", _local(element.get("initial_date_time"), look)),
    }[kind]
    inner = f'<input {_label(block, element)} type="{html_type}" value="{esc(initial or "")}">'
    return _wrap(block, element, inner, dispatch)


def _local(seconds: object, look: Look) -> str:
    return f"{datetime.fromtimestamp(int(seconds), look.zone):%Y-%m-%dT%H:%M}" if seconds else ""


PRESSED = {
    "button": button,
    "workflow_button": button,
    "icon_button": icon_button,
    "feedback_buttons": feedback,
    "overflow": overflow,
}
FILLED = {
    "plain_text_input": typed, "rich_text_input": typed, "email_text_input": typed, "url_text_input": typed,
    "number_input": typed, "static_select": select, "users_select": select, "channels_select": select,
    "conversations_select": select, "checkboxes": boxes, "radio_buttons": boxes, "multi_static_select": boxes,
    "multi_users_select": boxes, "multi_channels_select": boxes, "multi_conversations_select": boxes,
    "external_select": external, "multi_external_select": external, "datepicker": picker, "timepicker": picker,
    "datetimepicker": picker,
}  # fmt: skip


def element(block: dict, part: dict, look: Look) -> str:
    """One element of a block; one we do not draw is shown as such."""
    kind = part.get("type")
    if kind in PRESSED:
        return PRESSED[kind](block, part, look)
    if kind in FILLED:
        dispatch = block["type"] != "input" or bool(block.get("dispatch_action"))
        return FILLED[kind](block, part, look, dispatch)
    return f'<span class="unknown">{esc(kind)}: not drawn here</span>'
