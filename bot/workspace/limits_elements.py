"""Limits of Block Kit's elements and composition objects (buttons, selects, inputs, options, confirms)."""

from __future__ import annotations

import re

PLACES = {
    "section": "button static_select multi_static_select external_select multi_external_select users_select "
    "multi_users_select conversations_select multi_conversations_select channels_select multi_channels_select "
    "overflow datepicker timepicker datetimepicker checkboxes radio_buttons image workflow_button",
    "actions": "button static_select multi_static_select external_select multi_external_select users_select "
    "multi_users_select conversations_select multi_conversations_select channels_select multi_channels_select "
    "overflow datepicker timepicker datetimepicker checkboxes radio_buttons workflow_button",
    "input": "plain_text_input rich_text_input email_text_input url_text_input number_input file_input "
    "static_select multi_static_select external_select multi_external_select users_select multi_users_select "
    "conversations_select multi_conversations_select channels_select multi_channels_select "
    "datepicker timepicker datetimepicker checkboxes radio_buttons",
    "context": "image mrkdwn plain_text",
    "context_actions": "feedback_buttons icon_button",
}
ALLOWED = {place: frozenset(names.split()) for place, names in PLACES.items()}


class Findings(list):
    """Collected objections, in Slack's wording."""

    @staticmethod
    def word(what: str, at: str) -> str:
        return f"[ERROR] {what} [json-pointer:{at}]"

    def say(self, what: str, at: str) -> None:
        self.append(self.word(what, at))


def need(owner: dict, key: str, at: str, out: Findings) -> bool:
    """True when `key` is there; says so when it is not."""
    if owner.get(key) in (None, "", []):
        out.say(f"missing required field: {key}", at)
        return False
    return True


def sized(value: object, at: str, most: int, out: Findings, least: int = 0) -> None:
    """A string of `least` to `most` characters; None passes."""
    if value is None:
        return
    if not isinstance(value, str):
        out.say("must be a string", at)
    elif len(value) > most:
        out.say(f"must be less than {most + 1} characters", at)
    elif len(value) < least:
        out.say(f"must be more than {least - 1} characters", at)


