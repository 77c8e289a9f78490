"""Deploying over HTTP: the admin interface of model servers, or of a small service that a team puts before its own.

    GET  {url}/v1/models/{model}         -> {"version", "previous", "versions": {v: {"healthy"}}, "in_flight"}
    POST {url}/v1/models/{model}/{verb}     parameters as JSON, `Idempotency-Key`, `Authorization: Bearer <token>`

`current` will do for `version`. `{tenant}` in the url is replaced by the incident's tenant. An answer of 4xx is a
refusal; its message is shown to people. The token is the environment's DEPLOY_TOKEN.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from core.errors import Unavailable
from core.settings import NO_SECRET, Secret
from integrations.http import ask

_REMEDY = "look at the model server, and at `url` of [deployers.webhook] in the policy"


class Webhook:
    """`core.ports.Deployer`. `timeout`: seconds one attempt may take; the same key is used for every attempt."""

    def __init__(self, url: str, token: Secret = NO_SECRET, *, timeout: float = 10.0, attempts: int = 3):
        self._url, self._token, self._timeout, self._attempts = url.rstrip("/"), token, timeout, attempts

    async def current(self, tenant: str, model: str) -> dict[str, Any]:
        found = await self._ask("GET", tenant, model, "")
        if not isinstance(found, dict) or not (version := found.get("version") or found.get("current")):
            raise Unavailable(f"the model server does not say which version of {model} serves; {_REMEDY}")
        versions = found.get("versions")
        return {
            **found,
            "version": str(version),
            "previous": found.get("previous"),
            "versions": versions if isinstance(versions, dict) else {},
            "in_flight": bool(found.get("in_flight")),
        }

    async def act(self, verb: str, tenant: str, model: str, parameters: dict[str, str], key: str) -> dict[str, Any]:
        body = dict(parameters)
        if "to" in body:
            body.setdefault("version", body["to"])  # `deploy` names it so
        answer = await self._ask("POST", tenant, model, f"/{quote(verb, safe='')}", body, key)
        return answer if isinstance(answer, dict) else {"answer": answer}

    async def _ask(self, method: str, tenant: str, model: str, path: str, body: Any = None, key: str = "") -> Any:
        base = self._url.replace("{tenant}", quote(tenant, safe=""))
        headers = {"Idempotency-Key": key} if key else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return await ask(
            method, f"{base}/v1/models/{quote(model, safe='')}{path}", what="the model server", remedy=_REMEDY,
            body=body, headers=headers, timeout=self._timeout, attempts=self._attempts,
        )  # fmt: skip
