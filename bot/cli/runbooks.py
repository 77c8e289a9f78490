"""`runbooks`: what an author of runbooks needs: lint, try, search, coverage; and rank, tune."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 40

DESCRIPTION = """A runbook is one Markdown file in runbooks/ (or RUNBOOKS). Add it, lint it, try it, commit it.

  python -m bot runbooks lint                          schema, dead links, unknown ids, with file and line
  python -m bot runbooks try runbooks/my-runbook.md    which past incidents would now retrieve it
  python -m bot runbooks search "temperatures are wrong since the deployment"
  python -m bot runbooks coverage                      causes, detectors and incidents that no runbook speaks of
  python -m bot runbooks tune                          learn from the team's own incidents; kept only if it wins
  python -m bot runbooks rank --corpus corpus.jsonl --sections sections.jsonl --queries queries.jsonl --run out.trec"""


def add(verbs: Any) -> None:
    one = verb(verbs, "runbooks", "lint, try, search, coverage, rank, tune", DESCRIPTION)
    kinds = one.add_subparsers(dest="what", metavar="WHAT", required=True)
    kinds.add_parser("lint", help="complaints with file and line; exit 1 if there are any")
    tried = kinds.add_parser("try", help="what a runbook would change")
    tried.add_argument("file", type=Path)
    search = kinds.add_parser("search", help="the sections that fit some words")
    search.add_argument("words", help="what you would ask")
    search.add_argument("--top", type=int, default=5, help="how many (5)")
    search.add_argument("--json", action="store_true", help="as JSON")
    kinds.add_parser("coverage", help="what no runbook speaks of")
    kinds.add_parser("tune", help="fine-tune the encoder on the team's own incidents")
    rank = kinds.add_parser("rank", help="rank a BEIR-like benchmark into a TREC run")
    rank.add_argument("--corpus", type=Path, required=True, help="corpus.jsonl")
    rank.add_argument("--sections", type=Path, help="sections.jsonl")
    rank.add_argument("--queries", type=Path, required=True, help="queries.jsonl")
    rank.add_argument("--run", type=Path, required=True, dest="out", help="where to write the run")
    rank.add_argument(
        "--everywhere",
        action="store_true",
        help="all runbooks alike; otherwise those of a query's own `source` come first",
    )
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from core import policy, settings

    loaded = settings.load()
    return await WHAT[args.what](args, loaded, policy.load(loaded.policy))


async def _lint(args: argparse.Namespace, loaded: Any, rules: Any) -> int:
    from bot.compose import library

    complaints = await library.lint(loaded)
    print("\n".join(complaints) or f"no complaints about {loaded.runbooks}")
    return 1 if complaints else 0


async def _search(args: argparse.Namespace, loaded: Any, rules: Any) -> int:
    import msgspec

    from bot.compose import library

    found = await library.search(loaded, args.words, args.top)
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    for passage in found:
        c = passage.citation
        print(f"{c.relevance:.2f}  {c.file}#{c.heading}\n      {' '.join(c.text.split())[:160]}")
    if not found:
        print("no runbook fits")
    return 0


async def _try(args: argparse.Namespace, loaded: Any, rules: Any) -> int:
    from bot.compose import library

    tried, asked = await library.attempt(loaded, rules, args.file)
    for complaint in tried.complaints:
        print(complaint)
    for row in tried.retrieves:
        instead = f", instead of {row.before}" if row.before and row.before != tried.file else ""
        print(f"{row.incident}: would cite {tried.file}#{row.heading} ({row.relevance:.2f}){instead}")
    if not asked:
        print(
            "no incident is over yet in the views, so there is none to try it on (see `python -m bot simulate --help`)"
        )
    else:
        print(f"{len(tried.retrieves)} of {asked} past incidents would retrieve it")
    return 1 if tried.complaints else 0


async def _coverage(args: argparse.Namespace, loaded: Any, rules: Any) -> int:
    from bot.compose import library

    found = await library.coverage(loaded, rules)
    for what in ("causes", "detectors", "signals", "incidents", "overdue"):
        print(f"{what:<10} {', '.join(getattr(found, what)) or 'all covered'}")
    return 0


async def _tune(args: argparse.Namespace, loaded: Any, rules: Any) -> int:
    from bot.compose import library
    from core.errors import MiddlewatchError

    try:
        tuned = await library.tune(loaded, rules, progress("learning"))
    except ValueError as few:
        raise MiddlewatchError(str(few)) from None
    verdict = "kept" if tuned.kept else "not kept: it did not win"
    print(f"before {tuned.before:.3f}, after {tuned.after:.3f} on {tuned.held_out} questions held out: {verdict}")
    return 0


async def _rank(args: argparse.Namespace, loaded: Any, rules: Any) -> int:
    from bot.compose import library
    from core.errors import MiddlewatchError

    said = progress("ranking")
    files = (args.corpus, args.sections, args.queries, args.out)
    try:
        number = await asyncio.to_thread(library.rank, loaded, *files, args.everywhere, said)
    except (ValueError, OSError) as wrong:
        raise MiddlewatchError(str(wrong)) from None
    print(f"{number} queries ranked into {args.out}")
    return 0


WHAT = {"lint": _lint, "try": _try, "search": _search, "coverage": _coverage, "tune": _tune, "rank": _rank}


def progress(what: str) -> Callable[[int, int], None]:
    """A line on stderr that counts up; silent when stderr is not a terminal."""

    def said(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return said
