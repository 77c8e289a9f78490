"""From evidence to detections: which signals, how strong, since when, and the numbers a reader wants beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from core.findings import Detection, MovedBin
from core.statistics import corrected_psi, shares
from detectors import distances
from detectors.base import Finding
from detectors.compiled import GROUP, KINDS
from detectors.summary import level_summary, number_summary
from detectors.trial import evidence

if TYPE_CHECKING:
    from detectors.watch import Trouble, Watch

BLOCK = 25
WEEK = 604_800.0
LISTED = 0.05
"""Share of false ones among the listed signals (e-BH: Wang and Ramdas 2022; Benjamini and Hochberg 1995)."""
MOST = 12
DEPLOY_CHANCE = 1e-3
"""Chance of a false alarm by the step test at one deployment, over all columns (Bonferroni)."""


class Told(Struct, kw_only=True):
    """A detection, the column it came from, and the level of the window it was seen in."""

    detection: Detection
    column: int
    level: int
    log_e: float


def alarm(watch: Watch, group: int, total: float, limit: float) -> list[Told]:
    """The signals behind a group's alarm, strongest first; empty when none shows a material effect."""
    compiled, state = watch.compiled, watch.state
    candidates = []
    for c, column in enumerate(compiled.columns):
        feature = compiled.ref.special_weight[c] > 0
        if GROUP[column.family] == group:
            log_e, level = _strongest(state.evidence[:, c], float(state.jump[c]))
            if not feature:
                ranged, at = _strongest(state.special[:, :, c].max(axis=0), -math.inf)
                log_e, level = max((log_e, level), (ranged, at))
            candidates.append((log_e, c, level, -1))
        if group == 1 and feature:
            for kind in range(3):
                log_e, level = _strongest(state.special[kind, :, c], -math.inf)
                candidates.append((log_e, c, level, kind))
    told = []
    for log_e, c, level, kind in listed(candidates):
        one = _special(watch, c, level, kind, total, limit) if kind >= 0 else _binned(watch, c, level, total, limit)
        if one is not None:
            told.append(Told(detection=one, column=c, level=level, log_e=log_e))
    return at_fault(watch, told)[:MOST]


def reported(watch: Watch, column: int, name: str, finding: Finding) -> list[Told]:
    """The detection of another detector's finding; none when the change is not material."""
    rows = max(watch.row - finding.onset, BLOCK)
    level = int(min(max(round(math.log2(rows / BLOCK)), 2), len(watch.compiled.deff) - 1))
    while level > 2 and watch.state.blocks[0] < 1 << level:
        level -= 1
    one = _binned(watch, column, level, 1.0, 1.0)
    if one is None:
        return []
    row = min(finding.onset, watch.row)
    one = replace(one, detector=name, statistic=float(finding.statistic), threshold=float(finding.threshold))
    if row < one.onset_row:
        one = replace(one, onset_row=row)
    return [Told(detection=one, column=column, level=level, log_e=0.0)]


def grown(watch: Watch, group: int, trouble: Trouble) -> list[Told]:
    """Detections anew for signals of a trouble whose effect passed the warning or critical mark since it was told."""
    o = watch.options
    found = []
    for column, (signal, before) in zip(trouble.columns, list(trouble.signals.items()), strict=True):
        now = watch.effect(column, trouble.level)
        if not any(before < mark <= now for mark in (o.warn_effect, o.critical_effect)):
            continue
        total = math.exp(min(float(watch.state.evidence[:, column].max()), 600.0))
        one = _binned(watch, column, trouble.level, max(total, o.arl_blocks), o.arl_blocks)
        if one is not None and one.signal == signal:
            onset, row = min(one.onset, trouble.since), min(one.onset_row, trouble.row)
            found.append(
                Told(detection=replace(one, onset=onset, onset_row=row), column=column, level=trouble.level, log_e=0)
            )
    return found


def _strongest(by_level: np.ndarray, jump: float) -> tuple[float, int]:
    level = int(by_level.argmax())
    best = float(by_level[level])
    return (jump, 1) if jump > best else (best, level)


def listed(candidates: list[tuple[float, int, int, int]]) -> list[tuple[float, int, int, int]]:
    """e-BH: the most candidates k such that the k-th e-value is at least n / (0.05 k); any dependence allowed."""
    ranked = sorted(candidates, reverse=True)
    keep = 0
    for k, (log_e, *_) in enumerate(ranked, 1):
        if log_e >= math.log(len(ranked) / (LISTED * k)):
            keep = k
    return ranked[: max(keep, 1)]


