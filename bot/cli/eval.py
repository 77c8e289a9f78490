"""`eval`: how often the investigation is right, on recorded cases or on fresh ones."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bot.cli import verb

ORDER = 32
CASES = Path(__file__).resolve().parents[2] / "tests" / "agents" / "cases"

DESCRIPTION = """Answer cases whose truth is sealed, and score the answers.

  python -m bot eval                         the recorded cases
  python -m bot eval FOLDER ...              your own: a case, or a folder of cases
  python -m bot eval --seeds 1000..1099      a hundred fresh incidents of the simulator, drawn now
  python -m bot eval --seeds 1000..1099 --profile D3     of one type only
  python -m bot eval --json > report.json    everything as data
  python -m bot eval --figure FILE.svg       the reliability figure: confidence said against how often it was right

AC@1, AC@3: the faulty node is first, among the first three. type: the kind of fault. specificity: nothing is broken,
and it says so. shown_precision: right, of what is not withheld as "Not sure". ece: how far confidence is off."""


def add(verbs: argparse._SubParsersAction) -> None:
    one = verb(verbs, "eval", "score the investigation on recorded or fresh incidents", DESCRIPTION)
    one.add_argument("cases", nargs="*", type=Path, metavar="CASES", help="case folders, or folders of them")
    one.add_argument("--seeds", metavar="A..B", help="draw fresh incidents with these seeds instead")
    one.add_argument("--profile", default="triage", help="with --seeds: standard, triage (a fifth benign) or one type")
    one.add_argument("--figure", type=Path, metavar="FILE", help="write the reliability figure as SVG")
    one.add_argument("--json", action="store_true", help="the report as JSON")
    one.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from bot.compose import cases
    from bot.progress import bar
    from bot.simulator.evaluate import evaluate, folders, fresh, seeds, table
    from core import policy, settings
    from core.errors import MiddlewatchError

    rules = policy.load(settings.load().policy)
    answer = lambda folder: cases.answer(folder, rules)  # noqa: E731
    try:
        if args.seeds:
            report = fresh(seeds(args.seeds), answer, bar(sys.stderr), args.profile)
        else:
            report = evaluate(folders(args.cases or [CASES]), answer, bar(sys.stderr))
    except ValueError as error:
        raise MiddlewatchError(str(error)) from None
    if args.figure:
        from bot.simulator.reliability import svg

        ece = report["measures"].get("ece", {}).get("mean", 0.0)
        args.figure.write_text(svg(report["reliability"], f"{report['cases']} incidents, ECE {ece:.3f}"))
    print(json.dumps(report) if args.json else "\n".join(table(report)))
    return 0
