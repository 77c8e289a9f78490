"""`rebuild`: make the views in Redis again from the streams."""

from __future__ import annotations

import argparse
from typing import Any

from bot.cli import verb

ORDER = 32

DESCRIPTION = """What Redis holds of incidents, changes and windows is a view of the streams. If Redis was lost, or you
doubt it, this makes it again. Detection state, silences and which message shows which card are kept as they are.

  python -m bot rebuild                  at a quiet moment; after an interruption simply run it again"""


def add(verbs: Any) -> None:
    one = verb(verbs, "rebuild", "make the views in Redis again from the streams", DESCRIPTION)
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot import compose
    from bot.compose import answers
    from core import policy, settings

    loaded = settings.load()
    async with compose.ground(loaded, policy.load(loaded.policy), "rebuild") as house:
        counts = await answers.rebuild(house)
    print("rebuilt: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    return 0
