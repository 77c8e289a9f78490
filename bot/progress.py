"""A progress bar for people; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

WIDTH = 30


def bar(out: TextIO) -> Callable[[int, int, str], None]:
    """`say(done, of, what)`: redraws one line on a terminal, says every tenth part elsewhere.

    >>> import sys; say = bar(sys.stdout); say(5, 10, "case-5")
    [###############...............] 5/10 case-5
    """
    alive, last = out.isatty(), [-1]

    def say(done: int, of: int, what: str) -> None:
        tenth = 10 * done // max(of, 1)
        filled = WIDTH * done // max(of, 1)
        line = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {done}/{of} {what}"
        if alive:
            out.write(f"\r{line[:100]:<100}" + ("\n" if done >= of else ""))
        elif tenth != last[0]:
            last[0] = tenth
            out.write(line.rstrip() + "\n")
        out.flush()

    return say
