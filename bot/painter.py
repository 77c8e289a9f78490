"""Pictures are drawn in a process of their own: Matplotlib holds the interpreter for tenths of a second, and whoever
clicks meanwhile would wait for it.

The process starts at the first picture, knows no secrets, and ends when we end or nothing was drawn for a while; the
next picture starts another. What goes to it is pickled: it is our own child, on a pipe of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import pickle
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from core.errors import Unavailable

IDLE = 600.0
"""Seconds without work after which the process ends and gives its memory back."""
_LENGTH = struct.Struct(">Q")
_KNOWN = ("PATH", "HOME", "LANG", "TMPDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "OMP_NUM_THREADS")


class Painter:
    """One process that draws, one picture at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    async def draw(self, draw: Callable[..., tuple[bytes, str]], *arguments: Any) -> tuple[bytes, str]:
        """What `draw(*arguments)` returns or raises. Raises Unavailable when no process lives."""
        try:
            order = pickle.dumps((draw, arguments))
        except (pickle.PicklingError, TypeError, AttributeError):  # something that cannot travel is drawn here
            return await asyncio.to_thread(self._here, draw, arguments)
        return await asyncio.to_thread(self._drawn, order)

    def _here(self, draw: Callable[..., tuple[bytes, str]], arguments: tuple[Any, ...]) -> tuple[bytes, str]:
        with self._turn:
            return draw(*arguments)

    def close(self) -> None:
        """End the process; a later picture starts another."""
        with self._turn:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(BrokenPipeError):  # what a dead child no longer takes
                process.stdin.close()  # type: ignore[union-attr]
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]

    def _drawn(self, order: bytes) -> tuple[bytes, str]:
        for _ in range(2):  # the process may have ended of idleness at this very moment
            try:
                with self._turn:
                    made, fault = self._ask(order)
                break
            except (OSError, EOFError):
                self.close()
        else:
            raise Unavailable("the process that draws pictures ended twice; see its words above")
        if fault is not None:
            raise fault
        return made

    def _ask(self, order: bytes) -> Any:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            known = {name: os.environ[name] for name in _KNOWN if name in os.environ}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bot.painter"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env=known | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )  # fmt: skip
        into, out = self._process.stdin, self._process.stdout
        into.write(_LENGTH.pack(len(order)) + order)  # type: ignore[union-attr]
        into.flush()  # type: ignore[union-attr]
        return pickle.loads(_read(out))


def _read(pipe: Any) -> bytes:
    """One message. Raises EOFError when the other side is gone."""
    head = pipe.read(_LENGTH.size)
    body = pipe.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    if not body:
        raise EOFError
    return body


PAINTER = Painter()
atexit.register(PAINTER.close)


def main() -> None:
    """The child's side: draw what comes until nothing comes."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end closes the pipe
    os.nice(5)
    into, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    while select.select([into], [], [], IDLE)[0]:
        try:
            draw, arguments = pickle.loads(_read(into))
        except EOFError:
            return
        try:
            answer = draw(*arguments), None
        except Exception as fault:  # noqa: BLE001 (raised again on the other side)
            answer = None, fault
        body = pickle.dumps(answer)
        out.write(_LENGTH.pack(len(body)) + body)
        out.flush()


if __name__ == "__main__":
    main()
