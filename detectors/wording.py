"""The JSON in which a closed window's signals are told, written from arrays: no Python object for each of its numbers.

All but the numbers is the same in every window that has one baseline, so it is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec
import numpy as np

from core.findings import Summary

ROWS, NULLS, COUNTS, NUMBER, DISTINCT, TOP = range(6)
"""What stands in a gap: the window's rows, a column's nulls, its counts, the next of the other numbers, how many of its
levels came, the most frequent of them."""

Told = tuple[int, str, int, int, int, list[float], list[str]]
"""Column, signal, its first and last shown bin, row among the number columns or -1, cuts, levels."""
Part = tuple[bytes, int, int]
"""Text, and the gap behind it: what stands there, and of which of the told columns."""


class Wording:
    """The text around the numbers of all told columns, and the numbers put into it."""

    def __init__(self, told: Sequence[Told]):
        self.column = np.array([one[0] for one in told], np.int64)
        self.row = np.array([one[4] for one in told], np.int64)
        self.bins = np.array([one[2:4] for one in told], np.int64).reshape(-1, 2)
        self.signals = [one[1] for one in told]
        parts = list(_parts(told))
        self.text, self.ends = _joined([text for text, _, _ in parts] + [b',"value":null}}' if told else b"{}"])
        self.gaps = np.array([gap for _, *gap in parts], np.int32).reshape(-1, 2)
        self.levels, self.level_ends = _joined([msgspec.json.encode(level) for one in told for level in one[6]])
        self.first_level = np.array([0, *accumulate(len(one[6]) for one in told)], np.int64)

    def told(self, rows: int, counts: np.ndarray, summaries: np.ndarray, psi: np.ndarray) -> bytes:
        """Counts f8[S] in the shown bins, `closing.summaries` f8[V, 9], PSI f8[C] of a window of so many rows."""
        from detectors.closing import in_order, written

        numbers = msgspec.json.encode(in_order(summaries, psi, self.column, self.row).tolist())
        return written(
            self.text, self.ends, self.gaps, rows, counts, self.bins, self.levels, self.level_ends, self.first_level,
            np.frombuffer(numbers, np.uint8),
        ).tobytes()  # fmt: skip


def _parts(told: Sequence[Told]) -> Iterator[Part]:
    """The parts of the text in their order: those of `SignalWindow`, `Summary` and `Histogram`."""
    before = b"{"
    for k, (_, signal, _, _, row, cuts, levels) in enumerate(told):
        yield before + msgspec.json.encode(signal) + b':{"summary":{"rows":', ROWS, 0
        yield b',"nulls":', NULLS, k
        text = b""
        for name in Summary.__struct_fields__[2:]:
            text += f',"{name}":'.encode()
            gap = DISTINCT if name == "distinct" else TOP if name == "top" else NUMBER
            if (gap == NUMBER) == (row >= 0):
                yield text, gap, k
                text = b""
            else:
                text += b"null"
        yield text + b'},"histogram":{"counts":[', COUNTS, k
        held = msgspec.json.encode({"cuts": cuts, "levels": levels})[1:]
        yield b"]," + held + b',"psi":', NUMBER, k
        before = b',"value":null},'


def _joined(texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(all of them u1, where each ends i8[n + 1])"""
    return np.frombuffer(b"".join(texts) or b"\0", np.uint8), np.array([0, *accumulate(map(len, texts))], np.int32)