def _binned(watch: Watch, c: int, level: int, total: float, limit: float) -> Detection | None:
    compiled, state = watch.compiled, watch.state
    first, last = compiled.off[c], compiled.off[c + 1]
    counts = state.sums[level, first:last].astype(float)
    reference, deff = compiled.counts[first:last], float(compiled.deff[level, c])
    effect = corrected_psi(reference.tolist(), counts.tolist(), deff)
    if effect < watch.options.min_effect:
        return None
    column = compiled.columns[c]
    signal, kind = named(column.signal, reference, counts)
    row, at = onset(watch, c, level)
    return _detection(
        watch, c, signal, kind or KINDS[GROUP[column.family]], "e_detector", math.log10(max(total, 1e-300)),
        math.log10(limit), effect, counts, row, at, detail=_detail(watch, column.signal),
    )  # fmt: skip


def named(signal: str, reference: np.ndarray, counts: np.ndarray) -> tuple[str, str]:
    """(signal, kind) by what moved: mostly the null or unseen bin makes it a matter of quality; kind "" otherwise."""
    head, _, name = signal.partition(":")
    if head == "relation":
        return f"feature:{name}", ""
    p, q = np.array(shares(reference.tolist())), np.array(shares(counts.tolist()))
    parts = np.abs((q - p) * np.log(q / p))
    if head == "feature" and q[-2] > p[-2] and parts[-2] > 0.5 * parts.sum():
        return f"nulls:{name}", "quality"
    if head == "feature" and q[-1] > p[-1] and parts[-1] > 0.5 * parts.sum():
        return f"unseen:{name}", "quality"
    return signal, ""


def _detail(watch: Watch, signal: str) -> str:
    head, _, name = signal.partition(":")
    relation = watch.compiled.reference.relation
    if head != "relation" or relation is None:
        return ""
    weights = np.abs(np.array(relation.weights[relation.named.index(f"feature:{name}")]))
    others = [
        relation.inputs[i].partition(":")[2] for i in np.argsort(-weights) if relation.inputs[i] != f"feature:{name}"
    ]
    return f"{name} no longer agrees with {', '.join(others[:3])}"


def at_fault(watch: Watch, told: list[Told]) -> list[Told]:
    """One line per signal, and of broken relations those that the largest does not explain (see relation.py)."""
    broken = [t for t in told if watch.compiled.columns[t.column].family == "relation"]
    innocent: set[int] = set()
    if broken:
        shift = {t.column: _shift(watch, t.column) for t in broken}
        lead = max(broken, key=lambda t: abs(shift[t.column]))
        for other in broken:
            explained = shift[lead.column] * _share(watch, lead.column, other.column)
            if other is not lead and abs(shift[other.column] - explained) <= 0.5 * abs(shift[other.column]):
                innocent.add(id(other))
    first: dict[str, Told] = {}
    for one in sorted(told, key=lambda t: -t.log_e):
        if id(one) in innocent:
            continue
        known = first.get(one.detection.signal)
        if known is None:
            first[one.detection.signal] = one
        elif watch.compiled.columns[known.column].family == "relation" and known.column != one.column:
            known.detection = _merged(
                one.detection, known.detection
            )  # the plain signal's numbers, the relation's words
            known.column = one.column
    return list(first.values())


def _merged(plain: Detection, relation: Detection) -> Detection:
    return replace(plain, detail=relation.detail, onset=min(plain.onset, relation.onset),
                   onset_row=min(plain.onset_row, relation.onset_row))  # fmt: skip


def _shift(watch: Watch, c: int) -> float:
    """How far the last blocks of a relation lie from the reference, in the reference's standard deviations."""
    means = watch.state.means[:, c]
    seen = means[np.isfinite(means)]
    summary = watch.compiled.columns[c].summary
    if not len(seen):
        return 0.0
    return float((seen[-1] - (summary.mean or 0.0)) / max(summary.std or 1.0, 1e-9))


def _share(watch: Watch, lead: int, other: int) -> float:
    relation = watch.compiled.reference.relation
    names = [f"feature:{watch.compiled.columns[c].signal.partition(':')[2]}" for c in (lead, other)]
    at = relation.inputs.index(names[0])
    own = relation.weights[relation.named.index(names[0])][at]
    return relation.weights[relation.named.index(names[1])][at] / own


_SPECIAL = (
    ("nulls", "is null"),
    ("unseen", "has values never seen, or of another type,"),
    ("range", "is out of the baseline's range"),
)


