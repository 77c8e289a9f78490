"""`demo`: the whole story on real flights, in the browser or headless."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 10

DESCRIPTION = """The main job, on real data: a flight-delay model goes wrong; Middlewatch notices, explains, repairs.

  python -m bot demo                          watch it in the browser and press the buttons
  python -m bot demo --headless --json out    the same story with people played over the network; exit 1 if a step fails

With SLACK_API_URL, SLACK_BOT_TOKEN and SLACK_APP_TOKEN set, the same demo talks to that Slack instead of the local
workspace; name who may approve there with --approver (a Slack user id). NATS_URL and REDIS_URL are used when set."""


def add(verbs: Any) -> None:
    one = verb(verbs, "demo", "the whole story on real flights, in the browser or headless", DESCRIPTION)
    one.add_argument("--headless", action="store_true", help="no browser: people are played over the network")
    one.add_argument("--json", type=Path, metavar="OUT", help="with --headless: write what was measured")
    one.add_argument("--port", type=int, default=8765, help="port of the workspace's page (0 takes a free one)")
    one.add_argument("--approver", action="append", metavar="USER", help="Slack user id that may approve (repeatable)")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot.demo.stage import APPROVERS, Stage
    from core import settings

    loaded = settings.load()
    port = 0 if args.headless else args.port
    stage = Stage(loaded, _say, port=port, approvers=tuple(args.approver or APPROVERS))
    return await (_headless(stage, args.json) if args.headless else _live(stage))


async def _live(stage: Any) -> int:
    from bot.demo.live import PROGRAMME, Live

    async with stage:
        where = stage.workspace_url or "your Slack"
        _say(f"\n  Middlewatch is watching. Open  {where}\n{PROGRAMME}\n  Ctrl+C ends it.\n")
        await Live(stage, _say).run()
    return 0


async def _headless(stage: Any, out: Path | None) -> int:
    from bot.demo.story import Story, failed
    from core.errors import MiddlewatchError

    story = None
    try:
        async with stage:
            story = Story(stage, _say)
            result = await story.run()
    except (MiddlewatchError, OSError, LookupError) as error:
        print(f"middlewatch: the story failed: {error}", file=sys.stderr)
        result = failed(error, story)
    if out:
        out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if result["ok"] else 1


def _say(line: str) -> None:
    print(line, flush=True)
