"""How good the model is once labels are known, per window, and how good it must be while they are not.

Marks come from the model's own stable windows and never before: a metric is low below nine tenths of its mean there
(critical below eight), by more than its own spread explains, in two windows running.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from detectors.bins import truth_of, yes_of

LEARN = 10
"""Windows from which a metric's usual mean and spread are learnt."""
WARN, CRITICAL = 0.9, 0.8
CHANCE = 1e-4
"""Of one low window by chance; two must follow one another."""
LOWER = frozenset({"log_loss", "brier", "mae", "rmse", "mape"})
"""Metrics that are better when lower."""
CLASSES = 10


@np.errstate(over="ignore", invalid="ignore")  # numbers near the end of what floats can hold
def metrics(
    task: str, scores: Sequence[Any], said: Sequence[Any], labels: Sequence[Any], threshold: float
) -> dict[str, float]:
    """The metrics of one window of labelled rows, by the model's task; only those that can be computed.

    binary: accuracy, precision, recall, f1, auc, log_loss, brier, ctr; multiclass: accuracy, macro_f1,
    precision:<class>, recall:<class> and f1:<class> for the ten most frequent; regression: mae, rmse, mape, bias;
    ranking: what binary has, and ndcg of the window as one list.
    """
    if task == "regression":
        made = _numbers(scores, said, labels)
    elif task == "multiclass":
        made = _classes([str(truth_of(s)) for s in said], [str(truth_of(v)) for v in labels])
    else:
        made = _binary(scores, said, labels, threshold)
    if task == "ranking":
        made |= _ranked(scores, labels)
    return {name: value for name, value in made.items() if math.isfinite(value)}


def _numbers(scores: Sequence[Any], said: Sequence[Any], labels: Sequence[Any]) -> dict[str, float]:
    guess = np.array(
        [float(p) if p is not None else math.nan if s is None else float(s) for p, s in zip(said, scores, strict=True)]
    )
    truth = np.array([float(v) for v in labels])
    off = guess - truth
    off, truth = off[np.isfinite(off)], truth[np.isfinite(off)]
    if not len(off):
        return {}
    made = {"mae": float(np.abs(off).mean()), "rmse": float(np.sqrt((off**2).mean())), "bias": float(off.mean())}
    if (np.abs(truth) > 1e-12).all():
        made["mape"] = float(np.abs(off / truth).mean())
    return made


def _ranked(scores: Sequence[Any], labels: Sequence[Any]) -> dict[str, float]:
    """Normalised discounted cumulative gain of the rows ordered by score; labels are grades, or clicked or not.

    Source: Jarvelin and Kekalainen (2002), "Cumulated gain-based evaluation of IR techniques".
    """
    gain = np.array([float(v) if isinstance(v, int | float) else float(yes_of(v) is True) for v in labels])
    if any(s is None for s in scores) or not np.isfinite(gain).all() or gain.max(initial=0.0) <= 0:
        return {}
    order = np.argsort(-np.array(scores, dtype=np.float64), kind="stable")
    worth = 1 / np.log2(np.arange(len(gain)) + 2)
    best = np.sort(np.exp2(gain) - 1)[::-1]
    return {"ndcg": float(((np.exp2(gain) - 1)[order] * worth).sum() / (best * worth).sum())}


def _binary(scores: Sequence[Any], said: Sequence[Any], labels: Sequence[Any], threshold: float) -> dict[str, float]:
    truth = np.array([yes_of(v) is True for v in labels])
    p = np.array([math.nan if s is None else float(s) for s in scores])
    given = np.array([s is not None for s in said])
    positive = np.where(given, [yes_of(s) is True for s in said], p >= threshold)
    hit = float((positive & truth).sum())
    made = {"accuracy": float((positive == truth).mean()), "ctr": float(truth.mean())}
    if positive.any():
        made["precision"] = hit / float(positive.sum())
    if truth.any():
        made["recall"] = hit / float(truth.sum())
        made["f1"] = 2 * hit / float(positive.sum() + truth.sum())
    if np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1:
        q = np.clip(p, 1e-6, 1 - 1e-6)
        made["log_loss"] = float(-np.where(truth, np.log(q), np.log(1 - q)).mean())
        made["brier"] = float(((p - truth) ** 2).mean())
    if truth.any() and not truth.all() and np.isfinite(p).all():
        made["auc"] = auc(p, truth)
    return made


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve: Mann and Whitney's statistic with ties counted half."""
    order = np.argsort(scores, kind="stable")
    _, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[inverse]
    positives = truth[order]
    n = float(positives.sum())
    return float((rank[positives].sum() - n * (n + 1) / 2) / (n * (len(scores) - n)))


