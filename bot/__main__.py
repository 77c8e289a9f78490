"""The command line: `python -m bot ...`, also installed as `middlewatch`. Teaches by `--help`; imports late."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import logging
import os
import sys
from collections.abc import Sequence

from core.errors import MiddlewatchError

ABOUT = """Middlewatch keeps the night watch over machine-learning models in production."""

EXAMPLES = """examples:
  python -m bot demo                     the whole story on real flights, in the browser
  python -m bot up                       every target in one process (local servers and workspace if none are given)
  python -m bot run detect               one target; `honcho start` runs them all (see Procfile)
  python -m bot check                    validate environment and policy, ping everything, print the effective policy
  python -m bot incident                 what is open; `incident ID` shows one as its card would
  python -m bot audit verify             prove that the audit log is whole and unaltered
  python -m bot schema                   JSON Schemas for producers

environment (all optional): NATS_URL REDIS_URL SLACK_API_URL SLACK_BOT_TOKEN SLACK_APP_TOKEN LLM_URL LLM_MODEL
  CHROMA_URL POLICY RUNBOOKS LINEAGE MLFLOW_TRACKING_URI DEPLOY_TOKEN MIDDLEWATCH_VAR.
  What is absent is started locally or done without.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line. Verbs are added by the files of `bot/cli/`."""
    from bot import cli

    top = argparse.ArgumentParser(
        prog="python -m bot", description=ABOUT, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--verbose", "-v", action="store_true", help="say more in the log")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    cli.add_all(verbs)
    return top


def _few_arenas() -> None:
    """glibc gives each thread a heap of its own; a handful of threads would then hold hundreds of idle megabytes."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; its exit status. Errors made on purpose print one line, without a trace."""
    args = parser().parse_args(arguments)
    _few_arenas()
    level = logging.DEBUG if args.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s", datefmt="%H:%M:%S")
    for noisy in (
        "sentence_transformers",
        "faststream",
        "slack_bolt",
        "slack_sdk",
        "chromadb",
        "httpx",
        "matplotlib",
        "aiohttp.access",
        "nats",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        result = args.run(args)
        if asyncio.iscoroutine(result):
            result = asyncio.run(result)
        return int(result or 0)
    except MiddlewatchError as error:
        print(f"middlewatch: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
