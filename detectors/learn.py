"""From rows in event-time order to a Reference: bins, design effects, season, step sizes. The slow part, done once."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import msgspec
import numpy as np

from core.statistics import corrected_psi
from detectors import bins as bin_maker
from detectors import dispersion, lattice, season
from detectors.baseline import Column, Reference, Unfit, reference_id
from detectors.bins import Bins
from detectors.calendar import says_the_time
from detectors.derived import Derived, derive, learn_derived
from detectors.relation import learn_relation, residuals
from detectors.rows import Coded, Rows, cells
from detectors.silence import longest_usual
from detectors.steps import OFF, learn_step
from detectors.summary import level_summary, number_summary
from detectors.trial import made_quiet

BLOCK = 25
COUNTS = "only rises or only falls (a counter, a date, the order of the rows)"
TELLS = "says what time it is, and the baseline is too short to know all times"
SEGMENT_ROWS = 500
"""A segment with fewer rows in the reference is not watched apart."""


@np.errstate(over="ignore", invalid="ignore")  # numbers near the end of what floats can hold
def learn(rows: Rows, *, tenant: str, model: str, version: str, source: str, least: int = 200) -> Reference:
    """The reference of `rows`. Raises Unfit when there are fewer than `least`, or nothing in them is known."""
    if len(rows) < least:
        raise Unfit(f"{source}: {len(rows)} rows are too few for a baseline: give at least {least}")
    at = rows.at
    timed = bool(np.isfinite(at).all()) and len(at) > 1 and at[-1] > at[0]
    if timed and (np.diff(at) < 0).any():
        order = np.argsort(at, kind="stable")
        rows, at = rows.take(order), at[order]
    plain = {name: v.listed() if isinstance(v, Coded) else v for name, v in rows.columns.items()}
    features = {name: values for name, values in plain.items() if name.startswith("feature:")}
    left = {name: COUNTS for name, values in features.items() if counter(values)}
    if timed:
        left |= {n: TELLS for n, values in features.items() if n not in left and says_the_time(values, at)}
    rows = msgspec.structs.replace(rows, columns={name: v for name, v in plain.items() if name not in left})
    cell = cells(at) if timed else np.zeros(len(at), np.uint8)
    rate, gap = pace(at) if timed else (0.0, [np.inf] * 3)
    derived = [d for d in (learn_derived(n, v) for n, v in rows.columns.items() if n.startswith("feature:")) if d]
    replaced = {d.source for d in derived}
    held = {name: values for name, values in rows.columns.items() if name not in replaced}
    held |= {d.signal: _unbiased(d, rows.columns[d.source]) for d in derived}
    columns = [learn_column(name, values, at, cell, gap) for name, values in held.items()]
    columns = [column for column in columns if column is not None]
    relation = learn_relation(
        {
            c.signal: as_floats(rows.columns[c.signal])
            for c in columns
            if c.family == "feature" and c.bins.kind == "number"
        }
    )
    if relation is not None:
        inputs = np.stack([as_floats(rows.columns[name]) for name in relation.inputs])
        for name, values in zip(relation.named, complete(residuals(relation, inputs)), strict=True):
            made = learn_column(f"relation:{name.partition(':')[2]}", values, at, cell, gap)
            columns += [made] if made is not None else []
    for column in [c for c in columns if c.family == "feature" and c.bins.kind == "number"]:
        made = lattice_column(column.signal, as_floats(held[column.signal]), column)
        columns += [made] if made is not None else []
    known = [c for c in columns if sum(c.counts) > c.counts[c.bins.null]]
    if rows.columns and not known:
        raise Unfit(f"{source}: every value of every column is null: this cannot be a baseline")
    notes = [f"{c.signal}: {100 * c.counts[c.bins.null] / len(rows):.0f}% null in the baseline" for c in columns
             if c.counts[c.bins.null] > 0.5 * len(rows)]  # fmt: skip
    notes += [f"{name} {why}: not watched" for name, why in left.items()]
    return Reference(
        id=reference_id(tenant, model, columns), tenant=tenant, model=model, version=version, rows=len(rows),
        start=float(at[0]) if timed else 0.0, end=float(at[-1]) if timed else 0.0, source=source, columns=columns,
        rate=rate, gap=gap, quiet=longest_usual(at) if timed else [], notes=notes, left=list(left),
        relation=relation, derived=derived,
    )  # fmt: skip


def counter(values: Any) -> bool:
    """Whether a number column is a counter, a date or an id given in order: it never turns, so every value is new.

    It never falls (or never rises) over three values or more, or the means of its blocks always rise (or fall).
    """
    if isinstance(values, list):
        if not all(isinstance(v, int | float) for v in values[:100] if v is not None):
            return False
        values = bin_maker.numbers(values)[0]
    finite = values[np.isfinite(values)]
    if len(finite) < 0.9 * len(values) or len(np.unique(finite[:: max(len(finite) // 1_000, 1)])) < 3:
        return False
    steps = np.diff(finite)
    if (steps >= 0).all() or (steps <= 0).all():
        return True
    means = finite[: len(finite) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1)
    steps = np.diff(means)
    return len(steps) >= 40 and bool((steps > 0).all() or (steps < 0).all())


def unstable(rows: Rows) -> str:
    """The signal that moved most between the first and the second half of what should be a stable window; "" if none.

    Moved: a PSI of 0.25 beyond chance, where rows are as dependent as neighbouring runs of a hundred say.
    """
    half = len(rows) // 2
    worst, named = 0.25, ""
    for name, values in rows.columns.items():
        if learn_derived(name, values) is not None:
            continue
        made, _, _ = make_bins(values)
        coded = bin_maker.codes(made, values).astype(np.int64)
        parts = [np.bincount(c, minlength=made.size).astype(float) for c in (coded[:half], coded[half:])]
        deff = _local(block_counts(coded, made.size))
        moved = corrected_psi(made.shown(parts[0]), made.shown(parts[1]), 2 * deff)
        if moved >= worst and made.kind != "identifier" and half / deff >= 50:
            worst, named = moved, name
    return named


def _local(blocks: np.ndarray) -> float:
    """Design effect of runs of 100 rows from the differences of neighbouring runs: one jump between two hardly counts.

    Source: von Neumann (1941), on the mean square successive difference.
    """
    runs = blocks[: len(blocks) // 4 * 4].reshape(-1, 4, blocks.shape[1]).sum(axis=1)
    usual = runs.sum(axis=0) / max(len(runs), 1)
    held = usual >= 1.0
    if len(runs) < 4 or held.sum() < 2:
        return 1.0
    steps = ((np.diff(runs[:, held], axis=0) ** 2) / (2 * usual[held])).sum(axis=1) / (held.sum() - 1)
    return max(float(np.median(steps)) * 1.3, 1.0)


def learn_segments(rows: Rows, reference: Reference, columns: list[str], most: int) -> dict[str, Reference]:
    """References of the most frequent values of `columns` ("column=value"), where they have 500 rows or more."""
    found: dict[str, Reference] = {}
    for name in columns:
        values = rows.columns.get(f"feature:{name}")
        if values is None:
            continue
        texts = texts_of(values)
        for level, count in Counter(t for t in texts if t is not None).most_common(most):
            if count < SEGMENT_ROWS:
                break
            index = np.array([i for i, t in enumerate(texts) if t == level])
            found[f"{name}={level}"] = learn(
                rows.take(index), tenant=reference.tenant, model=reference.model, version=reference.version,
                source=f"{reference.source}, {name}={level}",
            )  # fmt: skip
    return found


def texts_of(values: Any) -> list[str | None]:
    """The level of every raw value."""
    if isinstance(values, Coded):
        values = values.listed()
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    return [bin_maker.text_of(v) for v in listed]


def _unbiased(derived: Derived, values: Any) -> np.ndarray:
    """The derived number of each row; each half of the texts is judged by the words of the other."""
    if derived.kind != "text":
        return derive(derived, values)
    half = len(values) // 2
    first, second = learn_derived(derived.source, values[:half]), learn_derived(derived.source, values[half:])
    if first is None or second is None:
        return derive(derived, values)
    return np.concatenate([derive(second, values[:half]), derive(first, values[half:])])


def lattice_column(signal: str, values: np.ndarray, of: Column) -> Column | None:
    """`lattice:<feature>`: how often a value comes that is none of those known; None for ordinary numbers."""
    known = lattice.learn_lattice(values)
    if known is None:
        return None
    made = Bins(kind="category", levels=lattice.LEVELS)
    coded = lattice.usual_codes(values).astype(np.int64)
    counts = np.bincount(coded, minlength=made.size).astype(np.float64)
    blocks = block_counts(coded, made.size)
    unknown = np.clip(np.array(of.deff), 2.0, 6.0)
    deff = dispersion.rate_effects(blocks[:, 1], np.full(len(blocks), float(BLOCK)), unknown)
    special, effects = _special(made, counts, blocks, deff, float(deff[-1]))
    return Column(
        signal=f"lattice:{signal.partition(':')[2]}",
        bins=made,
        counts=array("d", counts),
        expected_special=array("d", special),
        deff=array("d", deff),
        deff_special=effects,
        whole=float(deff[-1]),
        clip=array("d", [0.0, 0.0]),
        step=array("d", OFF),
        summary=level_summary(made, counts),
        lattice=array("d", known),
    )


def as_floats(values: Any) -> np.ndarray:
    """float64 of a number column, NaN for null and other types."""
    if isinstance(values, Coded):
        values = values.listed()
    return values if isinstance(values, np.ndarray) else bin_maker.numbers(values)[0]


def complete(found: np.ndarray) -> np.ndarray:
    """Residuals with those that lack an input filled by the deciles of the others in turn."""
    middles = np.nanquantile(found, (np.arange(10) + 0.5) / 10, axis=1)
    turn = middles[np.arange(found.shape[1]) % 10].T
    return np.where(np.isnan(found), turn, found)


def pace(at: np.ndarray) -> tuple[float, list[float]]:
    """(rows per second while busy, [seconds that make a gap, longest gap known, longest span of three blocks])."""
    count = len(at) // BLOCK
    if count < 4:
        return 0.0, [np.inf] * 3
    first, last = at[: count * BLOCK : BLOCK], at[BLOCK - 1 : count * BLOCK : BLOCK]
    span = np.maximum(last - first, 1e-3)
    wait = np.maximum(first[1:] - last[:-1], 0.0)
    usual = 3 * float(np.median(span + np.append(wait, 0.0)))
    three = last[2:] - first[:-2]
    known = [usual, 1.5 * float(wait.max()), 2 * float(np.quantile(three, 0.99))]
    return float(BLOCK / np.quantile(span, 0.25)), known


def longest_run(values: np.ndarray) -> float:
    """Longest run of equal values in rows; 0 for a column that never changes. Nulls end a run."""
    changes = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    if len(changes) < 2:
        return 0.0
    return float(np.diff(np.append(changes, len(values))).max())


def hourly_means(values: np.ndarray, cell: np.ndarray) -> list[float]:
    """Mean per cell of the season, shrunk toward the whole by twenty rows."""
    finite = np.isfinite(values)
    whole = float(values[finite].mean())
    rows = np.bincount(cell[finite], minlength=season.CELLS)
    total = np.bincount(cell[finite], weights=values[finite], minlength=season.CELLS)
    return ((total + 20 * whole) / (rows + 20)).tolist()


def block_counts(codes: np.ndarray, size: int) -> np.ndarray:
    """[N, size] counts of every run of 25 rows."""
    count = len(codes) // BLOCK
    which = np.repeat(np.arange(count), BLOCK) * size + codes[: count * BLOCK]
    return np.bincount(which, minlength=count * size).reshape(count, size).astype(np.float64)


def _expected(by_cell: np.ndarray, cell: np.ndarray) -> np.ndarray:
    mix = block_counts(cell.astype(np.int64), season.CELLS)
    return mix @ by_cell


def make_bins(values: Any) -> tuple[Bins, np.ndarray | None, str]:
    """(bins, floats or None, typical type) of raw values."""
    if isinstance(values, Coded):
        values = values.listed()
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return bin_maker.number_bins(values), values, "number"
    kind = bin_maker.guess(values)
    if kind == "number":
        floats, _ = bin_maker.numbers(values)
        return bin_maker.number_bins(floats), floats, "number"
    spell = bin_maker.truth_of if kind == "boolean" else bin_maker.text_of
    return bin_maker.category_bins([spell(v) for v in values]), None, "boolean" if kind == "boolean" else "text"


def learn_column(signal: str, values: Any, at: np.ndarray, cell: np.ndarray, gap: list[float]) -> Column | None:
    """One signal's part of the reference; None for a column that never held anything."""
    made, floats, typical = make_bins(values)
    coded = bin_maker.codes(made, values).astype(np.int64)
    if made.kind == "category":
        coded = alone(coded, values, made)
    counts = np.bincount(coded, minlength=made.size).astype(np.float64)
    if counts[made.null] == len(coded):
        return None
    blocks = block_counts(coded, made.size)
    flat = BLOCK * np.tile(counts / counts.sum(), (len(blocks), 1))
    deff, whole = dispersion.design_effects(blocks, flat, BLOCK)
    found = season.learn(coded, cell, at, made.size, float(deff[0]))
    by_cell, gain = found if found is not None else (None, 0.0)
    if by_cell is not None:
        expected = _expected(by_cell, cell)
        deff, whole = dispersion.design_effects(blocks, expected, BLOCK)
    deff = made_quiet(blocks, counts, deff, whole, _expected(by_cell, cell) if by_cell is not None else None)
    special, special_deff = _special(made, counts, blocks, deff, whole)
    clip, step, summary = [0.0, 0.0], OFF, level_summary(made, counts)
    if floats is not None:
        summary = number_summary(floats, len(floats), int(counts[made.null]))
        clip, step = learn_step(floats, at, gap, BLOCK)
    return Column(
        signal=signal,
        bins=made,
        counts=array("d", counts),
        expected_special=array("d", special),
        deff=array("d", deff),
        deff_special=special_deff,
        whole=whole,
        season=b"" if by_cell is None else by_cell.astype(np.float32).tobytes(),
        season_gain=float(gain),
        longest=longest_run(floats) if floats is not None else 0.0,
        hourly=array("d", hourly_means(floats, cell) if floats is not None and by_cell is not None else ()),
        clip=array("d", clip),
        step=array("d", step),
        summary=summary,
        typical=typical,
    )


