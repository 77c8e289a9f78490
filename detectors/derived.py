"""Inputs that are no numbers and no categories: free text and embedding vectors, each watched as one number.

Text: the share of its words that the reference never used. Vectors: the distance from the reference's mean in its own
spread, per dimension. Both wander up when inputs come from elsewhere.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

_WORD = re.compile(r"\w+", re.UNICODE)
MOST_WORDS = 20_000
LEAST_LENGTH = 20.0
"""Mean characters from which a mostly unique column of texts is free text, not identifiers."""
MOST_DIMENSIONS = 4_096


class Derived(Struct, kw_only=True):
    """How one input becomes one number. `kind` is text (with `words`, sorted hashes) or vector (mean and spread)."""

    source: str
    signal: str
    kind: str
    words: bytes = b""
    mean: list[float] = []
    spread: list[float] = []


def learn_derived(name: str, values: Any) -> Derived | None:
    """For `feature:<name>`: what it needs to be watched as a number, or None when it is an ordinary feature."""
    if not isinstance(values, list):
        return None
    some = [v for v in values[:2_000] if v is not None]
    if not some:
        return None
    short = name.partition(":")[2]
    if all(isinstance(v, list | tuple) for v in some):
        return _vector(name, short, values)
    texts = [v for v in some if isinstance(v, str)]
    if len(texts) < 0.95 * len(some) or len(set(texts)) < 0.5 * len(texts):
        return None
    if sum(map(len, texts)) / len(texts) < LEAST_LENGTH or sum(" " in t for t in texts) < 0.5 * len(texts):
        return None
    counts = Counter(h for v in values if isinstance(v, str) for h in set(_hashes(v)))
    kept = np.array(sorted(h for h, _ in counts.most_common(MOST_WORDS)), np.uint32)
    return Derived(source=name, signal=f"text:{short}", kind="text", words=kept.tobytes())


def _vector(name: str, short: str, values: Sequence[Any]) -> Derived | None:
    size = Counter(len(v) for v in values if isinstance(v, list | tuple)).most_common(1)[0][0]
    if not 0 < size <= MOST_DIMENSIONS:
        return None
    rows = [_floats(v, size) for v in values if v is not None]
    table = np.array([row for row in rows if row is not None])
    if len(table) < 100:
        return None
    mean, spread = table.mean(axis=0), np.maximum(table.std(axis=0), 1e-9)
    return Derived(source=name, signal=f"embedding:{short}", kind="vector", mean=mean.tolist(), spread=spread.tolist())


def _hashes(text: str) -> list[int]:
    return [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _WORD.findall(text.lower())]


def _floats(value: Any, size: int) -> np.ndarray | None:
    if not isinstance(value, list | tuple) or len(value) != size:
        return None
    try:
        row = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return row if np.isfinite(row).all() else None


def derive(derived: Derived, values: Any) -> np.ndarray:
    """f8[n]: the number of every raw value; NaN for null or for what is neither text nor vector."""
    if isinstance(values, np.ndarray):
        return np.full(len(values), np.nan)
    listed = values.listed() if hasattr(values, "listed") else values
    if derived.kind == "text":
        known = set(np.frombuffer(derived.words, np.uint32).tolist())
        return np.array([_unseen(v, known) for v in listed], dtype=np.float64)
    mean, spread = np.array(derived.mean), np.array(derived.spread)
    rows = [_floats(v, len(mean)) for v in listed]
    return np.array([np.nan if row is None else float(np.sqrt((((row - mean) / spread) ** 2).mean())) for row in rows])


def _unseen(value: Any, known: set[int]) -> float:
    if not isinstance(value, str):
        return float("nan")
    words = _hashes(value)
    return sum(1 for w in words if w not in known) / len(words) if words else 0.0
