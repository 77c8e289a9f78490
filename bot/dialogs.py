"""Filling a dialog that is open: safe to repeat, and never silently left unfilled."""

from __future__ import annotations

import asyncio
from typing import Any

from bot.modals import View
from bot.wire import Blocked, SlackFailure, calling, log

PAUSES = (0.3, 1.0)
"""Seconds before each further try; a person looks at "Reading..." meanwhile."""


async def fill(slack: Any, view_id: str, view: View) -> SlackFailure | None:
    """`views.update`, tried three times; what went wrong in the end. A dialog that was closed is nothing wrong."""
    for pause in (*PAUSES, None):
        try:
            with calling("views.update"):
                await slack.views_update(view_id=view_id, view=view)
            return None
        except Blocked as refusal:
            log.warning("%s", refusal)
            return None if refusal.error == "not_found" else refusal
        except SlackFailure as failure:
            log.warning("%s", failure)
            if pause is None:
                return failure
            await asyncio.sleep(pause)
    return None
