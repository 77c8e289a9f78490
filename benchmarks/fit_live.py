"""Fit how often a confidence of a live incident is right. Writes agents/live.json.

    python -m benchmarks.fit_live --seeds 4000..4027 [--cache DIR] [--out FILE]

Every live type of the simulator with every seed goes as wire events through the real monitor, alerts and investigation
(`live_incidents`); every moment at which the product would investigate counts, those of one incident together as one.
The confidence is a logistic with a small ridge. The threshold is the lowest above which what is shown is right in 95 %
of the incidents, by the lower end of a one-sided 80 % interval (Wilson 1927); both are judged by five-fold
cross-fitting over seeds. Prints one JSON line with the cross-fitted figures; `live_causes` gives those on other seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from agents import calibration
from benchmarks.live_incidents import Answer, answers, table, told_last
from bot.progress import bar
from bot.simulator.evaluate import seeds
from bot.simulator.score import ece
from bot.simulator.wire import LIVE
from core import policy as policies

FOLDS, PRECISION, RIDGE = 5, 0.95, 0.002
ONE_SIDED = 0.84
"""Normal quantile of a one-sided 80 % interval."""
LEAST = 20
"""Shown incidents without which no threshold is believed."""


def fit(x: Any, right: Any, weight: Any) -> Any:
    """Weights of the logistic; those of the log odds are not negative, that of an early look is not positive."""

    def loss(w: Any) -> float:
        z = x @ w
        return float(np.average(np.logaddexp(0, z) - right * z, weights=weight)) + RIDGE * float(w[1:] @ w[1:])

    start = np.array([0.0, 0.5, 0.2, 0.0])
    return minimize(loss, start, bounds=[(-6, 6), (0, 3), (0, 3), (-6, 0)]).x


def threshold(rows: list[Answer], said: Any) -> float:
    """The lowest confidence with a precision that holds; 0.99 where none does."""
    best = 0.99
    for least in np.unique(np.round(said, 3))[::-1]:
        ends = list(told_last(rows, said >= least).values())
        shown = [rows[place].right for place in ends if said[place] >= least]
        if len(shown) >= LEAST and lower(sum(shown), len(shown)) >= PRECISION:
            best = min(best, float(least))
    return round(best, 3)


def lower(hits: int, of: int, z: float = ONE_SIDED) -> float:
    """The lower end of Wilson's interval.

    >>> round(lower(95, 100), 3)
    0.928
    """
    p = hits / of
    middle = p + z * z / (2 * of)
    return (middle - z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))) / (1 + z * z / of)


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seeds", required=True)
    args.add_argument("--cache", type=Path, help="where played incidents are kept, for the next time")
    args.add_argument("--out", type=Path, default=calibration.FILE)
    told = args.parse_args()
    rows = list(answers(LIVE, seeds(told.seeds), policies.load(), told.cache, bar(sys.stderr)))
    x, right = np.array([row.features for row in rows]), np.array([float(row.right) for row in rows])
    counts = np.bincount([row.incident for row in rows])
    weight = np.array([1 / counts[row.incident] for row in rows])
    fold, apart = np.array([row.seed % FOLDS for row in rows]), np.zeros(len(rows))
    for k in range(FOLDS):
        apart[fold == k] = 1 / (1 + np.exp(-(x[fold == k] @ fit(x[fold != k], right[fold != k], weight[fold != k]))))
    least = threshold(rows, apart)
    ends = np.array(list(told_last(rows, apart >= least).values()))
    incidents = len(ends)
    fitted = {
        "version": f"live-1 ({incidents} incidents, seeds {told.seeds})",
        "weights": [round(float(w), 4) for w in fit(x, right, weight)],
        "threshold": least, "target_precision": PRECISION,
    }  # fmt: skip
    told.out.write_text(json.dumps(fitted, indent=1, sort_keys=True) + "\n")
    shown = apart[ends] >= least
    print(json.dumps({
        "benchmark": "fit_live", "incidents": incidents, "moments": len(rows), **fitted,
        "cross_fitted": {
            "right": round(float(right[ends].mean()), 3), "shown": round(float(shown.mean()), 3),
            "shown_precision": round(float(right[ends][shown].mean()), 3) if shown.any() else None,
            "ece": round(ece(apart[ends], right[ends]), 3), "ece_moments": round(ece(apart, right), 3),
            "table": table(apart[ends], right[ends]),
        },
    }))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
