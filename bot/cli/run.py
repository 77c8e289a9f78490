"""`run TARGET`: one target in this process, as a line of the Procfile does."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import Any

from bot.cli import verb
from bot.cli.up import say_ready, workspace

ORDER = 12

DESCRIPTION = """Run one target. `honcho start` runs all of them, one process each (see Procfile).

  detect         reads inference events and labels; publishes closed windows and alerts
  investigate    opens incidents, ranks causes, writes the hypothesis
  converse       Slack: cards, commands, approvals
  act            runs approved plans; the only target that holds deploy credentials (DEPLOY_TOKEN)
  forecast       looks at the next 24 hours of every SLO; warns where that has proven itself
  servers        nats-server and valkey on loopback, data under var/ (idles when NATS_URL and REDIS_URL are set)
  workspace      the local workspace (idles when SLACK_BOT_TOKEN is set)

  python -m bot run detect               reads on from its last snapshot; a second one stands by as a spare"""

NAMES = ("detect", "investigate", "converse", "act", "forecast", "servers", "workspace")


def add(verbs: Any) -> None:
    one = verb(verbs, "run", "one target", DESCRIPTION)
    one.add_argument("target", choices=NAMES, metavar="TARGET", help=", ".join(NAMES))
    one.add_argument("--ready-file", type=Path, metavar="FILE", help="write JSON there once everything is loaded")
    one.add_argument("--port", type=int, default=8765, help="port of the workspace's page (0 takes a free one)")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from core import policy, settings

    loaded = settings.load()
    if args.target == "servers":
        from bot.compose import servers

        local = not (loaded.nats_url and loaded.redis_url)
        await (servers(loaded) if local else _idle())
    elif args.target == "workspace":
        if loaded.real_slack:
            await _idle()
        async with workspace(loaded.var, args.port):
            await _idle()
    else:
        from bot import compose

        rules = policy.load(loaded.policy)
        await compose.serve([args.target], loaded, rules, lambda _: args.ready_file and say_ready(args.ready_file))
    return 0


async def _idle() -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await stop.wait()
