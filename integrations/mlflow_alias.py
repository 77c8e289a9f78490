"""Deploying by moving an alias in an MLflow model registry; whoever serves loads `models:/<name>@<alias>`.

Talks to the tracking server's REST interface (docs at mlflow.org, "REST API"), so no client library is needed. The
registry knows neither idempotency keys nor compare-and-set. So a finished move leaves its key as a tag on the model,
a repeat of that key changes nothing, and a move starts only while the alias is where the plan says.

Versions are the registry's own (`1`, `2`, ...): the model's events must carry the same. `refresh` and `retrain` are
not a registry's work and are refused.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from core.errors import Refused
from core.settings import NO_SECRET, Secret
from integrations.http import ask

_REMEDY = "look at the MLflow server, and at `url` of its section under [deployers] in the policy"
_API = "/api/2.0/mlflow"
FALLBACK = "fallback"
"""The alias whose version `fallback` serves."""


class MlflowAlias:
    """`core.ports.Deployer`. `name` may hold `{tenant}` and `{model}`; `alias` is the one that serves."""

    def __init__(
        self, url: str, token: Secret = NO_SECRET, *, name: str = "{model}", alias: str = "champion",
        timeout: float = 10.0, attempts: int = 3,
    ):  # fmt: skip
        self._url, self._token, self._name, self._alias = url.rstrip("/"), token, name, alias
        self._timeout, self._attempts = timeout, attempts

    async def current(self, tenant: str, model: str) -> dict[str, Any]:
        name = self._named(tenant, model)
        serving = await self._aliased(name, self._alias)
        found = await self._ask(
            "GET", "model-versions/search", {"filter": f"name={_quoted(name)}", "max_results": "200"}
        )
        versions = {
            str(v["version"]): {"healthy": v.get("status", "READY") == "READY"} for v in found.get("model_versions", [])
        }
        return {"version": serving, "previous": None, "versions": versions, "in_flight": False}

    async def act(self, verb: str, tenant: str, model: str, parameters: dict[str, str], key: str) -> dict[str, Any]:
        name, tag = self._named(tenant, model), f"middlewatch.{key[:32]}"
        if verb not in ("rollback", "deploy", "fallback"):
            raise Refused(f"A model registry cannot {verb}: give this action another deployer under [actions].")
        tags = (await self._ask("GET", "registered-models/get", {"name": name}))["registered_model"].get("tags", [])
        done = next((t["value"] for t in tags if t["key"] == tag), None)
        if done is not None:
            return {"current": done, "repeated": True}
        to = await self._aliased(name, FALLBACK) if verb == "fallback" else parameters["to"]
        serving = await self._aliased(name, self._alias)
        if serving != to:
            expected = parameters.get("from", serving)
            if serving != expected:
                raise Refused(f"{self._alias} of {name} is version {serving}, not {expected}: look again.")
            await self._ask("POST", "registered-models/alias", {"name": name, "alias": self._alias, "version": to})
        await self._ask("POST", "registered-models/set-tag", {"name": name, "key": tag, "value": to})
        return {"current": to, "repeated": serving == to}

    def _named(self, tenant: str, model: str) -> str:
        return self._name.replace("{tenant}", tenant).replace("{model}", model)

    async def _aliased(self, name: str, alias: str) -> str:
        """The version an alias names. Raises Refused when there is no such model or alias."""
        found = await self._ask("GET", "registered-models/alias", {"name": name, "alias": alias})
        return str(found["model_version"]["version"])

    async def _ask(self, method: str, path: str, fields: dict[str, str]) -> dict[str, Any]:
        where, body = (f"?{urlencode(fields)}", None) if method == "GET" else ("", fields)
        headers = {"Authorization": f"Bearer {self._token.reveal()}"} if self._token else {}
        return await ask(
            method, f"{self._url}{_API}/{path}{where}", what="MLflow", remedy=_REMEDY, body=body, headers=headers,
            timeout=self._timeout, attempts=self._attempts,
        )  # fmt: skip


def _quoted(name: str) -> str:
    """A text in MLflow's filter language, which has two kinds of quotes and no escapes. Raises Refused for both."""
    if "'" in name and '"' in name:
        raise Refused(f"The registered model {name!r} has both kinds of quotes in its name; MLflow cannot look for it.")
    return f'"{name}"' if "'" in name else f"'{name}'"