def _classes(said: list[str], truth: list[str]) -> dict[str, float]:
    made = {"accuracy": float(np.mean([a == b for a, b in zip(said, truth, strict=True)]))}
    scores = []
    for name, count in sorted(Counter(truth).items(), key=lambda kv: (-kv[1], kv[0])):
        hit = sum(1 for a, b in zip(said, truth, strict=True) if a == b == name)
        told = said.count(name)
        scores.append(2 * hit / (told + count))
        if len(scores) <= CLASSES:
            made[f"recall:{name[:40]}"] = hit / count
            made[f"f1:{name[:40]}"] = scores[-1]
            if told:
                made[f"precision:{name[:40]}"] = hit / told
    made["macro_f1"] = float(np.mean(scores))
    return made


class Low(Struct, frozen=True, kw_only=True):
    """A metric that is low."""

    metric: str
    value: float
    usual: float
    spread: float
    limit: float
    windows: int


class Marks:
    """Usual mean and spread per metric, and which of them are low now."""

    def __init__(self, usual: dict[str, list[float]] | None = None):
        self.usual: dict[str, list[float]] = dict(usual or {})
        """metric -> [mean, standard deviation, windows]"""
        self.learning: dict[str, list[float]] = {}
        self.run: dict[str, int] = {}
        self.low: set[str] = set()

    def add(self, found: dict[str, float]) -> tuple[list[Low], list[str]]:
        """Metrics of one window: (those that turned low, those that are well again)."""
        low, well = [], []
        for metric, value in found.items():
            usual = self.usual.get(metric)
            if usual is None:
                self._learn(metric, value)
                continue
            bad = self._bad(metric, value, usual)
            turned = bad != (metric in self.low)
            self.run[metric] = self.run.get(metric, 0) + 1 if turned else 0
            if self.run[metric] < 2:
                continue
            self.run[metric] = 0
            if bad:
                self.low.add(metric)
                low.append(
                    Low(
                        metric=metric, value=value, usual=usual[0], spread=usual[1], limit=self.limit(metric), windows=2
                    )
                )
            else:
                self.low.discard(metric)
                well.append(metric)
        return low, well

    def _learn(self, metric: str, value: float) -> None:
        held = self.learning.setdefault(metric, [])
        held.append(value)
        if len(held) >= LEARN and len(self.usual) < 64:
            self.usual[metric] = usual_of(held)
            del self.learning[metric]

    def limit(self, metric: str) -> float:
        """The value beyond which the metric is low: its mark, or what its own spread explains if that is farther."""
        from scipy.stats import t

        mean, spread, windows = self.usual[metric]
        reach = float(t.isf(CHANCE, max(windows - 1, 2))) * spread * math.sqrt(1 + 1 / windows)
        if metric in LOWER:
            return max(mean / WARN, mean + reach)
        return min(mean * WARN, mean - reach)

    def _bad(self, metric: str, value: float, usual: list[float]) -> bool:
        if metric in ("ctr", "bias"):  # neither up nor down is bad in itself
            return False
        limit = self.limit(metric)
        return value > limit if metric in LOWER else value < limit

    def snapshot(self) -> list[Any]:
        return [self.usual, self.learning, self.run, sorted(self.low)]

    def restore(self, state: list[Any]) -> None:
        self.usual, self.learning, self.run, low = state
        self.low = set(low)


def usual_of(values: Sequence[float]) -> list[float]:
    """[mean, standard deviation, number] of a metric over windows."""
    return [float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0, float(len(values))]


def error_by_bin(codes: np.ndarray, errors: np.ndarray, bins: int) -> list[float]:
    """Mean error per bin of the score, shrunk toward the whole by ten rows: what late labels will say, on average.

    The idea of confidence-based performance estimation: with calibrated scores the expected error needs no label.
    Source: Guillory and others (2021), "Predicting with confidence on unseen distributions".
    """
    whole = float(errors.mean())
    total = np.bincount(codes, weights=errors, minlength=bins)
    rows = np.bincount(codes, minlength=bins)
    return ((total + 10 * whole) / (rows + 10)).tolist()
