"""One click, submission or command as Slack delivers it, read once into plain fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Click:
    """Who did what where. `values` are the inputs of a dialog by action id; everything in them is untrusted."""

    team: str
    user: str
    channel: str = ""
    thread: str = ""
    message: str = ""
    trigger: str = ""
    value: str = ""
    view: str = ""
    nonce: str = ""
    values: dict[str, str] = field(default_factory=dict)


def clicked(body: dict[str, Any]) -> Click:
    """A block action or a view submission."""
    user, view = body.get("user") or {}, body.get("view") or {}
    container, first = body.get("container") or {}, (body.get("actions") or [{}])[0]
    chosen = first.get("selected_option") or {}
    return Click(
        team=user.get("team_id") or (body.get("team") or {}).get("id") or "",
        user=user.get("id") or "",
        channel=(body.get("channel") or {}).get("id") or container.get("channel_id") or "",
        thread=(body.get("message") or {}).get("thread_ts") or "",
        message=container.get("message_ts") or "",
        trigger=body.get("trigger_id") or "",
        value=str(first.get("value") or chosen.get("value") or ""),
        view=view.get("id") or "",
        nonce=view.get("private_metadata") or "",
        values=inputs(view),
    )


def inputs(view: dict[str, Any]) -> dict[str, str]:
    """What was typed or chosen, by action id."""
    found: dict[str, str] = {}
    for block in ((view.get("state") or {}).get("values") or {}).values():
        for action_id, state in block.items():
            chosen = state.get("selected_option") or {}
            found[action_id] = str(state.get("value") or chosen.get("value") or "")
    return found
