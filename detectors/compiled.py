"""A reference made ready for the kernel: flat arrays, and the way from a batch of rows to bin numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.statistics import corrected_psi
from detectors import bins as bin_maker
from detectors import lattice
from detectors.arrays import CELLS, LOGS, SPECIALS, Ref
from detectors.baseline import Column, Reference
from detectors.derived import derive
from detectors.options import Options
from detectors.relation import residuals
from detectors.rows import Coded, Rows
from detectors.wording import Wording

GROUP = {
    "feature": 0,
    "relation": 0,
    "text": 0,
    "lattice": 0,
    "embedding": 0,
    "score": 2,
    "confidence": 2,
    "latency": 3,
}
FEATURES = ("feature", "relation", "lattice", "text", "embedding")
"""Families that are inputs of the model."""
KINDS = ("data_drift", "quality", "prediction_drift", "latency")
MANY_LEVELS = 64
"""Dictionaries longer than this are not remembered: that would take more than making them anew."""
_EMPTY = np.zeros(0)


def special_deff(column: Column) -> np.ndarray:
    """Design effects of the special counts, f8[SPECIALS, LEVELS]."""
    return np.frombuffer(column.deff_special, np.float32).reshape(SPECIALS, -1)


def special_worth(column: Column) -> list[float]:
    """Effective rows of the reference for each special count: its rows over the largest design effect of that count.

    What is out of range is judged by the column's own; what is far off has no business to be there at all.
    """
    rows = sum(column.counts)
    return [
        max(rows / (column.whole if kind == 2 else deff[-1]), 1.0)
        for kind, deff in enumerate(special_deff(column).tolist())
    ]


class Compiled:
    """`ref` for the kernel; `columns` in its order; `encode` turns rows into codes and numbers."""

    def __init__(self, reference: Reference, options: Options):
        self.reference = reference
        watched = [c for c in reference.columns if c.family in GROUP]
        self.columns: list[Column] = watched[: options.max_features + 4]
        self.left_out = [c.signal for c in watched[options.max_features + 4 :]]
        self.number = [i for i, c in enumerate(self.columns) if c.bins.kind == "number"]
        self.places = np.array(self.number, np.int64)
        self.row = {self.columns[i].signal: v for v, i in enumerate(self.number)}
        self.tables: dict[int, dict[str, int]] = {}
        """Column -> bin number by level, where there are few or texts come one by one."""
        self.sizes = np.array([c.bins.size for c in self.columns], np.int64)
        self.off = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)
        self._join()
        self.cuts = np.array([cut for i in self.number for cut in self.columns[i].bins.cuts])
        self.cut_off = np.concatenate([[0], np.cumsum([len(self.columns[i].bins.cuts) for i in self.number])]).astype(
            np.int64
        )
        self.null = np.array([self.columns[i].bins.null for i in self.number], np.int64)
        first, last = self.off[:-1], self.off[1:]
        self.outside = np.array([first, first + 1, last - 4, last - 3])
        """The bins out of the reference's range, i8[4, C], of columns that have a range."""
        self.ranged = np.array(
            [c.family == "feature" and c.bins.kind == "number" and len(c.bins.cuts) > 3 for c in self.columns], bool
        )
        """Features that have a range."""
        self.lattices = {i: np.array(c.lattice) for i, c in enumerate(self.columns) if c.family == "lattice"}
        self.mapped: dict[int, tuple[list[Any], np.ndarray]] = {}
        """Column -> its last dictionary, and the bin number of each of its levels."""
        self.derived = {d.signal: d for d in reference.derived}
        self.longest = [
            (v, column, f"staleness:{column.signal.partition(':')[2]}")
            for v, column in enumerate(self.columns[i] for i in self.number)
            if column.family == "feature" and column.longest > 0
        ]
        """Row in X, column and signal of the features whose value could stand still."""
        self.names = {c.signal for c in self.columns} | {d.source for d in reference.derived} | set(reference.left)
        self.importance = self._importance(options)
        self.deff = np.ascontiguousarray(np.array([c.deff for c in self.columns]).T.reshape(-1, len(self.columns)))
        self.relation = self._relate()
        self.ref = self._ref(options)

    @property
    def counts(self) -> np.ndarray:
        """Counts of the reference in the flat bins, f8[T]."""
        return np.array([n for c in self.columns for n in c.counts])

    def _relate(self) -> Any:
        relation = self.reference.relation
        if relation is None or not all(name in self.row for name in relation.inputs):
            return None
        self.relation_in = np.array([self.row[name] for name in relation.inputs])
        pairs = [(f"relation:{name.partition(':')[2]}", r) for r, name in enumerate(relation.named)]
        self.relation_out = np.array([self.row[name] for name, _ in pairs if name in self.row], np.int64)
        self.relation_pick = np.array([r for name, r in pairs if name in self.row], np.int64)
        return relation

    def _join(self) -> None:
        """Where each flat bin goes in the shown bins (`Bins.shown`), for all columns at once."""
        to, first = [], 0
        for column in self.columns:
            inner = [0, *range(column.bins.size - 4), column.bins.size - 5, column.bins.size - 4, column.bins.size - 3]
            where = inner[: column.bins.size - 2] + inner[-2:] if len(column.bins.cuts) > 3 else range(column.bins.size)
            to += [first + w for w in where]
            first += len(column.bins.shown(column.counts))
        self.join = np.array(to, np.int32)
        shown = [c.bins.shown(c.counts) for c in self.columns]
        self.shown_sizes = np.array([len(s) for s in shown], np.int64)
        self.shown_off = np.concatenate([[0], np.cumsum(self.shown_sizes)]).astype(np.int64)
        counts = np.array([n for s in shown for n in s])
        rows = np.repeat([sum(s) + 0.5 * len(s) for s in shown], self.shown_sizes) if shown else _EMPTY
        self.shown_share = (counts + 0.5) / rows
        self.shown_log, self.shown_held = np.log(self.shown_share), counts > 0
        self.shown_inverse = np.array([1 / max(sum(s), 1) if sum(s) else 0.0 for s in shown])
        ends = self.shown_off.tolist()
        self.wording = Wording([
            (
                c,
                column.signal,
                ends[c],
                ends[c + 1],
                self.row.get(column.signal, -1),
                column.bins.cuts[1:-1] if len(column.bins.cuts) > 3 else column.bins.cuts,
                column.bins.levels,
            )
            for c, column in enumerate(self.columns)
            if column.family not in ("relation", "lattice")
        ])  # fmt: skip
        """What a closed window tells of each column."""

    def effect(self, c: int, counts: np.ndarray, deff: float) -> float:
        """Corrected PSI of one column's counts."""
        column = self.columns[c]
        return corrected_psi(column.bins.shown(column.counts), column.bins.shown(counts.tolist()), deff)

    def _importance(self, options: Options) -> np.ndarray:
        """Sums to one over the features; half of it equal, so that no feature goes unwatched."""
        given = np.array([options.importance.get(c.signal.partition(":")[2], 0.0) for c in self.columns])
        feature = np.array([c.family in FEATURES for c in self.columns])
        weight = np.zeros(len(self.columns))
        for family in set(GROUP.values()):
            here = np.array([GROUP[c.family] == family for c in self.columns])
            if here.any():
                weight[here] = 1 / here.sum()
        total = given[feature].sum() if feature.any() else 0.0
        if total > 0:
            weight[feature] = 0.5 * weight[feature] + 0.5 * given[feature] / total
        return weight

    def _ref(self, options: Options) -> Ref:
        columns = self.columns
        share = [(np.array(c.counts) + 0.5) / (sum(c.counts) + 0.5 * c.bins.size) for c in columns]
        seasonal = [c for c in columns if c.season]
        place, at = {}, 0
        for c in seasonal:
            place[c.signal], at = at, at + c.bins.size
        cell = (
            np.concatenate([np.frombuffer(c.season, np.float32).reshape(CELLS, -1) for c in seasonal], axis=1)
            if seasonal
            else np.zeros((1, 1), np.float32)
        )
        feature = np.array([c.family == "feature" for c in columns])
        watched = ["e_detector" in options.watches("feature" if c.family in FEATURES else c.family) for c in columns]
        stepped = [w and c.family in FEATURES for w, c in zip(watched, columns, strict=True)]
        uses = np.array([watched, stepped], np.uint8)
        quality = float("quality" in options.watches("quality"))
        numbers = [columns[i] for i in self.number]
        return Ref(
            self.off,
            np.array([GROUP[c.family] for c in columns], np.int64),
            self.importance,
            quality * np.where(feature, 1 / (2 * max(feature.sum(), 1)), 0.0),
            np.array([c.bins.kind == "number" and len(c.bins.cuts) > 3 for c in columns], np.uint8),
            np.array([self.row.get(c.signal, -1) for c in columns], np.int64),
            np.concatenate(share) if share else _EMPTY,
            np.log(np.concatenate(share)) if share else _EMPTY,
            LOGS,
            np.array([place.get(c.signal, -1) for c in columns], np.int64),
            np.ascontiguousarray(cell),
            self.deff,
            np.array([special_deff(c) for c in columns]).transpose(1, 2, 0).copy(),
            np.array([c.expected_special for c in columns]).T.copy(),
            np.array([special_worth(c) for c in columns]).T.copy(),
            np.array([max(sum(c.counts) / c.whole, 1.0) for c in columns]),
            np.array([self.reference.rate]),
            np.array([c.clip for c in numbers]).T.reshape(2, len(numbers)).copy(),
            np.array([c.step for c in columns]).T.copy(),
            np.array(self.reference.gap),
            uses,
            self._clock(),
        )

    def _values(self, rows: Rows, signal: str) -> Any:
        """The column of a signal, or what is derived from the input it stands for."""
        derived = self.derived.get(signal)
        if derived is None:
            return rows.columns.get(signal)
        source = rows.columns.get(derived.source)
        return None if source is None else derive(derived, source)

    def _filled(self, found: np.ndarray, row: int) -> np.ndarray:
        """Residuals, those that lack an input filled by the reference's deciles in turn: nulls are told as nulls."""
        holes = np.isnan(found)
        if holes.any():
            for r, v in enumerate(self.relation_out):
                at = np.flatnonzero(holes[r])
                cuts = self.cuts[self.cut_off[v] + 1 : self.cut_off[v + 1] - 1]
                if len(at) and len(cuts) > 1:
                    middle = (cuts[1:] + cuts[:-1]) / 2
                    found[r, at] = middle[(row + at) % len(middle)]
        return found

    def _clock(self) -> np.ndarray:
        """The columns that tell the hour best, four at most: they say whether the clocks were moved."""
        telling = [i for i, c in enumerate(self.columns) if c.season and c.season_gain > 0.05]
        return np.array(sorted(telling, key=lambda i: -self.columns[i].season_gain)[:4], np.int64)

    def _coded(self, i: int, values: Any) -> np.ndarray:
        """Bin numbers of column i, which holds no numbers. The last dictionary is remembered: it seldom changes."""
        bins = self.columns[i].bins
        levels, mapped = self.mapped.get(i, (None, None))
        if isinstance(values, Coded) and levels == values.levels:
            return mapped[values.index]
        table = self.tables.get(i)
        if table is None:
            table = {} if bins.kind == "identifier" else bins.table()
            if not isinstance(values, Coded) or len(table) <= MANY_LEVELS:
                self.tables[i] = table
        if not isinstance(values, Coded):
            return bin_maker.codes(bins, values, table)
        mapped = np.append(bin_maker.codes(bins, values.levels, table), np.int16(bins.null))
        if len(mapped) <= MANY_LEVELS:
            self.mapped[i] = values.levels, mapped
        return mapped[values.index]

    def encode(self, rows: Rows, row: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(codes i2[C, n], numbers f8[V, n]) of a batch that begins at the version's `row`.

        A column that did not come is null throughout.
        """
        from detectors.evidence import bin_numbers

        n = len(rows)
        codes = np.empty((len(self.columns), n), np.int16)
        numbers = np.empty((len(self.number), n))
        wrong: list[tuple[int, np.ndarray]] = []
        for v, i in enumerate(self.number):
            values = self._values(rows, self.columns[i].signal)
            if values is None:
                numbers[v] = np.nan
            elif isinstance(values, np.ndarray):
                numbers[v] = values
            else:
                values = values.listed() if isinstance(values, Coded) else values
                numbers[v], mask = bin_maker.numbers(values)
                if mask is not None:
                    wrong.append((i, mask))
        if self.relation is not None:
            found = residuals(self.relation, numbers[self.relation_in])
            numbers[self.relation_out] = self._filled(found[self.relation_pick], row)
        bin_numbers(numbers, self.cuts, self.cut_off, self.null, self.places, codes)
        for i, mask in wrong:
            codes[i, mask] = self.columns[i].bins.unseen
        for i, column in enumerate(self.columns):
            if column.family == "lattice":
                values = numbers[self.row[f"feature:{column.signal.partition(':')[2]}"]]
                codes[i] = lattice.codes(values, self.lattices[i])
            elif column.bins.kind != "number":
                values = rows.columns.get(column.signal)
                codes[i] = column.bins.null if values is None else self._coded(i, values)
        return codes, numbers
