"""Forecasts of 50 real hourly series, beside Holt-Winters. Prints one JSON line; exit status 1 when a goal is missed.

    python -m benchmarks.forecast PANEL.npz [--deep]

PANEL.npz holds `id`, `seg`, `hour0`, `n` per series and `y`, `psi` end to end (NAB under MIT, flights CC0). The SLO of
a series is the 90 % quantile of its rolling daily mean over the first 60 % of its hours, which also train the networks;
the next 20 % calibrate, the last 20 % are judged: nothing that is judged was seen. `--deep` trains N-HiTS and TFT too
(minutes). Goals: ensemble's pinball <= .94 of Holt-Winters', average precision of "breached within 1..24 h" not below
Holt-Winters', coverage of the 90 % interval .88 to .94.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

from detectors.forecast import backtest
from detectors.forecast.panel import read
from detectors.forecast.simple import HoltWinters, Persistence
from detectors.forecast.train import sample, train_pooled

TRAINED, JUDGED = 0.6, 0.8


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    ask.add_argument("panel", type=Path)
    ask.add_argument("--deep", action="store_true", help="N-HiTS and TFT as well")
    args = ask.parse_args()
    panel = read(args.panel, share=TRAINED)
    trained, judged = ([int(part * len(one)) for one in panel] for part in (TRAINED, JUDGED))
    known = sample(panel, trained)
    began = time.process_time()
    members: list[backtest.Member] = [Persistence(), HoltWinters(), train_pooled(known)]
    if args.deep:
        from detectors.forecast import deep

        members += [deep.train(name, known.take(slice(None, None, 3))) for name in ("nhits", "tft")]
    fitted = time.process_time()
    past = backtest.tell(panel, members, trained, judged)
    table = {row.member: row for row in backtest.rows(past)}
    ours, theirs = table["ensemble"], table["holt_winters"]
    goals = {
        "pinball": ours.pinball <= 0.94 * theirs.pinball, "ap": ours.ap[0] >= theirs.ap[0],
        "coverage": 0.88 <= ours.coverage <= 0.94,
    }  # fmt: skip
    print(json.dumps({
        "benchmark": "forecast", "series": len(panel), "cases": len(past.cases),
        "breaches": int(((past.hours > 0) & (past.hours < 25)).sum()),
        "pinball_ratio": round(ours.pinball / theirs.pinball, 4), "goals": goals,
        "members": {name: _short(row) for name, row in table.items()},
        "fit_cpu_s": round(fitted - began, 1), "tell_cpu_s": round(time.process_time() - fitted, 1),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }))  # fmt: skip
    return 0 if all(goals.values()) else 1


def _short(row: backtest.Row) -> dict[str, object]:
    levels = {
        level: None if r is None else {"precision": round(r.precision, 3), "recall": round(r.recall, 3),
                                       "lead_h": round(r.lead, 1), "n": r.spoken}
        for level, r in row.records.items()
    }  # fmt: skip
    return {"pinball": round(row.pinball, 4), "coverage": round(row.coverage, 3),
            "ap_1_24": round(row.ap[0], 3),
            "ap": {h: round(v, 3) for h, v in row.ap.items() if h}, **levels}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
