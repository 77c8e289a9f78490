"""Small real HTTP servers that speak the documented interfaces of the systems outside, for the adapters' tests."""

from __future__ import annotations

import itertools
import re
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


async def serving(app: web.Application) -> TestServer:
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    return server


def address(server: TestServer) -> str:
    return str(server.make_url("")).rstrip("/")


class Admin:
    """A model server's admin interface, as `integrations/webhook.py` documents it. `fail` answers come first."""

    def __init__(self, model: str = "fraud") -> None:
        self.model, self.version, self.done, self.fail = model, "2", {}, []
        self.deployments: list[tuple[str, str]] = []
        self.seen: list[dict[str, str]] = []
        self.app = web.Application()
        self.app.router.add_get("/v1/models/{model}", self.on_show)
        self.app.router.add_post("/v1/models/{model}/{verb}", self.on_act)

    async def on_show(self, request: web.Request) -> web.Response:
        if self.fail:
            return self.fail.pop(0)
        if request.match_info["model"] != self.model:
            return web.json_response({"error": {"code": "unknown", "message": "no such model"}}, status=404)
        versions = {"1": {"healthy": True}, "2": {"healthy": True}}
        return web.json_response({"current": self.version, "previous": "1", "in_flight": None, "versions": versions})

    async def on_act(self, request: web.Request) -> web.Response:
        self.seen.append(dict(request.headers))
        key, body = request.headers["Idempotency-Key"], await request.json()
        if key not in self.done:
            verb = request.match_info["verb"]
            if verb in ("deploy", "rollback"):
                if body.get("to") not in ("1", "2"):
                    return web.json_response({"error": {"message": f"no version {body.get('to')}"}}, status=409)
                self.version = body["to"]
            self.deployments.append((verb, body.get("to", "")))
            self.done[key] = {"current": self.version}
        if self.fail:
            return self.fail.pop(0)  # done, but the answer is lost
        return web.json_response(self.done[key])


class JiraServer:
    """The part of Jira's REST API 2 that is used: serverInfo, search, issue, transitions."""

    def __init__(self, token: str = "right") -> None:
        self.issues: dict[str, dict[str, Any]] = {}
        self.token, self._numbers = token, itertools.count(1)
        self.app = web.Application(middlewares=[self._authorised])
        route = self.app.router
        route.add_get("/rest/api/2/serverInfo", self.on_info)
        route.add_get("/rest/api/2/field", self.on_fields)
        route.add_get("/rest/api/2/search", self.on_search)
        route.add_post("/rest/api/2/issue", self.on_create)
        route.add_get("/rest/api/2/issue/{key}", self.on_issue)
        route.add_put("/rest/api/2/issue/{key}", self.on_update)
        route.add_get("/rest/api/2/issue/{key}/transitions", self.on_transitions)
        route.add_post("/rest/api/2/issue/{key}/transitions", self.on_transition)

    @web.middleware
    async def _authorised(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"errorMessages": ["You are not authenticated"]}, status=401)
        return await handler(request)

    async def on_info(self, _: web.Request) -> web.Response:
        return web.json_response({"versionNumbers": [9, 4, 0], "deploymentType": "Server", "version": "9.4.0"})

    async def on_fields(self, _: web.Request) -> web.Response:
        return web.json_response([])

    def _shown(self, key: str) -> dict[str, Any]:
        return {"id": key, "key": key, "self": f"/rest/api/2/issue/{key}", "fields": self.issues[key]}

    async def on_search(self, request: web.Request) -> web.Response:
        label = re.search(r'labels = "([^"]+)"', request.query["jql"]).group(1)
        found = [self._shown(key) for key, fields in self.issues.items() if label in fields["labels"]]
        return web.json_response({"startAt": 0, "maxResults": 1, "total": len(found), "issues": found[:1]})

    async def on_create(self, request: web.Request) -> web.Response:
        key = f"OPS-{next(self._numbers)}"
        self.issues[key] = {**(await request.json())["fields"], "status": {"statusCategory": {"key": "new"}}}
        return web.json_response({"id": key, "key": key, "self": f"/rest/api/2/issue/{key}"}, status=201)

    async def on_issue(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(request.match_info["key"]))

    async def on_update(self, request: web.Request) -> web.Response:
        self.issues[request.match_info["key"]].update((await request.json())["fields"])
        return web.Response(status=204)

    async def on_transitions(self, _: web.Request) -> web.Response:
        steps = [("11", "indeterminate"), ("31", "done")]
        return web.json_response(
            {"transitions": [{"id": i, "name": k, "to": {"statusCategory": {"key": k}}} for i, k in steps]}
        )

    async def on_transition(self, request: web.Request) -> web.Response:
        done = {"11": "indeterminate", "31": "done"}[str((await request.json())["transition"]["id"])]
        self.issues[request.match_info["key"]]["status"] = {"statusCategory": {"key": done}}
        return web.Response(status=204)


class PagerdutyServer:
    """The Events API v2: one row per deduplication key, with its last action."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.app = web.Application()
        self.app.router.add_post("/v2/enqueue", self.on_event)

    async def on_event(self, request: web.Request) -> web.Response:
        event = await request.json()
        if event["routing_key"] != "right":
            return web.json_response({"status": "invalid event", "message": "bad routing key"}, status=400)
        row = self.rows.setdefault(event["dedup_key"], {"triggers": 0})
        row["triggers"] += event["event_action"] == "trigger"
        row |= {"action": event["event_action"], **event.get("payload", {})}
        return web.json_response({"status": "success", "dedup_key": event["dedup_key"]}, status=202)


class Model:
    """An OpenAI-compatible server that says what it was told to say, in order, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []
        self.app = web.Application()
        self.app.router.add_get("/v1/models", self.on_models)
        self.app.router.add_post("/v1/chat/completions", self.on_chat)

    async def on_models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "small"}]})

    async def on_chat(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        answer = self.answers.pop(0)
        if isinstance(answer, web.Response):
            return answer
        message = answer if isinstance(answer, dict) else {"content": answer}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})
