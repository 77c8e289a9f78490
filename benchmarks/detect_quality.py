"""How well changes are seen, and how seldom nothing is: our detectors beside the usual rules, on the same streams.

    python -m benchmarks.detect_quality [--quick] [--group WORDS] [--json OUT]

Counts, per group: F1 over changes found and false alarms raised, the median delay in rows, false alarms per 10,000 rows
in which nothing had changed. A rule that fires at every window is shown as well, so that nobody is fooled by recall.
The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import drift_cases, error_cases
from benchmarks.drift_cases import Case
from benchmarks.error_cases import ErrorCase

WINDOW = 500


@dataclass
class Score:
    found: int = 0
    missed: int = 0
    false: int = 0
    calm_rows: int = 0
    delays: list[int] = field(default_factory=list)

    def add(self, alarms: list[int], drift: int | None, rows: int, horizon: int) -> None:
        calm = rows if drift is None else drift
        self.calm_rows += calm
        self.false += sum(1 for a in alarms if a <= calm)
        if drift is None:
            return
        after = [a for a in alarms if drift < a <= drift + horizon]
        if after:
            self.found += 1
            self.delays.append(after[0] - drift)
        else:
            self.missed += 1

    def shown(self) -> dict[str, Any]:
        wrong = self.false + self.missed
        changes = self.found + self.missed
        return {
            "changes": changes, "f1": round(2 * self.found / (2 * self.found + wrong), 3) if changes else None,
            "delay_median": float(np.median(self.delays)) if self.delays else None,
            "delay_p90": float(np.quantile(self.delays, 0.9)) if self.delays else None,
            "false_per_10k": round(1e4 * self.false / max(self.calm_rows, 1), 3),
        }  # fmt: skip


# ---- ours


def ours(case: Case) -> list[int]:
    """Rows at which the Monitor's own path (learn, compile, watch) raises a detection."""
    from detectors.compiled import Compiled
    from detectors.learn import learn
    from detectors.options import Options
    from detectors.watch import Watch

    def rows(columns: drift_cases.Columns, at: np.ndarray) -> Any:
        from detectors.rows import Rows

        held = {f"feature:{n}": v if v.dtype.kind == "f" else v.tolist() for n, v in columns.items()}
        return Rows(at=at, ids=[""] * len(at), columns=held)

    known = rows(case.reference, case.reference_at)
    reference = learn(known, tenant="b", model="m", version="1", source=case.name)
    options = Options(window_rows=10**9, window_seconds=1e12)
    watch = Watch(Compiled(reference, options), options)
    stream = rows(case.stream, case.stream_at)
    alarms = []
    for start in range(0, len(stream) - 24, 2_500):
        found, _, _ = watch.add(stream.take(slice(start, min(start + 2_500, len(stream)))))
        alarms += [d.row for d in found]
    return sorted(set(alarms))


# ---- peers, each as its own documentation has it, one per feature, any feature alarms


def _numbers(case: Case) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    for name, values in case.stream.items():
        known = case.reference[name]
        if values.dtype.kind != "f":
            levels = {v: i for i, v in enumerate(sorted(set(known)))}
            known = np.array([levels[v] for v in known], float)
            values = np.array([levels.get(v, len(levels)) for v in values], float)
        yield np.nan_to_num(known, nan=-999.0), np.nan_to_num(values, nan=-999.0)


def _streaming(make: Callable[[], Any]) -> Callable[[Case], list[int]]:
    def run(case: Case) -> list[int]:
        alarms = set()
        for known, values in _numbers(case):
            detector = make()
            low, spread = known.mean(), known.std() or 1.0
            for x in ((known - low) / spread).tolist()[-2_000:]:
                detector.update(x)
            for i, x in enumerate(((values - low) / spread).tolist(), 1):
                detector.update(x)
                if detector.drift_detected:
                    alarms.add(i)
        return sorted(alarms)

    return run


def _windowed(fires: Callable[[np.ndarray, np.ndarray], bool]) -> Callable[[Case], list[int]]:
    def run(case: Case) -> list[int]:
        alarms = set()
        for known, values in _numbers(case):
            for end in range(WINDOW, len(values) + 1, WINDOW):
                if fires(known, values[end - WINDOW : end]):
                    alarms.add(end)
        return sorted(alarms)

    return run


def _psi(known: np.ndarray, window: np.ndarray) -> bool:
    edges = np.unique(np.quantile(known, np.arange(1, 10) / 10))
    p = np.bincount(np.searchsorted(edges, known), minlength=len(edges) + 1) / len(known)
    q = np.bincount(np.searchsorted(edges, window), minlength=len(edges) + 1) / len(window)
    p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    return float(((q - p) * np.log(q / p)).sum()) > 0.2


def _ks(known: np.ndarray, window: np.ndarray) -> bool:
    from scipy.stats import ks_2samp

    return bool(ks_2samp(known, window, method="asymp").pvalue < 0.05)


