"""`dead`: what could not be read or handled, and why."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from bot.cli import verb

ORDER = 31

DESCRIPTION = """Events that could not be read are set aside one by one, with the reason; the rest went on.

  python -m bot dead                         reasons, newest last
  python -m bot dead inference.acme.fraud    of one subject"""


def add(verbs: Any) -> None:
    one = verb(verbs, "dead", "what was dead-lettered, and why", DESCRIPTION)
    one.add_argument("subject", nargs="?", default=">", metavar="SUBJECT", help="only what came on this subject")
    one.add_argument("--json", action="store_true", help="one JSON object a line, with the payload")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot import compose
    from core import policy, settings

    loaded, number = settings.load(), 0
    async with compose.ground(loaded, policy.load(loaded.policy), "dead") as house:
        async for entry in house.bus.read(f"dead.{args.subject}"):
            letter = json.loads(entry.data)
            number += 1
            at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(letter["at"]))
            print(json.dumps(letter) if args.json else f"{at}  {letter['subject']}  {letter['reason']}")
    if not args.json:
        print(f"{number} dead letters")
    return 0
