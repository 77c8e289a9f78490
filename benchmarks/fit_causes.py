"""Fit how much each trait of a typed cause counts, and how often a confidence is right. Writes agents/weights.json.

    python -m benchmarks.fit_causes --seeds 50000..50999 --cases DIR [--out FILE]

Draws the incidents of these seeds (profile triage, one in five benign) under DIR unless they are there, reads off the
traits of every candidate, and fits a conditional logit by penalised likelihood (L-BFGS). What is said of the confidence
comes from five-fold cross-fitting: posteriors of incidents that their weights never saw, through isotonic regression.
Prints one JSON line with the cross-fitted figures; `python -m bot eval --seeds` gives those on other seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import minimize

from agents import benign, candidates, cases, weights
from agents.faults import CODES
from agents.readings import read_all
from agents.signs import collect
from agents.surprise import Constants
from bot.progress import bar
from bot.simulator.episode import generate
from bot.simulator.evaluate import seeds
from bot.simulator.record import read_truth, record
from bot.simulator.score import ece

RIDGE = {"shared": 0.0006, "prior": 0.001, "role": 0.0025, "alert": 0.004, "benign": 0.0006}
"""Penalty of a weight squared, by its family: the more weights a family has, the less each is trusted."""
FOLDS, PRECISION = 5, 0.95


class Example(NamedTuple):
    """One incident: for each candidate (the last is "nothing is broken") its traits by column name."""

    rows: list[dict[tuple[str, ...], float]]
    nodes: list[str]
    right: list[float]
    typed: list[bool]
    is_benign: bool


def example(folder: Path) -> Example:
    """The candidates of a recorded case, and which of them is the truth."""
    case, truth = cases.read(folder), read_truth(folder)
    signs = collect([*read_all(case), *read_all(case, segments=True)])
    alert = candidates.alert_role(case)
    seen = candidates.gather(case, signs, candidates.edges_of(case.edges), Constants())
    rows: list[dict[tuple[str, ...], float]] = []
    for t in seen:
        row: dict[tuple[str, ...], float] = {("shared", name): x for name, x in t.values.items() if x}
        row[("prior", t.fault.cause)] = 1.0
        row[("alert", t.fault.cause, alert)] = 1.0
        for role, sign in signs.get(t.node, {}).items():
            row[("role", t.fault.cause, weights.key(role, sign))] = weights.squashed(sign)
        rows.append(row)
    healthy = benign.traits(signs, {t.node for t in seen}, case.alert["node"], alert)
    rows.append({("benign", name): x for name, x in healthy.items()})
    root = truth.get("root")
    right = [_credit(truth, t.node) if root else 0.0 for t in seen]
    typed = [bool(root) and CODES[t.fault.cause] == truth["type"] for t in seen]
    return Example(rows, [t.node for t in seen], [*right, float(not root)], [*typed, not root], not root)


def _credit(truth: dict[str, Any], node: str) -> float:
    if node == truth["root"]["node"] or node in truth.get("alike", ()):
        return 1.0
    return 0.5 if truth.get("silent_root") and node == truth.get("visible_child") else 0.0


class Problem:
    """Examples as one sparse matrix over the columns `names`, a row a candidate."""

    def __init__(self, examples: list[Example], names: dict[tuple[str, ...], int]):
        self.examples = examples
        at, column, value = [], [], []
        row = 0
        self.start = []
        for one in examples:
            self.start.append(row)
            for traits in one.rows:
                for name, x in traits.items():
                    if name in names:
                        at.append(row), column.append(names[name]), value.append(x)
                row += 1
        self.x = sparse.csr_matrix((value, (at, column)), shape=(row, len(names)))
        self.of = np.repeat(np.arange(len(examples)), np.diff([*self.start, row]))
        right = np.concatenate([one.right for one in examples])
        typed = np.concatenate([one.typed for one in examples])
        self.goals = [((right >= 0.5) & typed).astype(float), (right >= 0.5).astype(float)]
        self.ridge = np.array([RIDGE[name[0]] for name in names])

    def share(self, theta: Any) -> Any:
        """Posterior of every candidate."""
        score = self.x @ theta
        e = np.exp(score - np.maximum.reduceat(score, self.start)[self.of])
        return e / np.add.reduceat(e, self.start)[self.of]

    def loss(self, theta: Any) -> tuple[float, Any]:
        """Penalised negative log likelihood of node and kind, and of the node alone, half and half; its gradient."""
        p, value, slope = self.share(theta), 0.0, np.zeros(len(self.of))
        for goal in self.goals:
            mass = np.add.reduceat(p * goal, self.start)
            has = np.add.reduceat(goal, self.start) > 0
            value -= 0.5 * float(np.log(mass[has] + 1e-12).sum())
            slope += 0.5 * (p - np.where(has[self.of], p * goal / (mass + 1e-12)[self.of], p))
        n = len(self.start)
        return value / n + float(self.ridge @ theta**2), self.x.T @ slope / n + 2 * self.ridge * theta

    def fit(self) -> Any:
        return minimize(self.loss, np.zeros(self.x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x

    def said(self, theta: Any) -> list[tuple[float, float, float]]:
        """(posterior of what is said, is it right, is the kind right) of every example, as `answers` says it."""
        p, out = self.share(theta), []
        for i, one in enumerate(self.examples):
            own = p[self.start[i] : self.start[i] + len(one.rows)]
            if own[-1] >= benign.AT:
                out.append((float(own[-1]), float(one.is_benign), float(one.is_benign)))
                continue
            nodes: dict[str, float] = {}
            for node, x in zip(one.nodes, own, strict=False):
                nodes[node] = nodes.get(node, 0.0) + float(x)
            top = max(sorted(nodes), key=nodes.__getitem__)
            places = [k for k, node in enumerate(one.nodes) if node == top]
            best = max(places, key=lambda k: own[k])
            out.append((nodes[top], float(one.right[best] >= 1 and not one.is_benign), float(one.typed[best])))
        return out


def isotonic(x: Any, y: Any, least: int = 12) -> list[list[float]]:
    """Points (posterior, share right) of an isotonic regression (pool adjacent violators) of blocks of `least`."""
    order = np.argsort(x, kind="stable")
    blocks = [[float(x[part].mean()), float(y[part].mean()), len(part)]
              for part in np.array_split(order, max(len(order) // least, 1))]  # fmt: skip
    merged: list[list[float]] = []
    for block in blocks:
        merged.append(block)
        while len(merged) > 1 and merged[-2][1] >= merged[-1][1]:
            (x1, y1, n1), (x2, y2, n2) = merged[-2:]
            merged[-2:] = [[(x1 * n1 + x2 * n2) / (n1 + n2), (y1 * n1 + y2 * n2) / (n1 + n2), n1 + n2]]
    # a block that was always right is still only so many incidents: the rule of succession
    return [[round(a, 4), round((b * n + 1) / (n + 2), 4)] for a, b, n in merged]


def threshold(said: Any, right: Any) -> float:
    """The lowest confidence above which what was said was right in at least `PRECISION` of the incidents."""
    order = np.argsort(-said, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((share >= PRECISION) & (np.arange(len(order)) >= 19))
    return round(float(said[order][good[-1]]), 4) if len(good) else 0.99


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seeds", required=True, action="append")
    args.add_argument("--cases", required=True, type=Path)
    args.add_argument("--out", type=Path, default=weights.FILE)
    told = args.parse_args()
    wanted, say, examples = [s for text in told.seeds for s in seeds(text)], bar(sys.stderr), []
    for place, seed in enumerate(wanted):
        folder = told.cases / str(seed)
        examples.append(example(folder if folder.exists() else record(generate(seed, "triage"), folder)))
        say(place + 1, len(wanted), f"seed {seed}")
    names = {name: i for i, name in enumerate(sorted({n for one in examples for row in one.rows for n in row}))}
    fold = np.arange(len(examples)) % FOLDS
    apart: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)] * len(examples)
    for k in range(FOLDS):
        theta = Problem([e for e, f in zip(examples, fold, strict=True) if f != k], names).fit()
        held = np.flatnonzero(fold == k)
        for i, row in zip(held, Problem([examples[i] for i in held], names).said(theta), strict=True):
            apart[i] = row
    p, right, kind = np.array(apart).T
    points = isotonic(p, right)
    confident = np.interp(p, *np.array(points).T)
    theta = Problem(examples, names).fit()
    file = _plain(theta, names) | {
        "version": f"cases-2 ({len(examples)} incidents, seeds {', '.join(told.seeds)})",
        "calibration": points, "threshold": threshold(confident, right), "target_precision": PRECISION,
    }  # fmt: skip
    told.out.write_text(json.dumps(file, indent=1, sort_keys=True) + "\n")
    shown = confident >= file["threshold"]
    faulty = np.array([not one.is_benign for one in examples])
    print(json.dumps({
        "benchmark": "fit_causes", "incidents": len(examples), "weights": len(names),
        "cross_fitted": {
            "ac1": round(float(right[faulty].mean()), 3), "type": round(float(kind[faulty].mean()), 3),
            "specificity": round(float(right[~faulty].mean()), 3),
            "ece_raw": round(ece(p, right), 3), "shown": round(float(shown.mean()), 3),
            "shown_precision": round(float(right[shown].mean()), 3) if shown.any() else None,
        },
        "threshold": file["threshold"],
    }))  # fmt: skip
    return 0


def _plain(theta: Any, names: dict[tuple[str, ...], int]) -> dict[str, Any]:
    """The weights as nested tables; what is nothing to three digits is left out, except for a healthy world."""
    found: dict[str, Any] = {family: {} for family in RIDGE}
    for name, column in names.items():
        value = round(float(theta[column]), 3)
        if abs(value) < 0.005 and name[0] != "benign":
            continue
        if len(name) == 2:
            found[name[0]][name[1]] = value
        else:
            found[name[0]].setdefault(name[1], {})[name[2]] = value
    return found


if __name__ == "__main__":
    sys.exit(main())
