"""How often is the live investigation right, and how honest is its confidence? Prints one JSON line.

    python -m benchmarks.live_causes --seeds 9000..9019 [--types D1,D3,...] [--cache DIR]

Every live type of the simulator, with every seed, goes as wire events through the real monitor, the alert pipeline and
the investigation (its ports in memory), with no server; the baseline is the two days before. An incident is looked at
when its first alert comes, and while the card says "Not sure" again whenever another alert joins, and ten minutes, an
hour and three hours later; what counts is what its card ends with. That is right when its typed cause is the true one;
of a benign incident, when it names nothing that is broken; where only the version is said to be sure, when going back
is what helps. `first` speaks of the first look alone. Seeds below 5000 were fitted on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from agents import calibration
from benchmarks.live_incidents import CALM, Answer, answers, table, told_last
from bot.progress import bar
from bot.simulator.evaluate import seeds
from bot.simulator.score import ece
from bot.simulator.wire import LIVE
from core import policy as policies


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seeds", required=True)
    args.add_argument("--types", default=",".join(LIVE))
    args.add_argument("--cache", type=Path, help="where played incidents are kept, for the next time")
    told = args.parse_args()
    kinds = told.types.split(",")
    rows = list(answers(kinds, seeds(told.seeds), policies.load(), told.cache, bar(sys.stderr)))
    if not rows:
        print("nothing was noticed: there is nothing to judge", file=sys.stderr)
        return 1
    ends = [rows[place] for place in told_last(rows, [row.shown for row in rows]).values()]
    real = {(row.kind, row.seed) for row in ends if row.kind != CALM}
    print(json.dumps({
        "benchmark": "live_causes", "incidents": len(ends), "moments": len(rows),
        "unnoticed": len(kinds) * len(seeds(told.seeds)) - len(real),
        "false_alarms": sum(row.kind == CALM for row in ends), "calibration": calibration.load().version,
        **figures(ends), "first": figures([row for row in rows if row.moment == 0]),
        "by_type": {kind: of_kind([row for row in ends if row.kind == kind]) for kind in (*kinds, CALM)},
        "table": table(*arrays(ends)),
    }))  # fmt: skip
    return 0


def figures(rows: list[Answer]) -> dict[str, Any]:
    said, right = arrays(rows)
    shown = np.array([row.shown for row in rows])
    return {
        "type_accuracy": round(float(right.mean()), 3), "ece": round(ece(said, right), 3),
        "shown": round(float(shown.mean()), 3), "shown_n": int(shown.sum()),
        "shown_precision": round(float(right[shown].mean()), 3) if shown.any() else None,
    }  # fmt: skip


def of_kind(rows: list[Answer]) -> dict[str, Any]:
    """How many were right and shown, and what was said instead."""
    wrong = Counter(row.cause for row in rows if not row.right)
    misled = sum(row.shown and not (row.right or row.undone) for row in rows)
    return {"n": len(rows), "right": sum(row.right for row in rows), "shown": sum(row.shown for row in rows),
            "shown_wrong": misled, "instead": dict(wrong)}  # fmt: skip


def arrays(rows: list[Answer]) -> tuple[Any, Any]:
    return np.array([row.confidence for row in rows]), np.array([float(row.right or row.undone) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
