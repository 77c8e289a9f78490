"""`status`: what is watched, what is open, and how Middlewatch itself is doing."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

from bot.cli import verb

ORDER = 15


DESCRIPTION = """What is watched, what is open, and how Middlewatch itself is doing.

  python -m bot status                   a few lines for a person
  python -m bot status --json            one line: models, incidents by state, detect, dead letters, lag by consumer"""


def add(verbs: Any) -> None:
    one = verb(verbs, "status", "what is watched, what is open, and Middlewatch's own health", DESCRIPTION)
    one.add_argument("--json", action="store_true", help="as one line of JSON")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot import compose
    from core import policy, settings

    loaded = settings.load()
    async with compose.ground(loaded, policy.load(loaded.policy), "status") as house:
        facts = await gathered(house)
    print(json.dumps(facts) if args.json else in_words(facts))
    return 0


async def gathered(house: Any) -> dict[str, Any]:
    """{"models", "incidents" by state, "detect", "dead", "lag" by durable, "frozen"}."""
    from core.detect import health

    depth = await house.bus.depth()
    incidents = await house.views.incidents.all()
    lag = {
        durable: row["waiting"] + row["in_hand"]
        for stream in depth.values()
        for durable, row in stream["consumers"].items()
    }
    return {
        "models": sorted(f"{tenant}/{model}" for tenant, model in await house.views.telemetry.models()),
        "incidents": dict(Counter(i.state for i in incidents)),
        "detect": await health(house.views.flags) or {"events": 0, "labels": 0, "event_time": 0.0, "at": 0.0},
        "dead": depth.get("DEAD", {}).get("messages", 0),
        "audit_entries": depth.get("INCIDENTS", {}).get("messages", 0),
        "lag": lag,
        "frozen": bool(house.policy.frozen or await house.views.flags.get_flag("frozen")),
    }


def in_words(facts: dict[str, Any]) -> str:
    """The same for a person."""
    from core.events import iso

    detect = facts["detect"]
    waiting = {name: n for name, n in facts["lag"].items() if n}
    lines = [
        f"watched     {', '.join(facts['models']) or 'nothing yet: publish to inference.<tenant>.<model>'}",
        f"incidents   {', '.join(f'{n} {state}' for state, n in facts['incidents'].items()) or 'none'}",
        f"detect      {detect['events']:,} events, {detect['labels']:,} labels, event time {iso(detect['event_time'])}",
        f"waiting     {', '.join(f'{name} {n}' for name, n in waiting.items()) or 'nothing'}",
        f"dead        {facts['dead']}" + (" (`python -m bot dead` says why)" if facts["dead"] else ""),
        f"audit log   {facts['audit_entries']} entries (`python -m bot audit verify`)",
    ]
    if facts["frozen"]:
        lines.append("actions are FROZEN: nothing can be approved or run")
    return "\n".join(lines)
