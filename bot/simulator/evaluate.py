"""How good an investigator is: its answers to many cases, scored, beside the reference rankers. Pure but for files.

The measures are those of `score`; what is added here speaks of the answer as a person meets it: is what is shown right,
is what is withheld wrong, is anything said without a citation.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bot.simulator.catalogue import public_type
from bot.simulator.episode import generate
from bot.simulator.record import read_case, read_truth, record
from bot.simulator.references import REFERENCES
from bot.simulator.score import by_group, interval, score_case, summary

Answer = Callable[[Path], Mapping[str, Any]]
Progress = Callable[[int, int, str], None]

GOALS: dict[str, tuple[str, float]] = {
    "ac1": (">=", 0.85), "ac3": (">=", 0.95), "type": (">=", 0.75), "grounded_of_named": (">=", 0.97),
    "specificity": (">=", 0.90), "sensitivity": (">=", 0.95), "remediation": (">=", 0.75), "harmful": ("<=", 0.01),
    "ece": ("<=", 0.05), "shown_precision": (">=", 0.95), "false_accusation": ("<=", 0.03),
}  # fmt: skip
"""What this build is meant to reach on fresh seeds."""
LEAST = 5
"""Cases needed before a figure means anything."""
BINS = 10


def folders(places: Sequence[Path]) -> list[Path]:
    """Every case folder among `places` and one level below. Raises ValueError naming a place that holds none."""
    found: list[Path] = []
    for place in places:
        here = [p for p in (place, *sorted(place.iterdir())) if (p / "alert.json").exists()] if place.is_dir() else []
        if not here:
            raise ValueError(f"{place} is no case and holds none: a case is a folder with an alert.json in it")
        found += here
    return found


def seeds(text: str) -> range:
    """`7` or `100..199` (both ends included). Raises ValueError saying what it should look like.

    >>> seeds("100..103"), seeds("7")
    (range(100, 104), range(7, 8))
    """
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text.strip())
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise ValueError(f"--seeds {text} is not a range: write 7, or 100..199 for a hundred of them")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def evaluate(cases: Sequence[Path], answer: Answer, say: Progress = lambda *_: None) -> dict[str, Any]:
    """Answer and score every case; the report as plain data. Raises ValueError for no cases or a malformed one."""
    done = []
    for place, folder in enumerate(cases):
        say(place, len(cases), folder.name)
        done.append(_one(folder, answer))
    say(len(cases), len(cases), "")
    return report(done)


def fresh(wanted: range, answer: Answer, say: Progress = lambda *_: None, profile: str = "triage") -> dict[str, Any]:
    """As `evaluate`, on episodes that are drawn now and recorded for as long as it takes to answer them."""
    done = []
    with tempfile.TemporaryDirectory() as scratch:
        for place, seed in enumerate(wanted):
            say(place, len(wanted), f"seed {seed}")
            done.append(_one(record(generate(seed, profile), Path(scratch) / f"{profile}-{seed}"), answer))
    say(len(wanted), len(wanted), "")
    return report(done)


def _one(folder: Path, answer: Answer) -> dict[str, Any]:
    """The scored answer to one case: {"row", "type", "difficulty", "references", "seconds"}."""
    said, truth, case = answer(folder), read_truth(folder), read_case(folder)
    row = score_case(case, truth, said)
    shown = not said.get("abstained", False)
    row["shown"] = float(shown)
    row["shown_right"] = row["right"] if shown else None
    row["withheld_wrong"] = None if shown else 1.0 - float(row["right"] or 0.0)
    claims = said.get("claims") or ()
    row["uncited"] = float(sum(not c.get("citations") for c in claims) / len(claims)) if claims else 0.0
    row["grounded_of_named"] = row["grounded"] if row.get("named_right") else None
    root = truth.get("root")
    references = {name: _hit(ranker(case), truth) for name, ranker in REFERENCES.items()} if root else {}
    return {
        "case": folder.name, "row": row, "references": references,
        "type": public_type(str(truth["type"])) if root else "benign", "difficulty": str(truth.get("difficulty", "")),
    }  # fmt: skip


def _hit(ranked: Sequence[str], truth: Mapping[str, Any]) -> list[float]:
    right = [node == truth["root"]["node"] or node in truth.get("alike", ()) for node in ranked]
    return [float(any(right[:1])), float(any(right[:3]))]


def report(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The measures over all cases, by type and by difficulty, with references, goals and the reliability table."""
    if not done:
        raise ValueError("no case was evaluated: name case folders, or draw fresh ones with --seeds 100..199")
    rows = [one["row"] for one in done]
    measures = summary(rows)
    seconds = [row["seconds"] for row in rows if row.get("seconds") is not None]
    if seconds:
        measures["p50_seconds"] = {"mean": float(np.median(seconds)), "n": len(seconds)}
    measures |= {"shown_precision": measures.pop("shown_right", {"n": 0}),
                 "abstention_precision": measures.pop("withheld_wrong", {"n": 0})}  # fmt: skip
    return {
        "cases": len(rows),
        "measures": {name: m for name, m in measures.items() if m.get("n")},
        "goals": {name: _goal(measures.get(name, {}), *goal) for name, goal in GOALS.items()},
        "references": {name: _reference(done, name) for name in REFERENCES},
        "reliability": reliability(rows),
        "by_type": by_group(rows, [one["type"] for one in done]),
        "by_difficulty": by_group(rows, [one["difficulty"] for one in done]),
    }


