"""`investigate`: what caused it? Of a recorded case, or of an incident once more."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 31

DESCRIPTION = """Rank the causes, with evidence. Nothing is changed and nothing is posted.

  python -m bot investigate --case DIR               a recorded case; its sealed truth (case.toml) is never read
  python -m bot investigate --case DIR --json        ranked causes with posteriors, claims with citations, gaps, action
  python -m bot investigate --incident ID            an incident once more, over what the stores hold today
  python -m bot investigate --incident ID --replay   from its frozen snapshots: says whether the hypothesis is the same

A case is a folder with alert.json, telemetry.jsonl, lineage.jsonl, changes.jsonl, schema.json; all but the first may be
missing. `python -m bot simulate D3` writes one."""


def add(verbs: argparse._SubParsersAction) -> None:
    one = verb(verbs, "investigate", "find the cause of a recorded case or, again, of an incident", DESCRIPTION)
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("--case", type=Path, metavar="DIR", help="the folder of a recorded case")
    what.add_argument("--incident", metavar="ID", help="an incident's id (its beginning is enough)")
    one.add_argument("--replay", action="store_true", help="with --incident: from its snapshots; exit 1 if it differs")
    one.add_argument("--json", action="store_true", help="as JSON")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot.compose import cases
    from core import policy, settings
    from core.errors import MiddlewatchError

    loaded = settings.load()
    rules = policy.load(loaded.policy)
    if args.case is None:
        return await _incident(args, loaded, rules)
    if args.replay:
        raise MiddlewatchError("--replay is for --incident: a case is always answered from its files")
    try:
        found = cases.answer(args.case, rules)
    except (ValueError, OSError) as error:
        raise MiddlewatchError(str(error)) from None
    print(json.dumps(found, allow_nan=False) if args.json else "\n".join(in_words(found)))
    return 0


async def _incident(args: argparse.Namespace, loaded: Any, rules: Any) -> int:
    import msgspec

    from bot.cli.incident import in_full
    from bot.compose import cases

    about = await cases.incident(loaded, rules, args.incident)
    if args.replay:
        found = cases.replayed(about, rules)
        differs = cases.differences(about.hypothesis, found)
    else:
        found, differs = await cases.afresh(loaded, rules, about, time.time()), []
    if args.json:
        print(json.dumps({"incident": about.id, "replay": args.replay, "same": not differs, "differs": differs,
                          "hypothesis": msgspec.to_builtins(found)}))  # fmt: skip
    else:
        print(in_full(msgspec.structs.replace(about, hypothesis=found, timeline=[])))
    if args.replay and not args.json:
        print(f"\nreplay: {'the same hypothesis' if not differs else 'NOT the same: ' + ', '.join(differs)}")
    return 1 if differs else 0


def in_words(found: Mapping[str, Any]) -> Iterator[str]:
    """The answer to a case as a person reads it."""
    sure = f"confidence {found['confidence']:.2f}"
    yield f"{found['headline']}  ({sure}{', NOT SURE: a person must look' if found['abstained'] else ''})"
    remedy = found["remediation"]
    nothing = remedy["action"] == "NOTHING"
    yield "proposed: nothing" if nothing else f"proposed: {remedy['action']} on {remedy['object']} ({found['action']})"
    change = found["change"]
    yield f"change: {change}" + ("" if change == "none" else f" (sure to {found['change_confidence']:.2f})")
    yield f"nothing is broken: {found['benign']:.2f}"
    yield ""
    yield "causes, likeliest first:"
    for cause in found["causes"][:5]:
        yield f"  {cause['posterior']:.2f}  {cause['name']} ({cause['kind']}): {cause['type']}"
        for part in cause["contributions"][:3]:
            yield f"          {part['nats']:+.1f} nats  {part['what']} at {part['node']}"
    yield ""
    for claim in found["claims"]:
        yield f"- {claim['text']} [{', '.join(c['row_id'] for c in claim['citations'])}]"
    for gap in found["gaps"]:
        yield f"could not check: {gap['what']} ({gap['why']})"