def peers(quick: bool) -> dict[str, Callable[[Case], list[int]]]:
    from river.drift import ADWIN, PageHinkley

    return {
        "e-detector (ours)": ours,
        "ADWIN (River)": _streaming(ADWIN),
        **({} if quick else {"Page-Hinkley (River)": _streaming(PageHinkley)}),
        "PSI > 0.2, n=500": _windowed(_psi),
        "KS p < .05, n=500": _windowed(_ks),
        "always": lambda case: list(range(WINDOW, len(case.stream_at) + 1, WINDOW)),
    }


def cases(quick: bool) -> Iterable[Case]:
    frame = drift_cases.flights()
    yield from drift_cases.real_covariate(frame)
    yield from drift_cases.real_thin(frame)
    yield from drift_cases.injected(frame)
    yield from drift_cases.real_season(frame)
    yield from drift_cases.stationary_real(frame)
    for kind in drift_cases.KINDS:
        for seed in range(2 if quick else 6):
            yield drift_cases.synthetic(kind, seed)
        for seed in range(1 if quick else 5):
            yield drift_cases.synthetic(kind, 50 + seed, drift=1.0)


# ---- errors


def error_scores(seeds: int) -> dict[str, dict[str, Any]]:
    from river.drift import ADWIN, PageHinkley
    from river.drift.binary import DDM

    from detectors.base import load
    from detectors.labels import ErrorWatch, learn_errors
    from detectors.options import Options

    def mine(names: list[str]) -> Callable[[ErrorCase], list[int]]:
        def run(case: ErrorCase) -> list[int]:
            for name in names:
                load(name)
            watch = ErrorWatch(Options(signals={"error": names}), learn_errors(case.reference, "binary"))
            alarms = []
            step = 1 if case.drift else 25  # where nothing changes, the very row does not matter
            for i in range(0, len(case.stream), step):
                found, _ = watch.add(case.stream[i : i + step], np.full(len(case.stream[i : i + step]), float(i)))
                alarms += [i + step] * len(found)
            return alarms

        return run

    def river(make: Callable[[], Any]) -> Callable[[ErrorCase], list[int]]:
        def run(case: ErrorCase) -> list[int]:
            detector, alarms = make(), []
            for x in case.reference.tolist():
                detector.update(x)
            for i, x in enumerate(case.stream.tolist(), 1):
                detector.update(x)
                if detector.drift_detected:
                    alarms.append(i)
            return alarms

        return run

    runs = {
        "e-detector (ours)": mine(["e_detector_error"]), "both (our default)": mine(["e_detector_error", "adwin"]),
        "ADWIN (River)": river(ADWIN), "Page-Hinkley (River)": river(PageHinkley), "DDM (River)": river(DDM),
        "knows the ramp, ARL 1e6": error_cases.oracle,
        "knows the ramp, ARL 1e4": lambda case: error_cases.oracle(case, 1e4),
    }  # fmt: skip
    scores: dict[str, dict[str, Score]] = defaultdict(lambda: defaultdict(Score))
    for case in itertools.chain(error_cases.changes(seeds), error_cases.still(seeds)):
        for name, run in runs.items():
            if name.startswith("knows") and not case.drift:
                continue
            alarms = run(case)
            for group in (case.group, "abrupt and gradual") if case.drift else (case.group,):
                scores[f"errors {group}"][name].add(alarms, case.drift, len(case.stream), 4_000)
    return {g: {name: s.shown() for name, s in by.items()} for g, by in scores.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer seeds and peers")
    parser.add_argument("--group", default="", help="only groups whose name holds these words")
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="a line per stream for ours")
    parser.add_argument("--json", type=Path, help="write the result here too")
    args = parser.parse_args()
    started = time.perf_counter()
    scores: dict[str, dict[str, Score]] = defaultdict(lambda: defaultdict(Score))
    rules = peers(args.quick)
    if args.only_ours:
        rules = {"e-detector (ours)": ours}
    for one in cases(args.quick):
        if args.group not in one.group:
            continue
        for name, run in rules.items():
            alarms = run(one)
            scores[one.group][name].add(alarms, one.drift, len(one.stream_at), one.horizon)
            if args.verbose and run is ours:
                print(f"  {one.group}: {one.name}: drift {one.drift}, alarms {alarms[:6]}", flush=True)
    results = {g: {name: s.shown() for name, s in by.items()} for g, by in scores.items()}
    if args.group in "errors":
        results |= error_scores(1 if args.quick else 4)
    for group, by in results.items():
        print(f"\n{group}")
        for name, s in by.items():
            print(f"  {name:24s} F1 {s['f1'] if s['f1'] is not None else '-':>6}  delay {s['delay_median'] or '-':>7}"
                  f"  p90 {s['delay_p90'] or '-':>7}  false/10k {s['false_per_10k']}")  # fmt: skip
    report = {"benchmark": "detect_quality", "seconds": round(time.perf_counter() - started, 1), "results": results}
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