def text_object(value: object, at: str, most: int, out: Findings, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")):
    """A text object of 1 to `most` characters."""
    if not isinstance(value, dict) or value.get("type") not in kinds:
        out.say(f"must be a text object of type {' or '.join(kinds)}", at)
        return
    sized(value.get("text", ""), f"{at}/text", most, out, least=1)


def plain(value: object, at: str, most: int, out: Findings) -> None:
    """A `plain_text` object of 1 to `most` characters."""
    text_object(value, at, most, out, ("plain_text",))


def picture(value: dict, at: str, out: Findings) -> None:
    """An image: alternative text, and exactly one of `image_url` and `slack_file`."""
    if need(value, "alt_text", at, out):
        sized(value["alt_text"], f"{at}/alt_text", 2000, out)
    if bool(value.get("image_url")) == bool(value.get("slack_file")):
        out.say("must define exactly one of `image_url` and `slack_file`", at)
    sized(value.get("image_url"), f"{at}/image_url", 3000, out)


def confirm(value: object, at: str, out: Findings) -> None:
    """A confirmation dialog: title 100, text 300, buttons 30."""
    if not isinstance(value, dict):
        out.say("must be an object", at)
        return
    for key, most in (("title", 100), ("confirm", 30), ("deny", 30)):
        if need(value, key, at, out):
            plain(value[key], f"{at}/{key}", most, out)
    if need(value, "text", at, out):
        text_object(value["text"], f"{at}/text", 300, out)


def option(value: object, at: str, out: Findings) -> None:
    """One choice: text 75, value 150, description 75."""
    if not isinstance(value, dict):
        out.say("must be an object", at)
        return
    if need(value, "text", at, out):
        text_object(value["text"], f"{at}/text", 75, out)
    sized(value.get("value"), f"{at}/value", 150, out)
    if "description" in value:
        text_object(value["description"], f"{at}/description", 75, out)


def options(element: dict, at: str, most: int, out: Findings) -> None:
    """`options` (or `option_groups`) of a select, overflow, checkboxes or radio buttons."""
    lists = [(element.get("options"), f"{at}/options")]
    if element.get("option_groups") is not None:
        groups = element["option_groups"]
        lists = [(g.get("options"), f"{at}/option_groups/{n}/options") for n, g in enumerate(groups)]
        if len(groups) > 100:
            out.say("no more than 100 items allowed", f"{at}/option_groups")
    for items, where in lists:
        if not isinstance(items, list) or not items:
            out.say("no fewer than 1 items allowed", where)
            continue
        if len(items) > most:
            out.say(f"no more than {most} items allowed", where)
        for number, item in enumerate(items):
            option(item, f"{where}/{number}", out)


def _button(element: dict, at: str, out: Findings) -> None:
    if need(element, "text", at, out):
        plain(element["text"], f"{at}/text", 75, out)
    sized(element.get("value"), f"{at}/value", 2000, out)
    sized(element.get("url"), f"{at}/url", 3000, out)
    sized(element.get("accessibility_label"), f"{at}/accessibility_label", 75, out)
    if element.get("style", "primary") not in ("primary", "danger"):
        out.say("must be one of primary, danger", f"{at}/style")


def _feedback(element: dict, at: str, out: Findings) -> None:
    for key in ("positive_button", "negative_button"):
        if need(element, key, at, out):
            plain(element[key].get("text"), f"{at}/{key}/text", 75, out)
            if need(element[key], "value", f"{at}/{key}", out):
                sized(element[key]["value"], f"{at}/{key}/value", 2000, out)


def _icon_button(element: dict, at: str, out: Findings) -> None:
    need(element, "icon", at, out)
    if need(element, "text", at, out):
        plain(element["text"], f"{at}/text", 75, out)
    sized(element.get("value"), f"{at}/value", 2000, out)


def _typed(element: dict, at: str, out: Findings) -> None:
    sized(element.get("initial_value"), f"{at}/initial_value", 3000, out)
    if isinstance(element.get("max_length"), int) and not 1 <= element["max_length"] <= 3000:
        out.say("must be between 1 and 3000", f"{at}/max_length")


def _number(element: dict, at: str, out: Findings) -> None:
    if "is_decimal_allowed" not in element:
        out.say("missing required field: is_decimal_allowed", at)


def _date(element: dict, at: str, out: Findings) -> None:
    given = element.get("initial_date")
    if given is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", str(given)):
        out.say("must be a date as YYYY-MM-DD", f"{at}/initial_date")


def _choices(most: int):
    return lambda element, at, out: options(element, at, most, out)


RULES = {
    "button": _button,
    "workflow_button": _button,
    "feedback_buttons": _feedback,
    "icon_button": _icon_button,
    "image": picture,
    "mrkdwn": lambda element, at, out: sized(element.get("text", ""), f"{at}/text", 3000, out, least=1),
    "plain_text": lambda element, at, out: sized(element.get("text", ""), f"{at}/text", 3000, out, least=1),
    "plain_text_input": _typed,
    "number_input": _number,
    "datepicker": _date,
    "overflow": _choices(5),
    "checkboxes": _choices(10),
    "radio_buttons": _choices(10),
    "static_select": _choices(100),
    "multi_static_select": _choices(100),
}


def element(value: object, at: str, place: str, out: Findings) -> None:
    """One element at one place (`section`, `actions`, `input`, `context`, `context_actions`)."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ALLOWED[place]:
        out.say(f"unsupported type: {kind}", f"{at}/type")
        return
    sized(value.get("action_id"), f"{at}/action_id", 255, out)
    if "placeholder" in value:
        plain(value["placeholder"], f"{at}/placeholder", 150, out)
    if "confirm" in value:
        confirm(value["confirm"], f"{at}/confirm", out)
    RULES.get(kind, lambda *_: None)(value, at, out)
