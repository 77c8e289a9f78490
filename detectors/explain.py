"""From evidence to detections: which signals, how strong, since when, and the numbers a reader wants beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from core.findings import Detection, MovedBin
from core.statistics import shares
from detectors import distances
from detectors.arrays import QUIET
from detectors.base import Finding
from detectors.compiled import GROUP, KINDS
from detectors.fault import MOST, Told, at_fault
from detectors.onset import onset
from detectors.summary import level_summary, number_summary

if TYPE_CHECKING:
    from detectors.watch import Trouble, Watch

BLOCK = 25
WEEK = 604_800.0
LISTED = 0.05
"""Share of false ones among the listed signals (e-BH: Wang and Ramdas 2022; Benjamini and Hochberg 1995)."""


def alarm(watch: Watch, group: int, total: float, limit: float) -> list[Told]:
    """The signals behind a group's alarm, strongest first; empty when none shows a material effect."""
    compiled, state = watch.compiled, watch.state
    candidates = []
    for c, column in enumerate(compiled.columns):
        if GROUP[column.family] == group:
            log_e, level = _strongest(state.evidence[:, c], float(state.jump[c]))
            outside, at = _strongest(state.special[2:, :, c].max(axis=0), -math.inf)
            candidates.append((*max((log_e, level), (outside, at)), c, -1))
        if group == 1 and compiled.ref.special_weight[c] > 0:
            for kind in range(2):
                candidates.append((*_strongest(state.special[kind, :, c], -math.inf), c, kind))
    told = []
    for log_e, level, c, kind in listed(candidates):
        one = _special(watch, c, level, kind, total, limit) if kind >= 0 else _binned(watch, c, level, total, limit)
        if one is not None:
            told.append(Told(detection=one, column=c, level=level, log_e=log_e))
    return at_fault(watch, told)[:MOST]


def total(watch: Watch, group: int, without: list[int]) -> float:
    """The group's total (`kernel.sum_evidence`) without some columns; 0 where no other column speaks at all."""
    ref, state = watch.compiled.ref, watch.state
    quality = group == 1
    weight = np.where(quality | (ref.group == group), ref.special_weight if quality else ref.weight, 0.0)
    weight[without] = 0.0
    special = state.special[:2] if quality else state.special[2:]
    if max(special[:, :, weight > 0].max(initial=QUIET), state.evidence[:, weight > 0].max(initial=QUIET)) < 1.0:
        return 0.0
    found = special.reshape(-1, len(weight))
    if not quality:
        found = np.vstack([found, state.evidence, state.jump])
    spoken = np.where(found > QUIET, np.exp(np.minimum(found, 600.0)), 0.0)
    return float(weight @ spoken.sum(axis=0))


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
    effect = compiled.effect(c, counts, deff)
    if effect < watch.options.min_effect or (compiled.columns[c].family == "lattice" and not _many_new(watch, c)):
        return None
    column = compiled.columns[c]
    signal, kind = named(column.signal, reference, counts)
    row, at = onset(watch, c, level)
    return detection(
        watch, c, signal, kind or KINDS[GROUP[column.family]], "e_detector", math.log10(max(total, 1e-300)),
        math.log10(limit), effect, counts, row, at, detail=detail(watch, c, counts),
    )  # fmt: skip


def _many_new(watch: Watch, c: int) -> bool:
    """Whether a fifth of the last 400 rows hold values never seen: one station's new rounding is no alarm."""
    return watch.state.sums[4, watch.compiled.off[c] + 1] >= watch.options.warn_effect * 16 * BLOCK


def named(signal: str, reference: np.ndarray, counts: np.ndarray) -> tuple[str, str]:
    """(signal, kind) by what moved: mostly the null or unseen bin makes it a matter of quality; kind "" otherwise."""
    head, _, name = signal.partition(":")
    if head in ("relation", "lattice"):
        return f"feature:{name}", ""
    p, q = np.array(shares(reference.tolist())), np.array(shares(counts.tolist()))
    parts = np.abs((q - p) * np.log(q / p))
    if head == "feature" and q[-2] > p[-2] and parts[-2] > 0.5 * parts.sum():
        return f"nulls:{name}", "quality"
    if head == "feature" and q[-1] > p[-1] and parts[-1] > 0.5 * parts.sum():
        return f"unseen:{name}", "quality"
    return signal, ""


