"""Labels joined to their predictions, minutes or months later, and the error watched from there on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from msgspec import Struct

from core.findings import Detection, Summary
from detectors import base
from detectors.baseline import ErrorReference
from detectors.bins import number_of, truth_of, yes_of
from detectors.dispersion import flag_effect
from detectors.options import Options
from detectors.performance import Low, Marks, metrics
from detectors.served import Served

MARKED = 20.0
SKEWED = 2.0
LONGEST = 8
"""Times `error_rows` after which errors become the reference, however dependent they are."""


def task_of(served: Served, label: Any) -> str:
    """binary, multiclass or regression, guessed from one pair."""
    if served.prediction is None:
        inside = served.score is not None and 0.0 <= served.score <= 1.0
        return "binary" if inside and str(truth_of(label)) in ("true", "false") else "regression"
    numeric = isinstance(label, float) or (
        isinstance(label, int) and not isinstance(label, bool) and label not in (0, 1)
    )
    return "regression" if numeric and isinstance(served.prediction, int | float) else "multiclass"


def error_of(task: str, served: Served, label: Any, threshold: float) -> float | None:
    """1 for a wrong class, 0 for a right one; the absolute error of a number; None where it cannot be told."""
    if task == "regression":
        guess = served.prediction if served.prediction is not None else served.score
        if isinstance(guess, bool | int | float) and isinstance(label, bool | int | float):
            error = abs(number_of(guess) - number_of(label))
            return error if math.isfinite(error) else None
        return None
    if served.prediction is not None:
        said, truth = truth_of(served.prediction), truth_of(label)
        return float(said != truth)
    if served.score is None:
        return None
    truth = yes_of(label)
    return None if truth is None else float((served.score >= threshold) != truth)


def task_of_errors(errors: np.ndarray) -> str:
    """binary for errors of 0 and 1 alone, regression for sizes of errors."""
    return "binary" if np.isin(errors, (0.0, 1.0)).all() else "regression"


@np.errstate(over="ignore", invalid="ignore")  # numbers near the end of what floats can hold
def learn_errors(errors: np.ndarray, task: str) -> ErrorReference:
    """The reference of the error from errors in event-time order (at least 50)."""
    errors = errors[np.isfinite(errors)]
    hits = (errors > cut_of(task, errors)).astype(float)
    return ErrorReference(
        rows=len(errors), mean=float(errors.mean()), std=float(errors.std()), deff=flag_effect(hits), task=task,
        quality={"cut": cut_of(task, errors)},
    )  # fmt: skip


def cut_of(task: str, errors: np.ndarray) -> float:
    """Errors above this count as wrong: half for classes, the reference's 80% for numbers."""
    return float(np.quantile(errors, 0.8)) if task == "regression" and len(errors) else 0.5


def marked_rows(options: Options, reference: ErrorReference | None) -> int:
    """Labelled rows over which a metric is held against its mark: worth twenty independent ones at least."""
    deff = reference.deff if reference is not None else 1.0
    return int(max(options.window_rows, min(MARKED * deff, 20_000)))


class Labelled(Struct, kw_only=True):
    """A closed window of labelled rows."""

    start: float
    end: float
    summary: Summary
    metrics: dict[str, float]
    low: list[Detection]
    well: list[str]
    any_low: bool


