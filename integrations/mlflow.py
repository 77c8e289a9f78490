"""MLflow's model registry over its REST API: which run made a model's versions, from which datasets.

Only reads. `MLFLOW_TRACKING_URI` and `MLFLOW_TRACKING_TOKEN` are MLflow's own variables. Importances are run metrics
named `importance.<feature>` (a share, 0 to 1), because the API has no place of its own for them.

Source: https://mlflow.org/docs/latest/rest-api.html (model-versions/search, runs/get).
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import Struct

from core.errors import Refused, Unavailable
from core.settings import NO_SECRET, Secret
from integrations.http import ask
from integrations.plain import cleaned

_REMEDY = "look at MLFLOW_TRACKING_URI and MLFLOW_TRACKING_TOKEN"
_IMPORTANCE = "importance."
VERSIONS, DATASETS = 3, 100
"""Of a model the newest versions are looked at, and of a run so many datasets."""


class Training(Struct, frozen=True, kw_only=True):
    """One model version and what it was trained on. `at`: the run's end, or the version's making; epoch seconds."""

    model: str
    version: str
    run: str
    at: float
    datasets: list[str] = []
    importance: dict[str, float] = {}


class MLflow:
    """The registry at `url` (as in http://mlflow:5000)."""

    def __init__(self, url: str, token: Secret = NO_SECRET):
        self._url = url.rstrip("/") + "/api/2.0/mlflow/"
        self._headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}

    async def trainings(self, model: str) -> list[Training]:
        """The newest versions of a registered model that have a run, oldest first; none for an unknown model.

        Raises:
            Unavailable: MLflow does not answer, refuses, or answers something else.
        """
        if "'" in model:
            return []  # MLflow's filters know no escape, and its registry no such name in practice
        order = {"filter": f"name='{model}'", "order_by": "version_number DESC", "max_results": VERSIONS}
        found = await self._ask("model-versions/search", order)
        versions = [v for v in _list(found, "model_versions") if v.get("run_id") and v.get("version")]
        return [await self._training(model, version) for version in reversed(versions)]

    async def _training(self, model: str, version: dict[str, Any]) -> Training:
        run = (await self._ask("runs/get", {"run_id": version["run_id"]})).get("run")
        run = run if isinstance(run, dict) else {}
        info, data, inputs = (part if isinstance(part := run.get(key), dict) else {} for key in _PARTS)
        ended = info.get("end_time") or version.get("creation_timestamp") or 0
        return Training(
            model=model, version=_text(version["version"]), run=_text(version["run_id"]), at=_number(ended) / 1e3,
            datasets=list(dict.fromkeys(filter(None, map(_dataset, _list(inputs, "dataset_inputs")[:DATASETS])))),
            importance={
                _text(metric["key"])[len(_IMPORTANCE) :]: _number(metric.get("value"))
                for metric in _list(data, "metrics") if str(metric.get("key")).startswith(_IMPORTANCE)
            },
        )  # fmt: skip

    async def _ask(self, path: str, query: dict[str, Any]) -> dict[str, Any]:
        try:
            found = await ask(
                "GET", f"{self._url}{path}?{urlencode(query, quote_via=quote)}", what="MLflow", remedy=_REMEDY,
                headers=self._headers,
            )  # fmt: skip
        except Refused as refused:
            raise Unavailable(f"{refused}; {_REMEDY}") from None
        if not isinstance(found, dict):
            raise Unavailable(f"MLflow answered a list where an object was due; {_REMEDY}")
        return found


_PARTS = ("info", "data", "inputs")


def _dataset(entry: dict[str, Any]) -> str:
    """What others call the dataset: where it lies, if MLflow knows, else its name."""
    dataset = entry.get("dataset")
    if not isinstance(dataset, dict):
        return ""
    try:
        source = json.loads(dataset.get("source") or "{}")
    except (ValueError, TypeError, RecursionError):
        source = {}
    source = source if isinstance(source, dict) else {}
    place = source.get("uri") or source.get("delta_table_name") or source.get("path")
    name = _text(dataset.get("name") or "")
    return name if name and name != "dataset" else _text(place or "")


def _list(holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = holder.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if abs(number) < 1e18 else 0.0  # nan and infinities too


def _text(value: Any) -> str:
    return cleaned(str(value))
