"""Fixed bins of one signal, cut from the reference, and the way from raw values to bin numbers.

Numbers: bins at the reference's deciles; two bins below its least value, the outer one farther off than its whole
range, and two above its greatest; then null, then "other type". Few distinct numbers (20 or less) get a bin each.
Categories: the most frequent levels, one for the other known ones, then null, then unseen. Quantiles and not equal
widths: one outlier must not blind the bins.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from core.findings import Histogram
from detectors.rows import Coded

OTHER = "(other)"
MAX_LEVELS = 30
MAX_KNOWN = 5_000
FEW = 20
_TRUTH = {"true": "true", "false": "false", "yes": "true", "no": "false", "t": "true", "f": "false"}
_NUMERIC = frozenset({float, int, type(None)})


class Bins(Struct, frozen=True, kw_only=True):
    """`kind` is number | category | boolean | identifier (only null or not is counted)."""

    kind: str
    cuts: list[float] = []
    levels: list[str] = []
    known: list[str] = []
    """Levels seen in the reference beyond `levels`: they count as (other), not as unseen."""

    @property
    def size(self) -> int:
        """Number of bins, null and unseen included; they are the last two."""
        return (len(self.cuts) + 1 if self.kind == "number" else len(self.levels)) + 2

    @property
    def null(self) -> int:
        return self.size - 2

    @property
    def unseen(self) -> int:
        return self.size - 1

    def shown(self, counts: Sequence[float]) -> list[float]:
        """Counts as people see them: what is far off is joined to what is out of range."""
        c = [float(n) for n in counts]
        return [c[0] + c[1], *c[2:-4], c[-4] + c[-3], *c[-2:]] if len(self.cuts) > 3 else c

    def histogram(self, counts: Sequence[float]) -> Histogram:
        cuts = self.cuts[1:-1] if len(self.cuts) > 3 else self.cuts
        return Histogram(counts=self.shown(counts), cuts=cuts, levels=self.levels)

    def histogram_labels(self) -> list[str]:
        """One label per shown bin."""
        return self.histogram([0.0] * self.size).labels()

    def table(self) -> dict[str, int]:
        """Level -> bin, for categories."""
        other = len(self.levels) - 1
        return {
            **dict.fromkeys(self.known, other),
            **{level: i for i, level in enumerate(self.levels) if level != OTHER},
        }


def number_bins(values: np.ndarray) -> Bins:
    """Bins for finite numbers: at most 14 (or four and one per distinct number), null and other type beside."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Bins(kind="number", cuts=[])
    distinct = np.unique(finite)
    inner = (
        distinct
        if len(distinct) <= FEW
        else np.unique(np.quantile(finite, np.arange(1, 10) / 10, method="inverted_cdf"))
    )
    low, high = float(distinct[0]), float(distinct[-1])
    reach = min(max(high - low, 1e-9 * max(abs(low), abs(high)), 1e-300), 1e308)
    most = np.finfo(float).max
    ends = [max(low - reach, -most), np.nextafter(low, -np.inf)], [high, min(high + reach, most)]
    cuts = np.unique(np.concatenate([ends[0], inner[(inner >= low) & (inner < high)], ends[1]]))
    return Bins(kind="number", cuts=[float(c) for c in cuts])


def category_bins(texts: Sequence[str | None]) -> Bins:
    """Bins for the most frequent levels of texts in event-time order; identifiers have none."""
    counts = Counter(t for t in texts if t is not None)
    total = sum(counts.values())
    if len(counts) > max(100, total // 2) or (len(counts) >= FEW and never_again(texts)):
        return Bins(kind="identifier", levels=[OTHER])
    ranked = sorted(counts, key=lambda level: (-counts[level], level))
    top, rest = ranked[:MAX_LEVELS], ranked[MAX_LEVELS : MAX_LEVELS + MAX_KNOWN]
    if set(counts) <= {"true", "false"}:
        return Bins(kind="boolean", levels=["false", "true"])
    return Bins(kind="category", levels=[*top, OTHER], known=rest)


def never_again(texts: Sequence[str | None]) -> bool:
    """Whether levels come, perhaps in a run, and do not come back: ids of a session, a query, a batch, a day.

    In each later quarter of the rows nine in ten have a level that no earlier quarter knows.
    """
    known: set[str | None] = set()
    size = len(texts) // 4
    for first in range(0, 4 * size, size or 1):
        part = [t for t in texts[first : first + size] if t is not None]
        if first and sum(t in known for t in part) > 0.1 * len(part):
            return False
        known.update(part)
    return size > 0


def text_of(value: Any) -> str | None:
    """The level a raw value stands for: None for null and NaN; numbers and booleans in one spelling."""
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)


def truth_of(value: Any) -> str | None:
    """`true` or `false` in any usual spelling ("True", "yes", 1), else the text itself."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and value in (0, 1):
        return "true" if value else "false"
    text = text_of(value)
    return None if text is None else _TRUTH.get(text.strip().lower(), text)


def yes_of(value: Any) -> bool | None:
    """Whether a label or a prediction of a binary model says yes; None where it says neither.

    >>> yes_of("Yes"), yes_of(1), yes_of(3), yes_of("0"), yes_of(-1), yes_of("fraud")
    (True, True, True, False, False, None)
    """
    if isinstance(value, int | float):
        return value > 0
    return {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}.get(str(truth_of(value)))


def number_of(value: Any) -> float:
    """A float; NaN for what is no number. Integers beyond a float's range become infinities."""
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return math.nan


def guess(values: Sequence[Any]) -> str:
    """number, boolean or category: what 95% of the non-null values are."""
    kinds = Counter("boolean" if isinstance(v, bool) else "number" if isinstance(v, int | float) else
                    "boolean" if isinstance(v, str) and v.strip().lower() in _TRUTH else "category"
                    for v in values if v is not None)  # fmt: skip
    if not kinds:
        return "number"
    kind, count = kinds.most_common(1)[0]
    return kind if count >= 0.95 * sum(kinds.values()) else "category"


def numbers(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """(floats with NaN for null or other types, mask of values of another type, or None when there are none)."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return values, None
    types = set(map(type, values))
    if types <= _NUMERIC:
        try:
            return np.array(values, dtype=np.float64), None
        except OverflowError:
            return np.array([number_of(v) for v in values]), None
    wrong = np.array([v is not None and not isinstance(v, bool | int | float) for v in values])
    return np.array([number_of(v) for v in values]), wrong if wrong.any() else None


def codes(bins: Bins, values: Sequence[Any], table: dict[str, int] | None = None) -> np.ndarray:
    """Bin number of every raw value, int16."""
    if isinstance(values, Coded):
        mapped = codes(bins, [*values.levels, None], table)
        return mapped[values.index]
    if bins.kind == "number":
        floats, wrong = numbers(values)
        found = np.searchsorted(np.asarray(bins.cuts), floats, side="left").astype(np.int16)
        found[np.isnan(floats)] = bins.null
        if wrong is not None:
            found[wrong] = bins.unseen
        return found
    if bins.kind == "identifier":
        return np.array([bins.null if text_of(v) is None else 0 for v in values], dtype=np.int16)
    table = bins.table() if table is None else table
    spell = truth_of if bins.kind == "boolean" else text_of
    unseen, null = bins.unseen, bins.null
    texts = values if set(map(type, values)) == {str} and bins.kind == "category" else [spell(v) for v in values]
    return np.array([null if t is None else table.get(t, unseen) for t in texts], dtype=np.int16)
