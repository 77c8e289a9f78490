"""Ids of served predictions: as texts, as Arrow holds them, and as 64-bit keys, which is all that is remembered.

A key is 0 for an empty id. Among a million remembered predictions the chance that any two share a key is one in forty
million.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np


class Ids(Sequence[str]):
    """Texts as Arrow holds them: text i is `data[ends[i]:ends[i + 1]]` in UTF-8. No Python object each."""

    def __init__(self, data: np.ndarray, ends: np.ndarray):
        """`data` u1, `ends` i8[n + 1]."""
        self.data, self.ends = data, ends

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: Any) -> Any:
        """One text; or those of a slice or an integer array, as a list."""
        if isinstance(index, slice | np.ndarray):
            return [self._text(i) for i in np.arange(len(self))[index].tolist()]
        return self._text(range(len(self))[index])

    def __iter__(self) -> Iterator[str]:
        return map(self._text, range(len(self)))

    def _text(self, i: int) -> str:
        return self.data[self.ends[i] : self.ends[i + 1]].tobytes().decode("utf-8", "replace")


def keys(ids: Sequence[str]) -> np.ndarray:
    """Key of every id, u8[n]."""
    if not isinstance(ids, Ids):
        ids = _packed(ids)
    from detectors.ring import hashed

    return hashed(ids.data, ids.ends)


def _packed(ids: Sequence[str]) -> Ids:
    data = "".join(ids).encode("utf-8", "surrogatepass")
    ends = np.array([0, len(data)] if len(ids) == 1 else [*accumulate(map(len, ids), initial=0)], np.int64)
    if ends[-1] != len(data):
        ends = np.array([*accumulate((len(i.encode("utf-8", "surrogatepass")) for i in ids), initial=0)], np.int64)
    return Ids(np.frombuffer(data or b"\0", np.uint8), ends)
