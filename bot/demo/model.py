"""flight-delay: "this flight will land more than 30 minutes late", learnt from January and February 2013.

Gradient-boosted trees (scikit-learn's HistGradientBoostingClassifier; Ke et al. 2017, LightGBM) over 16 features. Each
version leaves four files in `data/models/flight-delay/<version>/`:

* `model.joblib`, the artefact, and `card.json`: name of the feature job, digest, quality and feature importances;
* `baseline.parquet`, Middlewatch's baseline: one row a request of the training window in order of event time, columns
  `at` (UTC), the features, `score` and `label` (1.0, 0.0, null where the flight never landed).

The baseline's scores are out of fold, whole weeks held out together: scores of rows the model was fitted on would look
better than anything it can do in production, and its first week there would look like a failure.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.demo.features import CATEGORIES, FEATURES, JOBS, assemble
from bot.demo.flights import FORMAT, Say, World, load, moment, save_parquet

if TYPE_CHECKING:
    import numpy as np

    Columns = dict[str, np.ndarray]

MODEL = "flight-delay"
TRAINED_FROM, TRAINED_TO = "2013-01-01", "2013-03-01"
RECIPES: dict[str, dict[str, Any]] = {
    "1": {"max_iter": 120, "random_state": 1, "max_features": 0.3},
    "2": {"max_iter": 160, "random_state": 3, "max_features": 1.0},
}
"""Version -> what differs. Both learn from Fahrenheit: the training pipeline reads the archive, not the feature job."""
_SHAPE = {"learning_rate": 0.08, "max_leaf_nodes": 15, "min_samples_leaf": 60}
_WEEK = 7 * 86400
_FOLDS = 4


@dataclass(frozen=True)
class Model:
    """A loaded artefact: `score` turns features into the probability of landing late."""

    version: str
    categories: dict[str, dict[str, int]]
    classifier: Any

    def score(self, features: Columns) -> np.ndarray:
        return self.classifier.predict_proba(_matrix(features, self.categories))[:, 1]


def folder(data: Path, version: str) -> Path:
    return data / "models" / MODEL / version


def card(data: Path, version: str) -> dict[str, Any]:
    """What is known of a trained version: the content of its `card.json`."""
    return json.loads((folder(data, version) / "card.json").read_text())


def prepare(data: Path, say: Say = lambda line: None) -> None:
    """Train the versions that are not trained yet: some ten seconds for both."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    missing = [version for version in RECIPES if not _is_trained(data, version)]
    world = load(data, say) if missing else None
    for version in missing:
        train(world, data, version, say)


def _is_trained(data: Path, version: str) -> bool:
    return (folder(data, version) / "card.json").exists() and card(data, version)["recipe"] == _recipe(version)


def load_model(data: Path, version: str) -> Model:
    """The artefact of one version.

    Raises FileNotFoundError if it was never trained and ValueError if its bytes are not those its card names.
    """
    path = folder(data, version) / "model.joblib"
    if not path.exists():
        raise FileNotFoundError(f"version {version} of {MODEL} has no artefact at {path}; train it with model.prepare")
    if _digest(path) != card(data, version)["sha256"]:
        raise ValueError(f"version {version} of {MODEL}: {path} is not the artefact its card names; delete the folder")
    import joblib

    return Model(version, *joblib.load(path))


def train(world: World, data: Path, version: str, say: Say = lambda line: None) -> None:
    """Fit one version on the training window and write its folder; the card last, so that half a folder is none."""
    import joblib

    say(f"model {MODEL} {version}: learning from {TRAINED_FROM} to {TRAINED_TO}")
    requests = world.between(moment(TRAINED_FROM), moment(TRAINED_TO))
    features = assemble(world, requests, "1")
    categories = {name: {text: code for code, text in enumerate(sorted(set(features[name])))} for name in CATEGORIES}
    matrix, label = _matrix(features, categories), requests["late"]
    scores, importances, auc = _out_of_fold(matrix, label, requests["at"] // _WEEK, version)
    where = folder(data, version)
    where.mkdir(parents=True, exist_ok=True)
    joblib.dump((categories, _fit(matrix, label, version)), where / "model.joblib", compress=3)
    _save_baseline(where / "baseline.parquet", requests, features, scores)
    about = {
        "model": MODEL,
        "version": version,
        "feature_job": JOBS[version][0],
        "recipe": _recipe(version),
        "trained_on": {"from": TRAINED_FROM, "to": TRAINED_TO, "rows": len(label)},
        "auc_out_of_fold": round(auc, 4),
        "importances": importances,
        "sha256": _digest(where / "model.joblib"),
    }
    partial = where / "card.json.partial"
    partial.write_text(json.dumps(about, indent=1))
    partial.replace(where / "card.json")
    say(f"model {MODEL} {version}: AUC {auc:.3f} on weeks it had not seen")


def _recipe(version: str) -> dict[str, Any]:
    return {**_SHAPE, **RECIPES[version], "features": list(FEATURES), "folds": _FOLDS, "format": FORMAT}


def _matrix(features: Columns, categories: dict[str, dict[str, int]]) -> np.ndarray:
    """Features in the model's order; a category it never saw is a missing value to it."""
    import numpy as np

    made = dict(features)
    for name, codes in categories.items():
        made[name] = np.array([codes.get(text, np.nan) for text in features[name]], dtype="float64")
    return np.column_stack([made[name] for name in FEATURES])


def _fit(matrix: np.ndarray, label: np.ndarray, version: str) -> Any:
    """Learn from the flights that landed. `dest` has too many levels for too few rows: its code is a mere number."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    landed = ~np.isnan(label)
    codes = [FEATURES.index("carrier"), FEATURES.index("origin")]
    classifier = HistGradientBoostingClassifier(categorical_features=codes, **_SHAPE, **RECIPES[version])
    return classifier.fit(matrix[landed], label[landed])


def _out_of_fold(matrix: Any, label: Any, week: Any, version: str) -> tuple[np.ndarray, dict[str, float], float]:
    """Scores of every row by a model that saw neither its week nor anything else of it; importances; AUC.

    The importance of a feature is the mean loss of AUC over the held-out folds when its column is shuffled
    (permutation importance, Breiman 2001), floored at zero and scaled to a sum of one.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    shuffled = np.random.default_rng(0)
    scores, losses = np.empty(len(label)), np.zeros(len(FEATURES))
    for fold in range(_FOLDS):
        out = week % _FOLDS == fold
        classifier = _fit(matrix[~out], label[~out], version)
        scores[out] = classifier.predict_proba(matrix[out])[:, 1]
        some = np.flatnonzero(out & ~np.isnan(label))[::5]
        auc = roc_auc_score(label[some], scores[some])
        for index in range(len(FEATURES)):
            spoilt = matrix[some]
            shuffled.shuffle(spoilt[:, index])
            losses[index] += auc - roc_auc_score(label[some], classifier.predict_proba(spoilt)[:, 1])
    shares = np.maximum(losses, 0) / np.maximum(losses, 0).sum()
    known = ~np.isnan(label)
    named = {name: round(float(share), 4) for name, share in zip(FEATURES, shares, strict=True)}
    return scores, dict(sorted(named.items(), key=lambda item: -item[1])), roc_auc_score(label[known], scores[known])


def _save_baseline(path: Path, requests: Columns, features: Columns, scores: np.ndarray) -> None:
    import pandas as pd

    at = pd.to_datetime(requests["at"], unit="s", utc=True)
    save_parquet(path, pd.DataFrame({"at": at, **features, "score": scores, "label": requests["late"]}))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
