"""The JSON types Block Kit expects under each key, checked before any length is measured."""

from __future__ import annotations

from .limits_elements import Findings

LISTS = frozenset(
    {"elements", "fields", "options", "option_groups", "tasks", "child_blocks", "actions", "initial_options",
     "segments", "series", "sources"}
)  # fmt: skip
OBJECTS = frozenset(
    {"accessory", "element", "hint", "placeholder", "positive_button", "negative_button",
     "hero_image", "slack_file", "chart", "axis_config", "initial_option", "description", "subtitle", "body",
     "rich_text_title"}
)  # fmt: skip
STRINGS = frozenset(
    {"type", "action_id", "block_id", "url", "image_url", "alt_text", "task_id", "caption", "status", "level", "name",
     "user_id", "channel_id", "usergroup_id", "range", "video_url", "title_url", "initial_date", "initial_time",
     "initial_user", "initial_channel", "initial_conversation"}
)  # fmt: skip
INTEGERS = frozenset(
    {"indent", "offset", "min_length", "max_length", "initial_date_time", "page_size", "row_header_column_index"}
)  # fmt: skip
TEXTS = frozenset({"text", "title", "details", "output", "initial_value", "icon", "style", "label"})


def check_shapes(value: object, at: str, out: Findings) -> None:
    """Says so for every key whose value has a type that Block Kit never puts there; null is never right."""
    if isinstance(value, dict):
        for key, inner in value.items():
            wanted = _wanted(key, inner)
            if wanted:
                out.say(f"must be {wanted}", f"{at}/{key}")
            else:
                check_shapes(inner, f"{at}/{key}", out)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            check_shapes(inner, f"{at}/{number}", out)


def _wanted(key: str, inner: object) -> str:
    if key in LISTS and not (isinstance(inner, list) and all(isinstance(i, dict) for i in inner)):
        return "an array of objects"
    if key in OBJECTS and not isinstance(inner, dict):
        return "an object"
    if key in STRINGS and not isinstance(inner, str):
        return "a string"
    if key in INTEGERS and (not isinstance(inner, int) or isinstance(inner, bool) or inner < 0):
        return "an integer"
    if key in TEXTS and not isinstance(inner, str | dict):
        return "a string or an object"
    if key == "column_settings" and not (isinstance(inner, list) and all(isinstance(i, dict | None) for i in inner)):
        return "an array of objects"
    return ""
