"""Where a model's baseline comes from, as policy names it: a file, one a version, or an artifact of MLflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from bot.compose.ground import ROOT
from core.policy import Policy
from core.settings import Settings

Find = Callable[[str, str, str], Path | None]
_PLACE = re.compile(r"\{(tenant|model|version)\}")
_SAFE = re.compile(r"[^A-Za-z0-9._-]")


def finder(policy: Policy, settings: Settings) -> Find:
    """(tenant, model, version) -> the file, None where policy names none. Raises Unavailable when MLflow does not give
    it. `{tenant}`, `{model}` and `{version}` in what policy says stand for those of the events."""

    def find(tenant: str, model: str, version: str) -> Path | None:
        named = policy.rules(tenant, model).baseline
        if not named:
            return None
        told = {"tenant": tenant, "model": model, "version": version}
        filled = _PLACE.sub(lambda place: _SAFE.sub("_", told[place[1]]).lstrip(".") or "_", named)
        if filled.startswith(("runs:/", "models:/")):
            from integrations.mlflow_baseline import fetch

            return fetch(filled, settings.mlflow_url, settings.mlflow_token, settings.var / "baselines")
        return ROOT / filled

    return find
