"""The commands, by slash command, mention, direct message and agent panel alike: one table, one dispatcher.

A command is a coroutine function `(desk, asked) -> Answer` registered with `@command`. Reading is for everyone;
writing needs the role policy asks for, and happens only where the channel can see it.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from bot.blocks import code, escape
from bot.conversation.answer import Answer, Asked
from bot.conversation.entities import Unclear
from bot.desk import Desk
from core.errors import Refused

Run = Callable[[Desk, Asked], Awaitable[Answer]]


@dataclass(frozen=True)
class Command:
    """One command. `examples` are ways of asking for it in free text, without names and times."""

    name: str
    usage: str
    help: str
    run: Run
    writes: bool = False
    examples: tuple[str, ...] = ()


COMMANDS: dict[str, Command] = {}
_MODULES = ("look", "telemetry", "around", "lineage", "tell", "rebaseline", "shift")


def command(usage: str, help: str, *, writes: bool = False, examples: tuple[str, ...] = ()) -> Callable[[Run], Run]:
    """Register a command under the first word of its usage."""

    def register(run: Run) -> Run:
        name = usage.split()[0]
        COMMANDS[name] = Command(name, usage, help, run, writes, examples)
        return run

    return register


def commands() -> dict[str, Command]:
    """Every command, in the order of the help."""
    for module in _MODULES:
        import_module(f"bot.conversation.{module}")
    return COMMANDS


def parse(text: str) -> tuple[Command | None, list[str]]:
    """(command, words after it); (None, all words) when the first word is no command."""
    words = text.replace("’", "'").split()
    if not words:
        return commands()["help"], []
    known = commands()
    first = words[0].lower().strip(":,")
    return (known[first], words[1:]) if first in known else (None, words)


async def run(desk: Desk, found: Command, asked: Asked) -> Answer:
    """The answer of one command; what was unclear or refused is an answer too. Raises only what is a fault of ours."""
    if found.writes and asked.read_only:
        return Answer.of(
            f"Direct messages and the panel only read. Say {code(f'/mw {found.name}')} in the "
            "incident's channel, where others can see it."
        )
    try:
        return await found.run(desk, asked)
    except Unclear as unclear:
        options = [f"{found.name} {o}" for o in unclear.options]
        return Answer.of(unclear.reason + (" Did you mean:" if options else ""), options=options)
    except Refused as refusal:
        return Answer.of(escape(refusal.reason, 600))


def guess(word: str) -> list[str]:
    """Commands spelt nearly like `word`."""
    return difflib.get_close_matches(word.lower(), list(commands()), 3, 0.6)


@command("help", "this list", examples=("what can you do", "how do I use this", "help me"))
async def help_(desk: Desk, asked: Asked) -> Answer:
    reading = [c for c in commands().values() if not c.writes]
    writing = [c for c in commands().values() if c.writes]

    def listed(some: list[Command]) -> str:
        return "\n".join(f"{code('/mw ' + c.usage, 120)}  {escape(c.help)}" for c in some)

    return Answer.of(
        "*What you can ask*, here, by mention or in a direct message:\n" + listed(reading),
        "*What you can do*, in the incident's channel, with the role it needs:\n" + listed(writing),
        cites="Plain questions work too: “what changed before flight-delay went wrong?”",
    )
