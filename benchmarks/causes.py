"""Root causes of injected faults in two microservice systems: the lineage ranker beside n-sigma. Prints one JSON line.

    python -m benchmarks.causes [FOLDER]

FOLDER holds the reduced Nezha data (IntelligentDDS/Nezha, FSE 2023, MIT licence): `nezha.json` with call edges and
faults, and a table of pod metrics by the minute a day. For each fault the four minutes from its injection on are judged
against all minutes of that day in which nothing was injected, with the three minutes before it as "just before". Both
systems, every fault and both methods use the same windows and the same constants; no target is given. Figures are
expected recall at 1, 3 and 5 with ties shared; `published` are those of the data's own README.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agents.causes import rank

HERE = Path(__file__).resolve().parents[1]
BEFORE, DURING, RECOVERY = 180, 240, 360
"""Seconds before a fault, of it, and until the system is taken to be well again."""
SYSTEMS = {"nezha_ob": "online_boutique", "nezha_tt": "train_ticket"}
PUBLISHED = {
    "online_boutique": {"n_sigma": [0.59, 0.77, 0.95], "baro": [0.50, 0.71, 0.84], "pagerank": [0.43, 0.66, 0.79],
                        "bayesian_ranker": [0.59, 0.66, 0.84]},
    "train_ticket": {"n_sigma": [0.11, 0.18, 0.27], "baro": [0.00, 0.04, 0.20], "pagerank": [0.02, 0.09, 0.16],
                     "bayesian_ranker": [0.13, 0.16, 0.20]},
}  # fmt: skip

Table = dict[str, dict[str, Any]]
Scores = dict[str, float]


def read(file: Path) -> tuple[Any, Table]:
    """Times and node -> metric -> values of one day."""
    with gzip.open(file, "rt") as text:
        head, *rows = csv.reader(text)
    values = np.array([[float(v) if v else np.nan for v in row] for row in rows])
    table: Table = {}
    for column, name in enumerate(head[1:], 1):
        node, metric = name.split("|")
        table.setdefault(node, {})[metric] = values[:, column]
    return values[:, 0], table


def faults(folder: Path) -> Iterator[tuple[str, str, Table, Table, int, list[tuple[str, str]]]]:
    """(system, true node, normal, abnormal, onset row, causal edges) of every fault."""
    about = json.loads((folder / "nezha.json").read_text())
    for day, injected in about["faults"].items():
        times, table = read(folder / f"{day}.csv.gz")
        system = "nezha_ob" if any(f["service"] == "frontend" for f in injected) else "nezha_tt"
        calls = [(callee, caller) for caller, callee in about["edges"][system] if caller in table and callee in table]
        busy = np.zeros(len(times), bool)
        for fault in injected:
            busy |= (times > fault["t"] - 60) & (times < fault["t"] + RECOVERY)
        normal = {node: {m: v[~busy] for m, v in metrics.items()} for node, metrics in table.items()}
        for fault in injected:
            rows = (times >= fault["t"] - BEFORE) & (times < fault["t"] + DURING)
            abnormal = {node: {m: v[rows] for m, v in metrics.items()} for node, metrics in table.items()}
            onset = int(((times < fault["t"]) & rows).sum())
            yield SYSTEMS[system], fault["service"], normal, abnormal, onset, calls


def ours(normal: Table, abnormal: Table, onset: int, edges: list[tuple[str, str]]) -> Scores:
    """The lineage ranker."""
    return {c.node: c.score for c in rank(edges, normal, abnormal, onset=onset).candidates}


def n_sigma(normal: Table, abnormal: Table, onset: int, edges: list[tuple[str, str]]) -> Scores:
    """The largest distance from the mean, in standard deviations, of any metric of the node."""
    scores = {}
    for node, metrics in abnormal.items():
        best = 0.0
        for metric, rows in metrics.items():
            past = normal[node][metric]
            z = np.abs(rows[onset:] - np.nanmean(past)) / max(float(np.nanstd(past)), 1e-6)
            best = max(best, float(np.nanmax(z, initial=0.0)))
        scores[node] = best
    return scores


def recall(scores: Scores, truth: str) -> list[float]:
    """Expected recall at 1, 3 and 5, ties shared."""
    mine = scores[truth]
    better, tied = sum(v > mine for v in scores.values()), sum(v == mine for v in scores.values())
    return [min(max((k - better) / tied, 0.0), 1.0) for k in (1, 3, 5)]


def main(folder: Path) -> int:
    methods: dict[str, Callable[..., Scores]] = {"middlewatch": ours, "n_sigma": n_sigma}
    found: dict[str, dict[str, list[list[float]]]] = {s: {m: [] for m in methods} for s in SYSTEMS.values()}
    spent = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nanmean of columns that were never seen
        for system, truth, normal, abnormal, onset, edges in faults(folder):
            for name, method in methods.items():
                start = time.perf_counter()
                found[system][name].append(recall(method(normal, abnormal, onset, edges), truth))
                spent += (time.perf_counter() - start) * (name == "middlewatch")
    means = {s: {m: [round(float(x), 3) for x in np.mean(r, axis=0)] for m, r in by.items()} for s, by in found.items()}
    count = {s: len(by["middlewatch"]) for s, by in found.items()}
    first = {s: means[s]["middlewatch"][0] > max(b[0] for b in PUBLISHED[s].values()) for s in means}
    print(json.dumps({"benchmark": "causes", "recall_at_1_3_5": means, "published": PUBLISHED, "faults": count,
                      "seconds_per_fault": round(spent / sum(count.values()), 3), "top1_above_every_published": first,
                      "ok": all(first.values())}))  # fmt: skip
    return 0 if all(first.values()) else 1


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "shared" / "benchmarks" / "nezha"
    if not (where / "nezha.json").exists():
        sys.exit(f"{where}/nezha.json is missing: name the folder that holds the Nezha data")
    sys.exit(main(where))
