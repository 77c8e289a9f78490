"""Can the answer be guessed from what should tell nothing? A cross-validated logistic regression, and its AUC."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from bot.simulator.episode import Episode
from bot.simulator.rng import stream
from bot.simulator.tenants import HOUR


def auc(score: np.ndarray, y: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half."""
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    for value in np.unique(score):
        same = score == value
        if same.sum() > 1:
            ranks[same] = ranks[same].mean()
    positive = y > 0.5
    hits, rest = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * rest)) if hits and rest else 0.5


def cross_validated_auc(x: np.ndarray, y: np.ndarray, folds: int = 5, ridge: float = 3.0) -> float:
    """AUC of a ridge logistic regression on rows it was not fitted on."""
    place = stream(len(y), "folds").permutation(len(y)) % folds
    score = np.zeros(len(y))
    for fold in range(folds):
        train = place != fold
        middle, scale = x[train].mean(0), x[train].std(0) + 1e-6
        weights = _logistic((x[train] - middle) / scale, y[train], ridge)
        score[~train] = np.c_[np.ones((~train).sum()), (x[~train] - middle) / scale] @ weights
    return auc(score, y)


def _logistic(x: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    design, penalty = np.c_[np.ones(len(x)), x], ridge * np.eye(x.shape[1] + 1)
    penalty[0, 0] = 1e-6
    weights = np.zeros(design.shape[1])
    for _ in range(12):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        hessian = (design * (p * (1 - p))[:, None]).T @ design + penalty
        weights += np.linalg.solve(hessian, design.T @ (y - p) - penalty @ weights)
    return weights


def near_changes(episodes: Sequence[Episode]) -> tuple[list[dict], np.ndarray]:
    """Changes between six hours before the onset and the alert, with their place among them; which are culprits."""
    rows, culprit = [], []
    for episode in episodes:
        truth, visible = episode.truth, episode.visible
        if truth.root is None or truth.change in ("none", "unlogged"):
            continue
        since = truth.root["onset_ts"] - 6 * HOUR
        near = [change for change in visible.changes() if since <= change.at <= visible.now - 1800]
        for place, change in enumerate(near):
            node = next(node for node in visible.graph["nodes"] if node["id"] == change.node)
            rows.append(
                visible.wire_change(change) | {"place": (place + 0.5) / len(near), "owner": node["owner"].strip("@#")}
            )
            culprit.append(change.id == truth.change)
    return rows, np.array(culprit, float)


def text_features(rows: Sequence[dict], least: int = 8) -> np.ndarray:
    """Bags of words of the summaries, of words in at least `least` of them."""
    bags = [{word.strip("#%(),:").lower() for word in row["summary"].split()} for row in rows]
    words = sorted(word for word, count in Counter(word for bag in bags for word in bag).items() if count >= least)
    return np.array([[float(word in bag) for word in words] for bag in bags])


def place_features(rows: Sequence[dict]) -> np.ndarray:
    """Place in the log, id, hour and who wrote it."""
    people = sorted({row["by"] for row in rows})
    return np.array(
        [
            [
                row["place"],
                abs(row["place"] - 0.5),
                int(row["id"][:6], 16) / 2**24,
                np.sin(2 * np.pi * datetime.fromisoformat(row["at"]).hour / 24),
                np.cos(2 * np.pi * datetime.fromisoformat(row["at"]).hour / 24),
                *(float(row["by"] == person) for person in people),
            ]
            for row in rows
        ]
    )


def alert_features(episodes: Sequence[Episode]) -> np.ndarray:
    """The fields of the alert alone: detector, ratio of observed to expected, severity, hour, tenant, slice or not."""
    rows = []
    tenants = sorted({episode.visible.alert["tenant"] for episode in episodes})
    for episode in episodes:
        alert = episode.visible.alert
        ratio = np.log((abs(alert["observed"]) + 1e-6) / (abs(alert["expected"]) + 1e-6))
        severity = episode.visible.schema()["severities"].index(alert["severity"])
        when = datetime.fromisoformat(alert["ts"])
        rows.append(
            [
                np.clip(ratio, -4, 4),
                np.clip(abs(ratio), 0, 4),
                severity,
                when.hour,
                when.weekday(),
                "segment" in alert,
                "feature" in alert,
                *(alert["detector"] == name for name in ("robust_z", "cusum")),
                *(alert["tenant"] == name for name in tenants),
            ]
        )
    return np.array(rows, float)
