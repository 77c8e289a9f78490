"""`simulate`: an incident of a chosen type, as a recorded case or through the whole product."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 30

DESCRIPTION = """Draw an incident: a tenant with its lineage, telemetry, change log, decoys, one fault and its alert.

  python -m bot simulate D3                  a unit change, written as a case folder under var/cases
  python -m bot simulate concept_drift --seed 7 --out DIR
  python -m bot simulate D3 --live           publish it: the real servers, every target, the incident that comes of it
  python -m bot simulate --list              the types: id, cause, where it begins
  python -m bot simulate --library DIR       write the library of recorded cases again (138 of them)
  python -m bot simulate --self-test 40      is the simulator itself fit to score anyone? (1000 is the whole of it)

The same type and seed give the same bytes. `python -m bot investigate --case DIR` answers the case."""


def add(verbs: argparse._SubParsersAction) -> None:
    one = verb(verbs, "simulate", "draw an incident of a type: a case folder, or --live", DESCRIPTION)
    one.add_argument("type", nargs="?", metavar="TYPE", help="id or cause of a type, or `standard` / `triage` for any")
    one.add_argument("--seed", type=int, default=0, metavar="N", help="what to draw it from (default 0)")
    one.add_argument("--out", type=Path, metavar="DIR", help="the case folder to write (default var/cases/TYPE-SEED)")
    one.add_argument("--live", action="store_true", help="through the whole product instead of into a folder")
    one.add_argument("--list", action="store_true", help="list the types")
    one.add_argument("--library", type=Path, metavar="DIR", help="write the library of recorded cases there")
    one.add_argument("--self-test", type=int, metavar="N", help="check the simulator on N episodes; exit 1 if it fails")
    one.add_argument("--json", action="store_true", help="say what came of it as JSON")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from core import settings
    from core.errors import MiddlewatchError

    if args.list:
        print("\n".join(_types()))
        return 0
    if args.library is not None:
        from bot.progress import bar
        from bot.simulator.library import write

        print(f"{len(write(args.library, bar(sys.stderr)))} cases under {args.library}")
        return 0
    if args.self_test is not None:
        return _self_test(args.self_test, args.json)
    if args.type is None:
        raise MiddlewatchError("name a type of incident; `python -m bot simulate --list` shows them")
    if args.seed < 0:
        raise MiddlewatchError(f"--seed {args.seed} is below 0: seeds are 0, 1, 2 ...")
    from bot.simulator.episode import generate

    loaded = settings.load()
    try:
        episode = generate(args.seed, args.type)
        return await (_live(episode, loaded, args) if args.live else _recorded(episode, loaded, args))
    except ValueError as error:
        raise MiddlewatchError(f"{error}\nTypes and causes: python -m bot simulate --list") from None


async def _recorded(episode: Any, loaded: Any, args: argparse.Namespace) -> int:
    from bot.simulator.record import record

    folder = record(episode, args.out or loaded.var / "cases" / f"{args.type}-{args.seed}")
    alert = episode.visible.alert
    if args.json:
        print(json.dumps({"folder": str(folder), "alert": alert}))
        return 0
    size = sum(p.stat().st_size for p in folder.iterdir()) // 1000
    print(f"{folder}: {size} kB; the alert is on {alert['metric']} of {alert['node']} at {alert['ts']}")
    print(f"the truth is sealed in {folder / 'case.toml'}")
    print(f"now: python -m bot investigate --case {folder}")
    return 0


async def _live(episode: Any, loaded: Any, args: argparse.Namespace) -> int:
    """Exit 1 when nothing was noticed."""
    from bot.progress import bar
    from bot.simulator.live import play

    incidents = await play(episode, loaded, bar(sys.stderr))
    truth = episode.truth.plain()
    if args.json:
        print(json.dumps({"truth": truth, "incidents": incidents}))
        return 0 if incidents else 1
    root = truth.get("root")
    print(f"what was wrong: {truth['type']}" + (f" at {root['node']}" if root else ": nothing, it is benign"))
    if not incidents:
        print("nothing was noticed")
    for incident in incidents:
        said = incident.get("hypothesis")
        verdict = "no diagnosis in time" if said is None else f"{said['headline']} ({said['confidence']:.2f})"
        sure = " [not sure]" if said and said.get("abstained") else ""
        print(f"{incident['id']}  {incident['severity']}  {incident['model']}: {verdict}{sure}")
        for claim in (said or {}).get("claims", ()):
            print(f"  - {claim['text']} [{', '.join(claim['citations'])}]")
    return 0 if incidents else 1


def _types() -> list[str]:
    from bot.simulator.catalogue import TYPES
    from bot.simulator.wire import LIVE

    lines = [f"{'id':<5}{'cause':<24}{'begins at':<30}live"]
    for kind in TYPES.values():
        where = ", ".join(kind.origins) + (" (benign)" if kind.benign else "")
        lines.append(f"{kind.id:<5}{kind.cause:<24}{where:<30}{'yes' if kind.id in LIVE else ''}".rstrip())
    return lines


def _self_test(episodes: int, as_json: bool) -> int:
    from bot.progress import bar
    from bot.simulator.selftest import self_test

    say = bar(sys.stderr)
    say(0, 1, f"{episodes} episodes")
    checks = self_test(episodes)
    say(1, 1, "done")
    if as_json:
        print(json.dumps([check.plain() for check in checks]))
    else:
        for check in checks:
            word = "ok  " if check.ok else "FAIL"
            print(f"{word}  {check.name:<44} {check.value:9.4g}  in {check.low:g} .. {check.high:g}  (n={check.n})")
    return 0 if all(check.ok for check in checks) else 1
