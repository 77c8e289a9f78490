"""Scoring of answers (section 9 of the simulator's design): per episode, then means with intervals.

An answer is plain data; every key but `causes` may be missing:

    {"causes": [{"node": id, "posterior": p}, ...]   best first; [] abstains or says that nothing is wrong
     "type": catalogue id or cause word, else "other"
     "change": change id | "none" | "unlogged", "change_confidence": p
     "path": [[src, dst], ...]
     "blast": {node id: probability that this model degrades}
     "remediation": {"action": code, "object": node or change id}
     "benign": probability that nothing is broken,  "confidence": probability that causes[0] is right
     "claims": [{"text": ..., "citations": [{"row_id": "series@epoch" | "RB-..." | change id, "value": number?}]}]
     "cost": {"queries", "rows", "seconds", "tokens"}}
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import sqrt

import numpy as np

from bot.simulator.catalogue import type_of_name
from bot.simulator.rng import stream

BENIGN_AT = 0.5


def score(
    truth: Mapping,
    answer: Mapping,
    value_of: Callable[[str], float | None] | None = None,
    known: Iterable[str] = (),
    models: Sequence[str] = (),
) -> dict[str, float | None]:
    """Measures of one answer against one truth (an `Episode.truth.plain()` or a recorded `case.toml`).

    `value_of` gives the stored number behind a row id; `known` are other ids that may be cited (runbooks, changes);
    `models` are all models of the tenant. A measure that does not apply to the episode is None.
    """
    causes = [cause["node"] for cause in answer.get("causes", ())]
    benign = truth.get("root") is None
    rows: dict[str, float | None] = {"benign": _benign(answer, causes, benign), "is_benign": float(benign)}
    rows |= {name: float(value) for name, value in answer.get("cost", {}).items()}
    rows["citations"], rows["cited"] = _citations(answer, value_of, set(known))
    rows["remediation"] = _remedy(truth["remediation"], answer.get("remediation"))
    rows["harmful"] = float((rows["remediation"] or 0) < 0)
    named = answer.get("change")
    rows["false_accusation"] = float(named in truth["decoys"] and answer.get("change_confidence", 1.0) > 0.5)
    if benign:
        rows["change"] = None
        rows |= dict.fromkeys(("ac1", "ac3", "mrr", "type", "path_f1", "grounded", "named_right", "blast_auprc"), None)
        rows["confidence"], rows["right"] = (
            answer.get("confidence"),
            float(not causes or answer.get("benign", 0) >= BENIGN_AT),
        )
        return rows
    credit = [_credit(truth, node) for node in causes]
    rows["ac1"] = credit[0] if credit else 0.0
    rows["ac3"] = max(credit[:3], default=0.0)
    rows["mrr"] = max((value / (rank + 1) for rank, value in enumerate(credit)), default=0.0)
    rows["type"] = float(type_of_name(answer.get("type", "other")) == truth["type"])
    rows["change"] = float(named == truth["change"])
    rows |= _path(truth, answer, rows["ac1"])
    rows |= _blast(truth, answer, models)
    rows["confidence"], rows["right"] = answer.get("confidence"), float(rows["ac1"] >= 1.0)
    return rows


def score_episode(episode, answer: Mapping) -> dict[str, float | None]:
    """`score` of an answer to an in-process episode, with its citations checked against what was visible."""
    visible = episode.visible
    known = [change.id for change in visible.changes()] + [row["row_id"] for row in visible.search_runbooks("", 99)]
    models = [node["id"] for node in visible.graph["nodes"] if node["kind"] == "model"]
    return score(episode.truth.plain(), answer, visible.value_of, known, models)


def score_case(case, truth: Mapping, answer: Mapping) -> dict[str, float | None]:
    """`score` of an answer to a recorded case. A citation without `@time` is met by any value of its series."""
    stored = {
        f"{series.row_id}@{round(t)}": float(v)
        for series in case.series
        for t, v in zip(series.at, series.value, strict=True)
    }
    known = [change["id"] for change in case.changes] + [truth.get("runbook", "")]
    models = [node["id"] for node in case.nodes if node["kind"] == "model"]
    return score(truth, answer, stored.get, known, models)


def _credit(truth: Mapping, node: str) -> float:
    """1 for the root or a node as right, 0.5 for the first visible child of a dark root."""
    if node == truth["root"]["node"] or node in truth.get("alike", ()):
        return 1.0
    return 0.5 if truth.get("silent_root") and node == truth.get("visible_child") else 0.0


def _path(truth: Mapping, answer: Mapping, right: float) -> dict[str, float]:
    true = {tuple(edge) for edge in truth["path_edges"]}
    said = {tuple(edge) for edge in answer.get("path", ())}
    hit = len(true & said)
    recall = hit / len(true) if true else 1.0
    f1 = 2 * hit / (len(true) + len(said)) if true or said else 1.0
    return {
        "path_f1": f1,
        "path_recall": recall,
        "named_right": float(right >= 1),
        "grounded": float(right >= 1 and recall >= 0.8),
    }


def _blast(truth: Mapping, answer: Mapping, models: Sequence[str]) -> dict[str, float | None]:
    said, hit = answer.get("blast", {}), set(truth.get("degraded_models", {}))
    everyone = sorted(set(models) | set(said) | hit)
    if not hit or not everyone:
        return {"blast_auprc": None, "blast_brier": None, "blast_recall": None}
    p = np.array([float(said.get(node, 0.0)) for node in everyone])
    y = np.array([node in hit for node in everyone], float)
    top = np.argsort(-p, kind="stable")[: len(hit)]
    return {
        "blast_auprc": average_precision(p, y),
        "blast_brier": float(np.mean((p - y) ** 2)),
        "blast_recall": float(y[top].sum() / len(hit)),
    }


def _remedy(truth: Mapping, said: Mapping | None) -> float:
    """+1 best, +0.5 acceptable, -1 harmful, 0 anything else or nothing; a best one for a wrong object is acceptable."""
    if not said:
        return 0.0
    action = str(said.get("action", "")).upper()
    if action in truth["harmful"]:
        return -1.0
    if action in truth["best"]:
        objects = {truth["object"], truth.get("target"), None, ""}
        return 1.0 if said.get("object") in objects or action in ("NOTHING", "WAIT", "RETRAIN") else 0.5
    return 0.5 if action in truth["acceptable"] else 0.0


def _benign(answer: Mapping, causes: list[str], benign: bool) -> float:
    quiet = answer["benign"] >= BENIGN_AT if "benign" in answer else not causes
    return float(quiet == benign)


def _citations(answer: Mapping, value_of, known: set[str]) -> tuple[float | None, float | None]:
    """(share of claims whose citations all exist and whose numbers agree within 2 %, whether any claim is cited)."""
    claims = answer.get("claims")
    if claims is None:
        return None, None
    good = [
        bool(claim.get("citations")) and all(_holds(c, value_of, known) for c in claim["citations"]) for claim in claims
    ]
    return (float(np.mean(good)) if good else 0.0), float(any(claim.get("citations") for claim in claims))


def _holds(citation: Mapping, value_of, known: set[str]) -> bool:
    row = str(citation.get("row_id", ""))
    if row in known:
        return True
    stored = value_of(row) if value_of else None
    if stored is None:
        return False
    said = citation.get("value")
    return said is None or abs(float(said) - stored) <= 0.02 * max(abs(stored), 1e-9)


# -- over many episodes -----------------------------------------------------------------------------------------------


def summary(rows: Sequence[Mapping[str, float | None]], draws: int = 1000) -> dict[str, dict[str, float]]:
    """Means of every measure with 95 % intervals, and ECE, Brier and AURC of the stated confidence.

    Shares of yes and no get Wilson intervals; all else a bootstrap over episodes. Each: {"mean","low","high","n"}.
    """
    out = {}
    names = dict.fromkeys(
        name for row in rows for name in row if name not in ("confidence", "right", "is_benign", "benign")
    )
    for name in names:
        out[name] = interval([row[name] for row in rows if row.get(name) is not None], draws)
    out["specificity"] = interval([row["benign"] for row in rows if row.get("is_benign") == 1], draws)
    out["sensitivity"] = interval([row["benign"] for row in rows if row.get("is_benign") == 0], draws)
    sure = [(float(row["confidence"]), float(row["right"])) for row in rows if row.get("confidence") is not None]
    if sure:
        p, right = (np.array(part) for part in zip(*sure, strict=True))
        out["ece"] = {"mean": ece(p, right), "n": len(sure)}
        out["brier"] = {"mean": float(np.mean((p - right) ** 2)), "n": len(sure)}
        out["aurc"] = {"mean": aurc(p, right), "n": len(sure)}
    return {name: row for name, row in out.items() if row.get("n")}


def interval(values: Sequence[float], draws: int = 1000) -> dict[str, float]:
    """Mean and 95 % interval: Wilson's for zeros and ones, else the percentile bootstrap."""
    if not values:
        return {"n": 0}
    x = np.array(values, float)
    mean, n = float(x.mean()), len(x)
    if set(np.unique(x)) <= {0.0, 1.0}:
        low, high = wilson(int(x.sum()), n)
    else:
        random = stream(n, "bootstrap")
        means = x[random.integers(0, n, (draws, n))].mean(axis=1)
        low, high = (float(q) for q in np.quantile(means, (0.025, 0.975)))
    return {"mean": mean, "low": low, "high": high, "n": n}


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927).

    >>> [round(x, 3) for x in wilson(9, 10)]
    [0.596, 0.982]
    """
    p, d = hits / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / d, z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return max(0.0, middle - half), min(1.0, middle + half)


def ece(p: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal mass."""
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(len(part) * abs(p[part].mean() - right[part].mean()) for part in parts) / len(p))


def aurc(p: np.ndarray, right: np.ndarray) -> float:
    """Area under the risk-coverage curve when the least confident answers are withheld first."""
    wrong = 1 - right[np.argsort(-p, kind="stable")]
    return float(np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1)))


def average_precision(p: np.ndarray, y: np.ndarray) -> float:
    """Area under the precision-recall curve (step-wise); ties count against."""
    order = np.lexsort((y, -p))
    hits = y[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / max(1.0, hits.sum()))


def by_group(rows: Sequence[Mapping], groups: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """`summary` of the rows of each group (a type, a difficulty, a tenant), in the order of their names."""
    return {
        name: summary([row for row, own in zip(rows, groups, strict=True) if own == name])
        for name in sorted(set(groups))
    }