def _special(watch: Watch, c: int, level: int, kind: int, total: float, limit: float) -> Detection | None:
    """A quality detection: the share of null, unseen or out-of-range values rose by at least the least effect."""
    compiled = watch.compiled
    column, first, last = compiled.columns[c], compiled.off[c], compiled.off[c + 1]
    counts = watch.state.sums[level, first:last].astype(float)
    hits = counts[last - first - 2 + kind] if kind < 2 else counts[0] + counts[-3]
    share, usual = hits / max(counts.sum(), 1.0), column.expected_special[kind]
    if share - usual < watch.options.min_effect or (kind == 2 and 0 in watch.troubles):
        return None
    head, words = _SPECIAL[kind]
    name = column.signal.partition(":")[2]
    head = "type" if kind == 1 and column.bins.kind == "number" else head
    row, at = onset(watch, c, level)
    return _detection(
        watch,
        c,
        f"{head}:{name}",
        "quality",
        "quality",
        math.log10(max(total, 1e-300)),
        math.log10(limit),
        share - usual,
        counts,
        row,
        at,
        detail=f"{name} {words} in {100 * share:.0f}% of {int(counts.sum())} rows (usually {100 * usual:.2g}%)",
    )


def boundary(watch: Watch) -> list[Told]:
    """The step test at a change of version: first two blocks against the last one of the version before."""
    ref, state = watch.compiled.ref, watch.state
    tested = [c for c in range(len(watch.compiled.columns)) if ref.uses[1, c] and ref.step[2, c] > 0
              and watch.compiled.columns[c].family in ("feature", "relation")]  # fmt: skip
    told = []
    newest = (state.blocks[0] - 1) % len(state.ring_rows)
    if state.ring_time[1, newest] - watch.first_at > ref.gap[2]:
        return []
    for c in tested:
        a, b, d = state.means[:, c]
        usual = ref.step[0, c] + ref.step[1, c] * a
        error = (b + d) / 2 - usual
        if (
            not math.isfinite(error)
            or min(abs(b - usual), abs(d - usual)) < 0.5 * abs(error)
            or (b - usual) * (d - usual) <= 0
        ):
            continue
        z = abs(error) / ref.step[2, c]
        chance = tail(z, float(ref.step[4, c]))
        if abs(error) <= ref.step[5, c] or chance * len(tested) > DEPLOY_CHANCE:
            continue
        told.append(_stepped(watch, c, z, error, chance))
    return at_fault(watch, sorted(told, key=lambda t: -t.log_e))[:MOST]


