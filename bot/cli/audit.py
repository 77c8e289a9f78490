"""`audit`: prove that the audit log is whole and unaltered; export it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 30

DESCRIPTION = """The INCIDENTS stream is the audit log: append-only, each entry carrying the hash of the one before.

  python -m bot audit verify                 check the live log
  python -m bot audit export > log.ndjson    one entry a line, byte for byte as stored
  python -m bot audit verify log.ndjson      check an exported log, offline; a single altered byte is found"""


def add(verbs: Any) -> None:
    one = verb(verbs, "audit", "verify or export the audit log", DESCRIPTION)
    one.add_argument("what", choices=("verify", "export"))
    one.add_argument("file", nargs="?", type=Path, help="an exported log to verify instead of the live one")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from core.incidents import verify_chain

    if args.what == "verify" and args.file:
        entries = _exported(args.file)
    else:
        entries = await _stored()
    if args.what == "export":
        sys.stdout.buffer.write(b"".join(entry + b"\n" for entry in entries))
        return 0
    number = verify_chain(entries)
    print(f"audit log verified: {number} entries, every hash and every link holds")
    return 0


def _exported(file: Path) -> list[bytes]:
    """Lines as `export` wrote them: each ends in exactly one newline, so an altered one is found, too."""
    from core.errors import AuditError

    try:
        *entries, rest = file.read_bytes().split(b"\n")
    except OSError as error:
        raise AuditError(f"{file} cannot be read ({error.strerror}): name a file that `audit export` wrote") from None
    if rest:
        raise AuditError(f"entry {len(entries) + 1} of {file} does not end: the file was cut off or altered")
    return entries


async def _stored() -> list[bytes]:
    from bot import compose
    from core import policy, settings

    loaded = settings.load()
    async with compose.ground(loaded, policy.load(loaded.policy), "audit") as house:
        return [entry.data async for entry in house.bus.read("incident.>")]
