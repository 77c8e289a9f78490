"""`check`: is everything there and right? Environment, policy, servers, Slack, runbooks."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

from bot.cli import verb

ORDER = 14

DESCRIPTION = """Validate the environment and the policy, ping what is outside, lint the runbooks.

  python -m bot check                what is fine, what is not, and what to do about it; exit 1 if something is not
  python -m bot check --policy       the effective policy: the shipped defaults with yours laid over them
  python -m bot check --slack        ask the Slack that is configured which scopes are missing"""


def add(verbs: Any) -> None:
    one = verb(verbs, "check", "validate everything, and say what to do", DESCRIPTION)
    one.add_argument("--policy", action="store_true", help="print the effective policy as TOML-like text")
    one.add_argument("--slack", action="store_true", help="only Slack: token, scopes, channel")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot.compose import answers
    from core import policy, settings

    loaded = settings.load()
    rules = policy.load(loaded.policy)
    if args.policy:
        print(effective(rules))
        return 0
    checks = answers.checks(loaded, rules)
    if args.slack:
        checks = {name: check for name, check in checks.items() if name == "slack"}
    bad = [name for name, check in checks.items() if not await _line(name, check)]
    print(f"\n{len(checks) - len(bad)} fine, {len(bad)} not" + (f": {', '.join(bad)}" if bad else ""))
    return 1 if bad else 0


async def _line(name: str, check: Callable[[], Awaitable[str]]) -> bool:
    from core.errors import MiddlewatchError

    try:
        print(f"ok    {name:<11} {await check()}", flush=True)
    except (MiddlewatchError, OSError) as error:
        print(f"NOT   {name:<11} {error}", flush=True)
        return False
    return True


def effective(rules: Any) -> str:
    """Every key with its value, one a line, as `section.key = value`."""
    import msgspec

    lines: list[str] = []

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            lines.append(f"{prefix} = {value!r}")

    walk("", msgspec.to_builtins(rules))
    return "\n".join(lines)
