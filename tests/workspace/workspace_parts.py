"""Pieces that the workspace's tests share."""

from __future__ import annotations

import pytest
from slack_sdk.errors import SlackApiError

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080600000"
    "01f15c4890000000d49444154789c626001000000ffff030000060005"
    "57bfabd40000000049454e44ae426082"
)


def button(action_id: str, text: str, **more) -> dict:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": text}, **more}


def actions(*elements: dict) -> dict:
    return {"type": "actions", "elements": list(elements)}


def section(text: str) -> dict:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def reason_modal(**more) -> dict:
    return {
        "type": "modal",
        "callback_id": "review",
        "title": {"type": "plain_text", "text": "Review"},
        "submit": {"type": "plain_text", "text": "Approve"},
        "blocks": [
            {
                "type": "input",
                "block_id": "why",
                "label": {"type": "plain_text", "text": "Reason"},
                "element": {"type": "plain_text_input", "action_id": "reason"},
            }
        ],
        **more,
    }


async def refused(call) -> SlackApiError:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value