def _goal(measure: Mapping[str, float], sense: str, limit: float) -> dict[str, Any]:
    value = measure.get("mean")
    met = None if value is None else bool(value >= limit if sense == ">=" else value <= limit)
    return {"goal": f"{sense} {limit:g}", "value": value, "met": met}


def _reference(done: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    hits = [one["references"][name] for one in done if one["references"]]
    return {"ac1": interval([h[0] for h in hits]), "ac3": interval([h[1] for h in hits])}


def reliability(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Bins of equal mass over the stated confidence: what was said, how often it was right, of how many."""
    sure = [(float(r["confidence"]), float(r["right"])) for r in rows if r.get("confidence") is not None]
    if not sure:
        return []
    said, right = np.array(sorted(sure)).T
    parts = np.array_split(np.arange(len(said)), min(BINS, max(len(said) // LEAST, 1)))
    return [{"said": float(said[p].mean()), "right": float(right[p].mean()), "n": len(p)} for p in parts if len(p)]


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """The report as lines for people."""
    yield f"{found['cases']} cases" + ("" if found["cases"] >= LEAST else ": too few to mean anything")
    yield ""
    yield f"{'measure':<22}{'mean':>7}   {'95 % interval':<15}{'n':>5}  goal"
    for name, m in found["measures"].items():
        between = f"{m['low']:.2f} .. {m['high']:.2f}" if "low" in m else ""
        goal = found["goals"].get(name)
        mark = "" if goal is None else f"{goal['goal']}" + (" met" if goal["met"] else "  MISSED")
        yield f"{name:<22}{m['mean']:>7.3f}   {between:<15}{int(m['n']):>5}  {mark}"
    yield ""
    yield f"{'ranker':<26}{'AC@1':>6}{'AC@3':>6}"
    own = found["measures"]
    if "ac1" in own:
        yield f"{'middlewatch (rules)':<26}{own['ac1']['mean']:>6.2f}{own['ac3']['mean']:>6.2f}"
        for name, both in found["references"].items():
            yield f"{name:<26}{both['ac1']['mean']:>6.2f}{both['ac3']['mean']:>6.2f}"
    for what in ("difficulty", "type"):
        yield ""
        yield f"{what:<12}{'n':>5}{'AC@1':>7}{'AC@3':>7}{'type':>7}{'benign':>8}"
        for name, m in found[f"by_{what}"].items():
            yield f"{name or '-':<12}{_n(m):>5}" + "".join(_cell(m, k) for k in ("ac1", "ac3", "type")) + _benign(m)
    yield ""
    yield "confidence said -> how often right"
    for row in found["reliability"]:
        yield f"  {row['said']:.2f} -> {row['right']:.2f}  {'#' * round(30 * row['right']):<30} n={row['n']}"


def _n(measures: Mapping[str, Any]) -> int:
    return int(measures["shown"]["n"])


def _cell(measures: Mapping[str, Any], name: str) -> str:
    return f"{measures[name]['mean']:>7.2f}" if name in measures else f"{'-':>7}"


def _benign(measures: Mapping[str, Any]) -> str:
    found = measures.get("specificity") or measures.get("sensitivity")
    return f"{found['mean']:>8.2f}" if found else ""
