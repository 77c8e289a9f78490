"""Fit how much each trait of a typed cause counts, and how often a confidence is right. Writes agents/weights.json.

    python -m benchmarks.fit_causes --seeds 50000..51499 --cases DIR [--out FILE]

Draws the incidents of these seeds (profile triage, one in five benign) under DIR unless they are there, reads off the
traits of every node, and fits a conditional logit over all typed causes by penalised likelihood (L-BFGS). A weight is a
sum: what a trait counts for any fault, for the fault's family, for this fault, and what the catalogue says of it
(`faults.FAULTS`: telling signs, effects, what stays calm, fitting changes), so that little data still know much. What
is said of the confidence comes from five-fold cross-fitting: posteriors of incidents that their weights never saw,
through isotonic regression. Prints one JSON line with the cross-fitted figures; `python -m bot eval --seeds` gives
those on other seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from agents import cases, weights
from agents.candidates import Seen, gather
from agents.diagnose import BENIGN_AT
from agents.faults import CODES, EXPECTED, FAULTS, Fault
from agents.readings import read_all
from agents.signs import SLICE, collect, slices
from agents.undeclared import completed
from bot.progress import bar
from bot.simulator.episode import generate
from bot.simulator.evaluate import seeds
from bot.simulator.record import read_truth, record
from bot.simulator.score import ece

RIDGE = {"fault": 0.006, "family": 0.002, "any": 0.0005, "around": 0.006, "prior": 0.0003, "catalogue": 0.0001}
"""Penalty of a weight squared, by its part: the more weights a part has, the less each is trusted."""
FOLDS, PRECISION, STEPS, RARE = 5, 0.97, 80, 40
QUIET = 0.4
"""Nats that benign kinds are given on top of what is fitted: a page for nothing costs. Of incidents that the weights
never saw it keeps 95 in 100 faults and knows 93 in 100 benign ones, where it was 96 and 89."""
LEAST = 0.02
"""A weight nearer to nothing is left out."""
FAMILY = [CODES[f.cause][0] if not f.benign else "benign" for f in FAULTS]
FAMILIES = sorted(set(FAMILY))
BENIGN_KIND = {"seasonality": "W3", "campaign_mix": "W4", "planned_threshold": "M4P"}
BENIGN = np.array([f.benign for f in FAULTS])


class Example(NamedTuple):
    """One incident: what was seen, and for each node the credit for naming it (0, 1/2, 1)."""

    seen: Seen
    credit: list[float]
    truth: dict[str, Any]


def example(folder: Path) -> Example:
    """The traits of a recorded case, and which of its nodes is the truth."""
    case, truth = completed(cases.read(folder)), read_truth(folder)
    readings = read_all(case)
    seen = gather(case, readings, collect(readings, case.segment), slices(readings))
    return Example(seen, [_credit(truth, t.node) for t in seen.nodes], truth)


def _credit(truth: dict[str, Any], node: str) -> float:
    if not truth.get("root"):
        return 0.0
    if node == truth["root"]["node"] or node in truth.get("alike", ()):
        return 1.0
    return 0.5 if truth.get("silent_root") and node == truth.get("visible_child") else 0.0


class Names(NamedTuple):
    """Columns: traits of nodes, traits of the whole."""

    traits: list[str]
    around: list[str]


def names_of(examples: Sequence[Example]) -> Names:
    """All traits that are not too rare to learn from."""
    traits, around = Counter[str](), Counter[str]()
    for one in examples:
        around.update(one.seen.around)
        for node in one.seen.nodes:
            traits.update(node.values.keys())
    return Names(
        sorted(k for k, n in traits.items() if n >= RARE), sorted(k for k, n in around.items() if n >= RARE // 5)
    )


class Problem:
    """Examples as matrices: a row a node, a column a trait; goals are bool[nodes, faults]."""

    def __init__(self, examples: Sequence[Example], names: Names):
        column = {name: i for i, name in enumerate(names.traits)}
        place = {name: i for i, name in enumerate(names.around)}
        self.examples, counts = examples, [len(one.seen.nodes) for one in examples]
        self.start = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self.of = np.repeat(np.arange(len(examples)), counts)
        self.x = np.zeros((sum(counts), len(column)), np.float32)
        self.g = np.zeros((len(examples), len(place)), np.float32)
        row, allowed, right, typed = 0, [], [], []
        for e, one in enumerate(examples):
            for name, value in one.seen.around.items():
                if name in place:
                    self.g[e, place[name]] = value
            for node, credit in zip(one.seen.nodes, one.credit, strict=True):
                for name, value in node.values.items():
                    if name in column:
                        self.x[row, column[name]] = value
                row += 1
                allowed.append([node.kind in f.origins for f in FAULTS])
                right.append([_right(f, credit, one.truth) for f in FAULTS])
                typed.append([_typed(f, credit, one.truth) for f in FAULTS])
        self.allowed = np.array(allowed)
        self.goals = [np.array(typed) & self.allowed, np.array(right) & self.allowed]


def _right(fault: Fault, credit: float, truth: dict[str, Any]) -> bool:
    return not fault.benign and credit > 0 if truth.get("root") else fault.benign


def _typed(fault: Fault, credit: float, truth: dict[str, Any]) -> bool:
    if not truth.get("root"):
        return BENIGN_KIND.get(fault.cause) == truth["kind"]
    return _right(fault, credit, truth) and CODES[fault.cause] == truth["type"]


def catalogue(names: Names) -> np.ndarray:
    """What `faults.FAULTS` says of each trait, as rules: float[rules, traits, faults] of 0 and 1."""
    column = {name: i for i, name in enumerate(names.traits)}
    out = np.zeros((10, len(column), len(FAULTS)), np.float32)

    def put(rule: int, name: str, f: int) -> None:
        *of, role = name.rsplit(" ", 1)
        for same in (name, " ".join([*of, f"{SLICE}{role}"])):
            if same in column:
                out[rule, column[same], f] = 1.0

    for f, fault in enumerate(FAULTS):
        for role in fault.own:
            name, ways = _ways(role)
            put(1, f"own {name}=", f)
            for way in "+-":
                put(0 if way in ways else 2, f"own {name}{way}", f)
        for role in fault.calm:
            name, ways = _ways(role)
            for way in ways:
                put(2, f"own {name}{way}", f)
        for kind, roles in fault.effects.items():
            for role in roles:
                name, ways = _ways(role)
                put(5, f"below {kind} {name}=", f)
                for way in ways:
                    put(3, f"below {kind} {name}{way}", f), put(4, f"clearest {kind} {name}{way}", f)
                    put(8, f"missed {kind} {name}{way}", f)
            known = {_ways(role)[0] for role in roles}
            for name in names.traits:
                if (
                    name.startswith(f"below {kind} ")
                    and name[-1] in "+-"
                    and name.split(" ", 2)[2].removeprefix(SLICE)[:-1] not in known
                ):
                    put(7, name, f)
        for kind, roles in fault.spared.items():
            for role in roles:
                name, ways = _ways(role)
                for way in ways:
                    put(6, f"below {kind} {name}{way}", f)
        for kind in EXPECTED.get(fault.cause, ()):
            put(9, f"change {kind}", f)
    return out


def _ways(role: str) -> tuple[str, str]:
    """`nulls+` -> ("nulls", "+"); without a way both count."""
    return (role[:-1], role[-1]) if role[-1] in "+-" else (role, "+-")


class Model:
    """Weights in parts: fault[P, F], family[P, K], any[P], around[Q, F], prior[F], catalogue[rules]."""

    def __init__(self, names: Names):
        p, q, f = len(names.traits), len(names.around), len(FAULTS)
        self.rules = catalogue(names)
        self.family = np.array([FAMILIES.index(name) for name in FAMILY])
        self.shapes = {"fault": (p, f), "family": (p, len(FAMILIES)), "any": (p,), "around": (q, f), "prior": (f,),
                       "catalogue": (len(self.rules),)}  # fmt: skip

    def parts(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        out, at = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            out[name], at = theta[at : at + size].reshape(shape), at + size
        return out

    def weights(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(traits[P, F], around[Q, F], prior[F]): what the parts come to."""
        w = self.parts(theta)
        known = np.tensordot(w["catalogue"], self.rules, 1)
        summed = w["fault"] + w["family"][:, self.family] + w["any"][:, None] + known
        return summed, w["around"], w["prior"]

    def shipped(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`weights`, with what benign kinds are given on top."""
        traits, around, prior = self.weights(theta)
        return traits, around, prior + QUIET * BENIGN

    def share(self, d: Problem, theta: np.ndarray, shipped: bool = False) -> np.ndarray:
        """Posterior of every fault at every node, as fitted or as shipped."""
        w = self.shipped(theta) if shipped else self.weights(theta)
        traits, around, prior = (part.astype(np.float32) for part in w)
        score = np.where(d.allowed, d.x @ traits + (d.g @ around)[d.of] + prior, -np.inf)
        e = np.exp(score - np.maximum.reduceat(score.max(1), d.start)[d.of][:, None])
        return e / np.add.reduceat(e.sum(1), d.start)[d.of][:, None]

    def loss(self, theta: np.ndarray, d: Problem) -> tuple[float, np.ndarray]:
        """Penalised negative log likelihood of node and kind, and of the node alone, half and half; its gradient."""
        p, value = self.share(d, theta), 0.0
        slope, n = np.zeros_like(p), len(d.start)
        for goal in d.goals:
            hit = p * goal
            mass = np.add.reduceat(hit.sum(1), d.start)
            has = np.add.reduceat(goal.any(1), d.start) > 0
            value -= 0.5 * float(np.log(mass[has] + 1e-9).sum()) / n
            slope += np.where(has[d.of][:, None], p - hit / (mass + 1e-9)[d.of][:, None], 0) * (0.5 / n)
        of_traits = (d.x.T @ slope.astype(np.float32)).astype(float)
        by_family = np.zeros((len(of_traits), len(FAMILIES)))
        np.add.at(by_family.T, self.family, of_traits.T)
        raw = {"fault": of_traits, "family": by_family, "any": of_traits.sum(1), "prior": slope.sum(0),
               "around": d.g.T @ np.add.reduceat(slope, d.start, axis=0),
               "catalogue": (self.rules * of_traits).sum((1, 2))}  # fmt: skip
        w = self.parts(theta)
        value += sum(RIDGE[name] * float((part**2).sum()) for name, part in w.items())
        return value, np.concatenate([(raw[name] + 2 * RIDGE[name] * w[name]).ravel() for name in self.shapes])

    def fit(self, d: Problem) -> np.ndarray:
        start = np.zeros(sum(int(np.prod(shape)) for shape in self.shapes.values()))
        return minimize(self.loss, start, args=(d,), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x


def said(d: Problem, share: np.ndarray) -> list[tuple[float, float, float]]:
    """(posterior of what is said, is it right, is the kind right) of every example, as `answers` says it."""
    out = []
    for e, one in enumerate(d.examples):
        own = share[d.start[e] : d.start[e] + len(one.credit)]
        quiet, fault = float(own[:, BENIGN].sum()), not one.truth.get("root")
        if quiet >= BENIGN_AT:
            out.append((quiet, float(fault), float(fault)))
            continue
        nodes = own[:, ~BENIGN].sum(1)
        top = int(np.argmax(nodes))
        kind = int(np.argmax(np.where(BENIGN, -1.0, own[top])))
        typed = CODES[FAULTS[kind].cause] == one.truth["type"]
        out.append((float(nodes[top]), float(one.credit[top] >= 1), float(typed)))
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


def threshold(confident: Any, right: Any) -> float:
    """The lowest confidence above which what was said was right in at least `PRECISION` of the incidents."""
    order = np.argsort(-confident, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((share >= PRECISION) & (np.arange(len(order)) >= 19))
    return round(float(confident[order][good[-1]]), 4) if len(good) else 0.99


def cross_fitted(examples: list[Example], names: Names, model: Model) -> np.ndarray:
    """`said` of every example by weights that never saw it: float[examples, 3]."""
    fold, out = np.arange(len(examples)) % FOLDS, np.zeros((len(examples), 3))
    for k in range(FOLDS):
        kept = [one for one, f in zip(examples, fold, strict=True) if f != k]
        held = Problem([one for one, f in zip(examples, fold, strict=True) if f == k], names)
        out[fold == k] = said(held, model.share(held, model.fit(Problem(kept, names)), shipped=True))
        print(f"fold {k + 1} of {FOLDS}", file=sys.stderr)
    return out


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
    names = names_of(examples)
    model = Model(names)
    p, right, kind = cross_fitted(examples, names, model).T
    points = isotonic(p, right)
    confident = np.interp(p, *np.array(points).T)
    file = _plain(model.shipped(model.fit(Problem(examples, names))), names) | {
        "version": f"cases-3 ({len(examples)} incidents, seeds {', '.join(told.seeds)})",
        "calibration": points, "threshold": threshold(confident, right), "target_precision": PRECISION,
    }  # fmt: skip
    told.out.write_text(json.dumps(file, indent=1, sort_keys=True) + "\n")
    shown = confident >= file["threshold"]
    faulty = np.array([bool(one.truth.get("root")) for one in examples])
    print(json.dumps({
        "benchmark": "fit_causes", "incidents": len(examples), "traits": len(names.traits),
        "cross_fitted": {
            "ac1": round(float(right[faulty].mean()), 3), "type": round(float(kind[faulty].mean()), 3),
            "specificity": round(float(right[~faulty].mean()), 3),
            "ece_raw": round(ece(p, right), 3), "shown": round(float(shown.mean()), 3),
            "shown_precision": round(float(right[shown].mean()), 3) if shown.any() else None,
        },
        "threshold": file["threshold"],
    }))  # fmt: skip
    return 0


def _plain(fitted: tuple[np.ndarray, np.ndarray, np.ndarray], names: Names) -> dict[str, Any]:
    """The weights by fault and trait, without those that are next to nothing."""
    traits, around, prior = fitted

    def table(matrix: np.ndarray, columns: list[str]) -> dict[str, dict[str, float]]:
        return {
            fault.cause: {n: round(float(w), 2) for n, w in zip(columns, matrix[:, f], strict=True) if abs(w) >= LEAST}
            for f, fault in enumerate(FAULTS)
        }

    return {
        "traits": table(traits, names.traits), "around": table(around, names.around),
        "prior": {fault.cause: round(float(w), 3) for fault, w in zip(FAULTS, prior, strict=True)},
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
