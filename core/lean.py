"""Import a library without the optional libraries that it would load and that we do not use: memory, not speed."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any


class _Hidden:
    """A finder for `sys.meta_path`: to one thread, some packages are not installed."""

    def __init__(self, packages: Sequence[str]):
        self.packages, self.thread = frozenset(packages), threading.get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in self.packages and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(f"{name} is left out here: it is optional and heavy", name=name)


@contextlib.contextmanager
def without(*packages: str) -> Iterator[None]:
    """Imports in this block, in this thread, find `packages` not installed, unless they are loaded already.

    For libraries that treat them as optional (`try: import ... except ImportError`).

    >>> with without("this"):
    ...     import this
    Traceback (most recent call last):
    ModuleNotFoundError: this is left out here: it is optional and heavy
    """
    finder = _Hidden(packages)
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    try:
        yield
    finally:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]
