"""`schema`: JSON Schemas for producers and for our own events."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bot.cli import verb

ORDER = 60

NAMES = (
    "InferenceServed",
    "LabelArrived",
    "ChangeRecorded",
    "WindowClosed",
    "Detected",
    "AlertFired",
    "AlertResolved",
    "DeadLetter",
)


def add(verbs: Any) -> None:
    one = verb(
        verbs, "schema", "JSON Schemas of the events on the wire",
        "Print the JSON Schema of one event, or of all of them.\n\n"
        "  python -m bot schema InferenceServed      what a model server publishes on inference.<tenant>.<model>",
    )  # fmt: skip
    one.add_argument("event", nargs="?", choices=NAMES, metavar="EVENT", help=", ".join(NAMES))
    one.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import msgspec

    from core import events

    wanted = [args.event] if args.event else list(NAMES)
    schemas = {name: msgspec.json.schema(getattr(events, name)) for name in wanted}
    print(json.dumps(schemas[args.event] if args.event else schemas, indent=2))
    return 0
