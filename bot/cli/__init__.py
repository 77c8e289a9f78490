"""One file per verb of the command line: `add(verbs)` teaches argparse, `run(args)` does it. Found by name."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from typing import Any


def add_all(verbs: Any) -> None:
    """Add every verb of this folder, in the order of their `ORDER`."""
    found = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    for module in sorted(found, key=lambda m: getattr(m, "ORDER", 50)):
        module.add(verbs)


def verb(verbs: Any, name: str, help: str, description: str = "") -> argparse.ArgumentParser:
    """A sub-parser whose help shows its examples as written."""
    return verbs.add_parser(
        name, help=help, description=description or help, formatter_class=argparse.RawDescriptionHelpFormatter
    )