def tail(z: float, freedom: float) -> float:
    """Two-sided tail of Student's t, an upper bound good to a few percent for large z."""
    h = (freedom + 1) / 2
    front = math.exp(math.lgamma(h) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    return min(2 * front * freedom**h / freedom * z**-freedom, 1.0) if z > 0 else 1.0


def _stepped(watch: Watch, c: int, z: float, error: float, chance: float) -> Told:
    column = watch.compiled.columns[c]
    first, last = watch.compiled.off[c], watch.compiled.off[c + 1]
    counts = watch.state.sums[1, first:last].astype(float)
    reference = watch.compiled.counts[first:last]
    effect = corrected_psi(reference.tolist(), counts.tolist(), float(watch.compiled.deff[1, c]))
    name = column.signal.partition(":")[2]
    words = _detail(watch, column.signal) or f"{name} moved by {error:+.3g} from one block to the next"
    detection = _detection(
        watch,
        c,
        f"feature:{name}",
        "data_drift",
        "step",
        z,
        float(watch.compiled.ref.step[5, c] / watch.compiled.ref.step[2, c]),
        max(effect, watch.options.min_effect),
        counts,
        0,
        watch.first_at,
        detail=words,
    )
    return Told(detection=detection, column=c, level=1, log_e=-math.log(max(chance, 1e-300)))


def onset(watch: Watch, c: int, level: int) -> tuple[int, float]:
    """(row, event time) at which the change most likely began: the start of the window with the most evidence."""
    compiled, state = watch.compiled, watch.state
    ring = len(state.ring_rows)
    blocks = int(min(state.blocks[0], ring))
    first, last = compiled.off[c], compiled.off[c + 1]
    order = (int(state.blocks[0]) - 1 - np.arange(blocks)) % ring
    counts = np.cumsum(state.ring[order, first:last].astype(float), axis=0)
    share = np.tile(compiled.ref.p[first:last], (blocks, 1))
    rows = np.cumsum(state.ring_rows[order])
    deff = np.interp(np.log2(np.arange(1, blocks + 1)), np.arange(len(compiled.deff)), compiled.deff[:, c])
    scaled = counts / deff[:, None]
    found = evidence(scaled, share, 1.0, float(compiled.ref.m[c]))
    back = int(found.argmax())
    if level >= 9 and back == blocks - 1:
        runs = min((1 << level) // 16, int(state.blocks[0]) // 16)
        slot = (int(state.blocks[0]) // 16 - runs) % len(state.long_rows)
        return max(watch.row - int(state.sum_rows[level]), 0), float(state.long_time[slot])
    if watch.boundary and watch.row - rows[back] <= 2 * BLOCK:
        return 0, watch.first_at
    return max(watch.row - int(rows[back]), 0), float(state.ring_time[0, order[back]])


def _detection(
    watch: Watch, c: int, signal: str, kind: str, detector: str, statistic: float, threshold: float, effect: float,
    counts: np.ndarray, row: int, at: float, detail: str = "",
) -> Detection:  # fmt: skip
    compiled = watch.compiled
    shown = _shown(watch, c)
    column = compiled.columns[shown]
    first, last = compiled.off[shown], compiled.off[shown + 1]
    if shown != c:
        counts = _same_window(watch, c, shown, counts)
        effect = max(effect, corrected_psi(compiled.counts[first:last].tolist(), counts.tolist(),
                                           float(compiled.deff[1, shown])))  # fmt: skip
    reference = compiled.counts[first:last]
    current = _current_summary(watch, shown, counts)
    before, now = column.summary.mean, current.mean
    direction = "both" if before is None or now is None else "up" if now > before else "down"
    return Detection(
        detector=detector,
        signal=signal,
        kind=kind,
        at=watch.last_at,
        onset=float(at),
        row=watch.row,
        onset_row=int(row),
        statistic=float(statistic),
        threshold=float(threshold),
        effect=float(effect),
        direction=direction,
        importance=float(watch.options.importance.get(column.signal.partition(":")[2], 0.0)),
        reference=column.summary,
        current=current,
        reference_histogram=column.bins.histogram(reference.tolist()),
        current_histogram=column.bins.histogram(counts.tolist()),
        moved=moved(column.bins, reference, counts),
        scores=distances.scores(reference, counts),
        window_start=float(at),
        window_end=watch.last_at,
        false_alarms_per_week=per_week(watch),
        detail=detail,
    )


def _shown(watch: Watch, c: int) -> int:
    """The column whose histogram a reader wants: the feature itself, for a relation."""
    column = watch.compiled.columns[c]
    if column.family != "relation":
        return c
    name = f"feature:{column.signal.partition(':')[2]}"
    return next(i for i, other in enumerate(watch.compiled.columns) if other.signal == name)


def _same_window(watch: Watch, c: int, shown: int, counts: np.ndarray) -> np.ndarray:
    """Counts of another column over the same window as `counts` of column c."""
    rows = counts.sum()
    level = int(np.abs(watch.state.sum_rows - rows).argmin())
    return watch.state.sums[level, watch.compiled.off[shown] : watch.compiled.off[shown + 1]].astype(float)


def _current_summary(watch: Watch, c: int, counts: np.ndarray):  # type: ignore[no-untyped-def]
    column = watch.compiled.columns[c]
    rows, nulls = int(counts.sum()), int(counts[column.bins.null])
    v = watch.compiled.row.get(column.signal)
    if v is None:
        return level_summary(column.bins, counts)
    taken = int(min(-(-watch.state.sampled[0] // max(watch.state.sampled[1], 1)), watch.state.sample.shape[1]))
    recent = watch.state.sample[v, :taken]
    if not taken:
        recent = watch.state.means[:, c]
    fresh = recent[-max(min(rows // int(max(watch.state.sampled[1], 1)), taken), 1) :]
    return number_summary(fresh, rows, nulls)


def moved(bins, reference: np.ndarray, counts: np.ndarray) -> list[MovedBin]:  # type: ignore[no-untyped-def]
    """The three bins whose shares moved most."""
    p, q = reference / max(reference.sum(), 1), counts / max(counts.sum(), 1)
    labels = bins.histogram(counts.tolist()).labels()
    order = np.argsort(-np.abs(q - p))[:3]
    return [MovedBin(label=labels[i], reference=float(p[i]), current=float(q[i])) for i in order if q[i] != p[i]]


def per_week(watch: Watch) -> float | None:
    """Expected false alarms a week of this model: blocks a week over the mean time between false alarms."""
    reference = watch.compiled.reference
    span = reference.end - reference.start
    rate = reference.rows / span if span > 0 else watch.row / max(watch.last_at - watch.first_at, 1.0)
    return float(rate * WEEK / BLOCK / watch.options.arl_blocks)
