"""`incident`: what the cards say, with no Slack."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from bot.cli import verb

ORDER = 20

DESCRIPTION = """Everything a card says, in the terminal.

  python -m bot incident                 all incidents, newest first
  python -m bot incident ID              one, in full: facts, hypothesis with its evidence, plan, timeline
  python -m bot incident ID --json       the same as data"""


def add(verbs: Any) -> None:
    one = verb(verbs, "incident", "list incidents, or show one", DESCRIPTION)
    one.add_argument("id", nargs="?", metavar="ID", help="an incident's id (its beginning is enough)")
    one.add_argument("--json", action="store_true", help="as JSON")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    import msgspec

    from bot import compose
    from core import policy, settings
    from core.errors import MiddlewatchError

    loaded = settings.load()
    async with compose.ground(loaded, policy.load(loaded.policy), "incident") as house:
        incidents = await house.views.incidents.all()
    if args.id is None:
        if args.json:
            print(msgspec.json.encode(incidents).decode())
        else:
            print("\n".join(_line(i) for i in incidents) or "no incidents")
        return 0
    found = [i for i in incidents if i.id.startswith(args.id)]
    if len(found) != 1:
        raise MiddlewatchError(f"{len(found)} incidents start with {args.id!r}; `python -m bot incident` lists them")
    if args.json:
        print(json.dumps(msgspec.to_builtins(found[0]), indent=2))
    else:
        print(in_full(found[0]))
    return 0


def _line(incident: Any) -> str:
    from core.events import iso

    said = incident.hypothesis
    what = said.headline if said else "being investigated"
    return (
        f"{incident.id}  {incident.severity}  {incident.state:<10} {incident.model:<20} {iso(incident.onset)}  {what}"
    )


def in_full(incident: Any) -> str:
    """The card as plain text."""
    from core.events import iso

    lines = [
        f"{incident.severity}  {incident.model} version {incident.version}: {incident.kind}  [{incident.state}]",
        f"since {iso(incident.onset)} (event time), noticed {iso(incident.opened)}",
    ]
    for alert in incident.alerts:
        for d in alert.detections:
            effect = "" if d.effect is None else f", effect {d.effect:.2f}"
            lines.append(f"  {d.signal}: {d.detector} {d.statistic:.3g} > {d.threshold:.3g}{effect}")
    if said := incident.hypothesis:
        lines += ["", f"{said.headline}  (confidence {said.confidence:.2f}, written by {said.written_by})"]
        if said.abstained:
            lines.append(f"Not sure. Needs a person: {said.missing}")
        lines += [f"  - {c.text} [{', '.join(c.citations)}]" for c in said.claims]
        lines += [f"  could not check: {g.what} ({g.why})" for g in said.gaps]
        lines += [f"  {e.id}  {e.title}  sha256 {e.digest[:12]}" for e in said.evidence]
    if plan := incident.plan:
        lines += ["", f"proposed: {plan.summary}", f"  undo: {plan.undo}", f"  {plan.success.sentence()}"]
    if incident.outcome:
        lines += ["", incident.outcome.text]
    lines.append("")
    for entry in incident.timeline:
        at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(entry.at))
        lines.append(f"{at}  {entry.actor:<12} {entry.what}" + (f" ({entry.reason})" if entry.reason else ""))
    return "\n".join(lines)