class ErrorWatch:
    """The error of one model version, against the reference of its model."""

    def __init__(self, options: Options, reference: ErrorReference | None, task: str = ""):
        self.options, self.task = options, task or options.task
        self.learning: list[float] = []
        self.times: list[float] = []
        self.stride = 1
        self.rows = 0
        self.detectors: dict[str, base.Detector] = {}
        self.fired: dict[str, float] = {}
        self.calm_rows = 0
        self.calm_sum = 0.0
        self.patience = options.calm_rows
        self.window: list[float] = []
        self.window_start = self.window_end = 0.0
        self.pairs: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        self.long: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        self.marks = Marks(reference.metrics if reference else None)
        self.reference = reference
        if reference is not None:
            self._arm()

    def _arm(self) -> None:
        r = self.reference
        self.task = r.task
        self.cut = r.quality.get("cut", 0.5)
        rate = self.usual_share()
        worth = r.rows / r.deff
        share = np.full(max(r.rows, 2), 0.0)
        share[: max(round(rate * len(share)), 0)] = 1.0
        numbers = np.array([r.mean - r.std, r.mean + r.std])
        for name in self.options.watches("error"):
            values = share if name == "e_detector_error" or r.task != "regression" else numbers
            # Its bound is for numbers of middling size: means over more rows, where errors are rare or come in runs.
            rare = name == "adwin" and r.task != "regression"
            deff = r.deff * SKEWED if rare and r.deff > 1.0 else r.deff
            least = max(round(0.25 / max(rate, 0.001)), 1) if rare else 1
            learned = base.Learned(
                counts=np.zeros(0), values=values, deff=np.array([deff]), worth=worth, least=least
            )  # fmt: skip
            self.detectors[name] = base.load(name)(learned, self.options.arl_blocks)

    def when(self, row: int) -> float:
        """Event time of the prediction that was the row-th to get its label, as near as kept."""
        return self.times[min(row // self.stride, len(self.times) - 1)] if self.times else 0.0

    def add(self, errors: np.ndarray, at: np.ndarray) -> tuple[list[Detection], int]:
        """Errors in the order their labels came: (detections, rows of calm if the trouble ended here, else 0)."""
        found, calm = [], 0
        for start in range(0, len(errors), base.BLOCK):
            some = slice(start, start + base.BLOCK)
            more, rows = self._add(errors[some], at[some])
            found, calm = found + more, rows or calm
        return found, calm

    def _add(self, errors: np.ndarray, at: np.ndarray) -> tuple[list[Detection], int]:
        self._note(at)
        self.window += errors.tolist()
        self.window_start = float(at.min()) if not self.window_end else min(self.window_start, float(at.min()))
        self.window_end = max(self.window_end, float(at.max()))
        if self.reference is None:
            self._learn(errors)
            return [], 0
        found, sizes = [], {}
        for name, detector in self.detectors.items():
            data = (errors > self.cut).astype(float) if name == "e_detector_error" else errors
            begun = self.rows - len(errors) - getattr(detector, "rows", 0)
            finding = detector.update(data)
            if finding is not None and finding.direction == "up" and not self.fired:
                detection = self._detection(name, finding, begun, float(at.max()))
                if detection is not None:
                    found.append(detection)
                    sizes[name] = finding.effect if finding.least is None else finding.least
        if found:
            self.fired = sizes
            self.calm_rows, self.calm_sum = 0, 0.0
            # The end of a trouble is told from as many rows as its beginning, dependent rows from more.
            seen = min(self.rows - found[0].onset_row, 5_000)
            self.patience = int(max(self.options.calm_rows, 20 * self.reference.deff, seen))
            return found[:1], 0
        return [], self._calm(errors)

    def _learn(self, errors: np.ndarray) -> None:
        """Errors become the reference once they are worth enough: dependent or rare ones say less, so it takes more."""
        before, least = len(self.learning) // self.options.error_rows, self.options.error_rows
        self.learning += errors.tolist()
        have = len(self.learning) // least
        if have == before:
            return
        made = learn_errors(np.array(self.learning), self.task)
        if have >= LONGEST or made.rows / made.deff >= least / 2:
            self.reference, self.learning = made, []
            self._arm()

    def _note(self, at: np.ndarray) -> None:
        for value in at.tolist():
            if self.rows % self.stride == 0:
                self.times.append(value)
                if len(self.times) >= 1_024:
                    self.times, self.stride = self.times[::2], self.stride * 2
            self.rows += 1

    def _calm(self, errors: np.ndarray) -> int:
        """Rows of calm when the mean error over `calm_rows` labels is nearer to the reference than to the trouble."""
        if not self.fired:
            return 0
        self.calm_rows += len(errors)
        by_share = "e_detector_error" in self.fired  # which counts large errors; other detectors add sizes up
        self.calm_sum += float((errors > self.cut).sum() if by_share else errors.sum())
        if self.calm_rows < self.patience:
            return 0
        rows, mean = self.calm_rows, self.calm_sum / self.calm_rows
        self.calm_rows, self.calm_sum = 0, 0.0
        usual = self.usual_share() if by_share else self.reference.mean
        if mean - usual >= 0.5 * (self.fired["e_detector_error"] if by_share else max(self.fired.values())):
            return 0
        self.fired = {}
        for detector in self.detectors.values():
            detector.reset()
        return rows

    def usual_share(self) -> float:
        """Share of errors above the cut in the reference: all wrong classes, the largest fifth of numbers."""
        return 0.2 if self.reference.task == "regression" else self.reference.mean

    def _detection(self, name: str, finding: base.Finding, begun: int, at: float) -> Detection | None:
        r = self.reference
        row = max(begun + finding.onset, 0)
        rise = finding.effect
        share = self.usual_share() if name == "e_detector_error" else r.mean
        if rise < min(self.options.min_effect, 0.25 * max(share, 1e-9)):
            return None
        by_share = name == "e_detector_error" and r.task == "regression"
        now = Summary(rows=self.rows - row, mean=None if by_share else r.mean + rise)
        words = f"error {r.mean:.3g} -> {r.mean + rise:.3g}"
        if by_share:
            usual = self.usual_share()
            words = f"errors above {self.cut:.3g} in {usual + rise:.0%} of the rows (usually {usual:.0%})"
        return Detection(
            detector=name,
            signal="error",
            kind="concept_drift",
            at=at,
            onset=self.when(row),
            row=self.rows,
            onset_row=row,
            statistic=finding.statistic,
            threshold=finding.threshold,
            effect=rise,
            direction="up",
            reference=Summary(rows=r.rows, mean=r.mean, std=r.std),
            current=now,
            window_start=self.when(row),
            window_end=at,
            false_alarms_per_week=None,
            detail=words,
        )

    def keep(self, scores: list[Any], said: list[Any], labels: list[Any]) -> None:
        """Labelled rows, for the metrics of the window they fall into."""
        for held, more in zip(self.pairs, (scores, said, labels), strict=True):
            held += more

    @np.errstate(over="ignore", invalid="ignore")
    def closed(self) -> Labelled | None:
        """The labels since the last window, when they are enough for one."""
        if len(self.window) < self.options.window_rows:
            return None
        values = np.array(self.window)
        start, end = self.window_start, self.window_end
        found = metrics(self.task, *self.pairs, self.options.threshold) if self.pairs[0] else {}
        low, well = self._marked()
        self.window, self.window_start, self.window_end = [], 0.0, 0.0
        self.pairs = ([], [], [])
        summary = Summary(rows=len(values), mean=float(values.mean()), std=float(values.std()))
        return Labelled(
            start=start, end=end, summary=summary, metrics=found, low=[self._low(one, end) for one in low], well=well,
            any_low=bool(self.marks.low),
        )  # fmt: skip

    def _marked(self) -> tuple[list[Low], list[str]]:
        """Metrics are held against their marks over as many rows as the dependence between rows asks for."""
        for held, more in zip(self.long, self.pairs, strict=True):
            held += more
        if len(self.long[0]) < marked_rows(self.options, self.reference):
            return [], []
        found = metrics(self.task, *self.long, self.options.threshold)
        self.long = ([], [], [])
        return self.marks.add(found)

    def _low(self, low: Low, at: float) -> Detection:
        reference, current = Summary(rows=self.options.window_rows, mean=low.usual, std=low.spread), Summary(
            rows=2 * marked_rows(self.options, self.reference), mean=low.value)  # fmt: skip
        worse = abs(low.value - low.usual)
        return Detection(
            detector="performance",
            signal=f"quality:{low.metric}",
            kind="concept_drift",
            at=at,
            onset=self.when(max(self.rows - 2 * marked_rows(self.options, self.reference), 0)),
            row=self.rows,
            onset_row=max(self.rows - 2 * marked_rows(self.options, self.reference), 0),
            statistic=low.value,
            threshold=low.limit,
            effect=worse,
            direction="up" if low.value > low.usual else "down",
            reference=reference,
            current=current,
            window_end=at,
            detail=f"{low.metric} {low.usual:.3g} -> {low.value:.3g}, twice beyond {low.limit:.3g}",
        )
