"""`up`: every target in one process."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 11

log = logging.getLogger("middlewatch")

DESCRIPTION = """Run detect, investigate, converse, act and forecast in one process.

Without NATS_URL or REDIS_URL the real servers are started on loopback, with their data under var/. Without
SLACK_BOT_TOKEN a local workspace is started beside it: open the address it prints.

  python -m bot up                       with what the environment names, and local servers for what it does not
  python -m bot up --port 0              the local workspace on a free port"""


def add(verbs: Any) -> None:
    one = verb(verbs, "up", "every target in one process", DESCRIPTION)
    one.add_argument("--ready-file", type=Path, metavar="FILE", help="write JSON there once everything is loaded")
    one.add_argument("--port", type=int, default=8765, help="port of the local workspace, when there is no Slack")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot import compose
    from core import policy, settings

    loaded = settings.load()
    rules = policy.load(loaded.policy)
    began = time.monotonic()

    def ready(house: Any) -> None:
        log.info("warm: everything was loaded after %.1f s", time.monotonic() - began)
        if args.ready_file:
            say_ready(args.ready_file, pid=os.getpid(), seconds=round(time.monotonic() - began, 3))

    async with contextlib.AsyncExitStack() as stack:
        if not loaded.real_slack and not (loaded.var / "workspace.json").exists():
            await stack.enter_async_context(workspace(loaded.var, args.port))
        await compose.serve(compose.TARGETS, loaded, rules, ready)
    return 0


@contextlib.asynccontextmanager
async def workspace(var: Path, port: int) -> Any:
    """The local workspace in this process; `workspace.json` in `var` says where it is while it is there."""
    from bot.workspace import serve

    manifest = Path(__file__).resolve().parents[1] / "manifest.yaml"
    (var / "workspace").mkdir(parents=True, exist_ok=True)
    place = var / "workspace.json"
    async with await serve(port=port, data_dir=var / "workspace", manifest=manifest) as running:
        say_ready(place, url=running.url, api_url=running.api_url, pid=os.getpid())
        log.info("the local workspace (not Slack) is at %s", running.url)
        try:
            yield running
        finally:
            place.unlink(missing_ok=True)


def say_ready(path: Path, **facts: Any) -> None:
    """Write `facts` as JSON in one step: whoever sees the file sees all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(facts))
    partial.replace(path)