def alone(coded: np.ndarray, values: Any, made: Bins) -> np.ndarray:
    """Bin numbers as if each row were judged by all others: a level that came once would have been unseen.

    So the reference says how often new levels come (Good 1953, "The population frequencies of species").
    """
    texts = texts_of(values)
    once = {level for level, count in Counter(texts).items() if count == 1 and level is not None}
    found = coded.copy()
    found[[i for i, text in enumerate(texts) if text in once]] = made.unseen
    return found


def _special(
    made: Bins, counts: np.ndarray, blocks: np.ndarray, deff: np.ndarray, whole: float
) -> tuple[list[float], bytes]:
    """Expected shares and design effects of null, unseen, out-of-range and far-off counts.

    What the reference never shows is expected once in its rows.
    """
    rows = counts.sum()
    expected = [max(counts[made.null], 1.0) / rows, max(counts[made.unseen], 1.0) / rows,
                2.0 * whole / rows, 2.0 / rows]  # fmt: skip
    size = np.full(len(blocks), float(BLOCK))
    unknown = np.clip(deff, 2.0, 6.0)
    nulls = dispersion.rate_effects(blocks[:, made.null], size, unknown)
    unseen = dispersion.rate_effects(blocks[:, made.unseen], size, unknown)
    effects = np.array([nulls, unseen, np.maximum(deff, 2.0), unknown], np.float32)
    return [min(float(e), 0.999) for e in expected], effects.tobytes()