def detail(watch: Watch, c: int, counts: np.ndarray) -> str:
    """What a reader should know beside the numbers: a broken relation, or how much lies out of the baseline's range."""
    head, _, name = watch.compiled.columns[c].signal.partition(":")
    if head == "lattice":
        share = 100 * counts[1] / max(counts.sum(), 1)
        return f"{share:.0f}% of the values of {name} are new, between those it ever took: another unit?"
    relation = watch.compiled.reference.relation
    if head != "relation" or relation is None:
        if not watch.compiled.ref.ranged[c]:
            return ""
        outside = float(counts[0] + counts[1] + counts[-3] + counts[-4]) / max(float(counts.sum()), 1.0)
        return f"{100 * outside:.0f}% of the rows lie outside the baseline's range" if outside >= 0.05 else ""
    weights = np.abs(np.array(relation.weights[relation.named.index(f"feature:{name}")]))
    others = [
        relation.inputs[i].partition(":")[2] for i in np.argsort(-weights) if relation.inputs[i] != f"feature:{name}"
    ]
    return f"{name} no longer agrees with {', '.join(others[:3])}"


_SPECIAL = (("nulls", "is null"), ("unseen", "has values never seen, or of another type,"))


def _hits(counts: np.ndarray, kind: int) -> float:
    """Rows that are null or unseen."""
    return float(counts[-2 + kind])


def _lasting(watch: Watch, c: int, kind: int, usual: float) -> bool:
    """Whether it is worth a word: a fifth of 400 rows, a twentieth of 1,600. One sensor's nulls of an hour are not."""
    first, last = watch.compiled.off[c], watch.compiled.off[c + 1]
    for level, least in ((4, watch.options.warn_effect), (6, watch.options.min_effect)):
        counts = watch.state.sums[level, first:last]
        rows = (1 << level) * BLOCK
        if _hits(counts, kind) / rows - usual >= least:
            return True
    return False


def _special(watch: Watch, c: int, level: int, kind: int, total: float, limit: float) -> Detection | None:
    """A quality detection: the share of null or unseen values rose, and by enough to matter."""
    compiled = watch.compiled
    column, first, last = compiled.columns[c], compiled.off[c], compiled.off[c + 1]
    counts = watch.state.sums[level, first:last].astype(float)
    hits = _hits(counts, kind)
    share, usual = hits / max(counts.sum(), 1.0), column.expected_special[kind]
    if not _lasting(watch, c, kind, usual):
        return None
    head, words = _SPECIAL[kind]
    name = column.signal.partition(":")[2]
    head = "type" if kind == 1 and column.bins.kind == "number" else head
    row, at = onset(watch, c, level)
    return detection(
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


def detection(
    watch: Watch, c: int, signal: str, kind: str, detector: str, statistic: float, threshold: float, effect: float,
    counts: np.ndarray, row: int, at: float, detail: str = "",
) -> Detection:  # fmt: skip
    compiled = watch.compiled
    shown = _shown(watch, c)
    column = compiled.columns[shown]
    first, last = compiled.off[shown], compiled.off[shown + 1]
    if shown != c:
        counts = _same_window(watch, c, shown, counts)
        effect = max(effect, compiled.effect(shown, counts, float(compiled.deff[1, shown])))
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
        scores=distances.scores(*(np.array(column.bins.shown(c.tolist())) for c in (reference, counts))),
        window_start=float(at),
        window_end=watch.last_at,
        false_alarms_per_week=per_week(watch),
        detail=detail,
    )


def _shown(watch: Watch, c: int) -> int:
    """The column whose histogram a reader wants: the feature itself, for a relation."""
    column = watch.compiled.columns[c]
    if column.family not in ("relation", "lattice"):
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
    reference, counts = np.array(bins.shown(reference.tolist())), np.array(bins.shown(counts.tolist()))
    p, q = reference / max(reference.sum(), 1), counts / max(counts.sum(), 1)
    labels = bins.histogram_labels()
    order = np.argsort(-np.abs(q - p))[:3]
    return [MovedBin(label=labels[i], reference=float(p[i]), current=float(q[i])) for i in order if q[i] != p[i]]


def per_week(watch: Watch) -> float | None:
    """Expected false alarms a week of this model: blocks a week over the mean time between false alarms."""
    reference = watch.compiled.reference
    span = reference.end - reference.start
    rate = reference.rows / span if span > 0 else watch.row / max(watch.last_at - watch.first_at, 1.0)
    return float(rate * WEEK / BLOCK / watch.options.arl_blocks)
