"""The demo's model server: an ML team's own process, with an admin interface on loopback.

    python -m bot.demo.model_server --data var/demo [--port 0] [--port-file F]

| request | answer |
|---|---|
| `GET /healthz` | 200 with the version that serves; 503 until NATS has answered |
| `GET /v1/models/flight-delay` | `current`, `previous`, `in_flight`, `versions` with health, `deployments` |
| `POST .../deploy` `{"version", "from"?, "by"?, "summary"?, "url"?, "at"?}` | `{"deployment", "current", "repeated"}` |
| `POST .../rollback` `{"to", "from"?, "by"?, "reason"?, "url"?, "at"?}` | the same |
| `POST .../predict` `{"requests": [...]}`, at most 1,000 | `{"version", "predictions": [{"id", "score"}]}` |

`deploy` and `rollback` honour `Idempotency-Key`: the same key twice is one deployment and the same answer. `from` makes
them conditional on what serves now. With MODEL_SERVER_TOKEN set they want `Authorization: Bearer <token>`. Errors are
`{"error": {"code", "message"}}`: 400 `bad_request`, 401 `unauthorized`, 404 `unknown_version`, 409 `not_current`,
`already_current`, `key_reused` or `unhealthy_version`, 503 `events_not_stored`.

Every prediction is published as an inference event *before* it is answered, and every deployment as a ChangeRecorded,
so a kill at any moment loses neither: the caller asks again, or the log announces again, and JetStream drops the twin.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.demo import deployments, features, model
from bot.demo.deployments import Refused, Request
from bot.demo.flights import World, load, moment
from bot.demo.publish import connect, heed_cancel, names, publish

if TYPE_CHECKING:
    from nats.js import JetStreamContext

TENANT = "acme"
MOST = 1_000
PATIENCE = 20.0
"""Seconds a prediction waits for its event to be stored before the caller is told to ask again."""


class ModelServer:
    """`data` holds the trained versions and, in `deployments.json`, which of them serves."""

    def __init__(self, world: World, data: Path, nats_url: str, token: str = "", patience: float = PATIENCE) -> None:
        self.world, self.data, self.nats_url, self.patience = world, data, nats_url, patience
        self._token = token
        self._file = data / "deployments.json"
        self.state = deployments.load(self._file, model.MODEL, first="1")
        self.active = model.load_model(data, self.state.current)
        self.clock = max((entry.at for entry in self.state.log), default=0.0)
        self.in_flight: str | None = None
        self._turn = asyncio.Lock()
        self._js: asyncio.Future[JetStreamContext] = asyncio.get_running_loop().create_future()
        self._news = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_errors], client_max_size=4 * 1024 * 1024)
        here = f"/v1/models/{model.MODEL}"
        app.router.add_get("/healthz", self.on_health)
        app.router.add_get(here, self.on_show)
        app.router.add_post(f"{here}/deploy", self.on_deploy)
        app.router.add_post(f"{here}/rollback", self.on_rollback)
        app.router.add_post(f"{here}/predict", self.on_predict)
        app.cleanup_ctx.append(self._connected)
        return app

    async def _connected(self, app: web.Application) -> Any:
        """While the app lives: a connection to NATS, made in the background, and the announcer of deployments."""
        task = asyncio.create_task(self._announce())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._js.done() and not self._js.cancelled():
            await self._js.result()._nc.close()

    async def _announce(self) -> None:
        """Tell of every deployment that is not told of yet, at the start and after each new one."""
        js = (await connect(self.nats_url, "model-server")).jetstream()
        self._js.set_result(js)
        while True:
            self._news.clear()
            for entry in [entry for entry in self.state.log if not entry.announced]:
                await publish(js, f"change.{TENANT}", entry.id, deployments.change(self.state, entry))
                heed_cancel()
                await self._mark(entry)
            await self._news.wait()

    async def _mark(self, entry: deployments.Entry) -> None:
        """A mark that cannot be kept is no harm: the next start announces again, under the same id."""
        async with self._turn:
            self.state = deployments.announced(self.state, entry)
            try:
                deployments.save(self._file, self.state)
            except OSError as error:
                print(f"model-server: cannot write {self._file}: {error}", file=sys.stderr, flush=True)
        print(f"model-server: {entry.kind} {entry.before} -> {entry.to} by {entry.by}", flush=True)

    async def on_health(self, request: web.Request) -> web.Response:
        ready = self._js.done()
        said = {"status": "ok" if ready else "waiting for NATS", "model": model.MODEL, "version": self.state.current}
        return web.json_response(said, status=200 if ready else 503)

    async def on_show(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "model": model.MODEL,
                "current": self.state.current,
                "previous": self.state.log[-1].before if self.state.log else None,
                "in_flight": self.in_flight,
                "versions": {version: self._health(version) for version in model.RECIPES},
                "deployments": [deployments.asdict(entry) for entry in self.state.log],
            }
        )

    def _health(self, version: str) -> dict[str, Any]:
        """Can this version serve? It can if its artefact is there and its bytes are those its card names."""
        try:
            card = model.card(self.data, version)
            model.load_model(self.data, version)
        except (OSError, ValueError) as error:
            return {"version": version, "healthy": False, "problem": str(error)}
        known = ("feature_job", "trained_on", "auc_out_of_fold", "sha256")
        return {"version": version, "healthy": True, **{name: card[name] for name in known}}

    async def on_deploy(self, request: web.Request) -> web.Response:
        return await self._deployment(request, "deploy", ("version", "to"), "summary")

    async def on_rollback(self, request: web.Request) -> web.Response:
        return await self._deployment(request, "rollback", ("to", "version"), "reason")

    async def _deployment(self, request: web.Request, kind: Any, fields: tuple[str, str], why: str) -> web.Response:
        """Decide, load, save, switch, announce: in this order, one at a time."""
        self._authorise(request)
        body = await _body(request)
        to, key = _text(body, *fields), request.headers.get("Idempotency-Key") or secrets.token_hex(8)
        if to not in model.RECIPES:
            known = ", ".join(model.RECIPES)
            raise Refused(404, "unknown_version", f"{model.MODEL} has no version {to!r}; it has {known}")
        asked = Request(
            kind,
            to,
            key,
            at=_when(body, self.clock or time.time()),
            expected=_text(body, "from") if body.get("from") is not None else None,
            by=str(body.get("by", "unknown")),
            url=str(body.get("url", "")),
            summary=str(body.get(why) or f"{kind} {model.MODEL} to version {to}"),
        )
        async with self._turn:
            state, entry, new = deployments.decide(self.state, asked)
            if new:
                await self._switch(state, to)
        self._news.set()
        current = self.state.current
        return web.json_response({"deployment": deployments.asdict(entry), "current": current, "repeated": not new})

    async def _switch(self, state: deployments.State, to: str) -> None:
        self.in_flight = to
        try:
            loaded = await asyncio.to_thread(model.load_model, self.data, to)
            deployments.save(self._file, state)
        except (FileNotFoundError, ValueError) as error:
            raise Refused(409, "unhealthy_version", str(error)) from error
        finally:
            self.in_flight = None
        self.state, self.active = state, loaded

    def _authorise(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._token and not hmac.compare_digest(given.encode(), self._token.encode()):
            raise Refused(401, "unauthorized", "deploy and rollback want Authorization: Bearer <MODEL_SERVER_TOKEN>")

    async def on_predict(self, request: web.Request) -> web.Response:
        """Features by the job of the active version, scores, events stored, answer."""
        asked = (await _body(request)).get("requests")
        if not isinstance(asked, list) or not 0 < len(asked) <= MOST:
            raise Refused(400, "bad_request", f"requests must be a list of 1 to {MOST} predictions asked for")
        began, serving = time.perf_counter(), self.active
        try:
            wanted = features.received(asked)
        except ValueError as error:
            raise Refused(400, "bad_request", f"{error}; nothing of the batch was served") from error
        made = features.assemble(self.world, wanted, serving.version)
        scores = serving.score(made).round(6).tolist()
        took = round((time.perf_counter() - began) * 1000, 3)
        about = {"version": serving.version, "latency_ms": took}
        events = [
            {"id": name, "at": one["at"], "features": row, "score": score, **about}
            for name, one, row, score in zip(wanted["id"], asked, features.rows(made), scores, strict=True)
        ]
        await self._store(events)
        self.clock = max(self.clock, float(wanted["at"].max()))
        answers = [{"id": event["id"], "score": event["score"]} for event in events]
        return web.json_response({"version": serving.version, "predictions": answers})

    async def _store(self, events: list[dict[str, Any]]) -> None:
        try:
            async with asyncio.timeout(self.patience):
                js = await asyncio.shield(self._js)
                await publish(js, f"inference.{TENANT}.{model.MODEL}", names(events), events)
        except TimeoutError as error:
            message = f"NATS stored nothing for {self.patience:g} s; ask again, nothing is doubled"
            raise Refused(503, "events_not_stored", message) from error


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        said = {"error": {"code": refused.code, "message": str(refused)}}
        return web.json_response(said, status=refused.status)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except json.JSONDecodeError as error:
        raise Refused(400, "bad_request", f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "bad_request", f"the body must be a JSON object, not {type(body).__name__}")
    return body


def _text(body: dict[str, Any], *names: str) -> str:
    """The first of these fields that is there; it must be text."""
    found = next((body[name] for name in names if name in body), None)
    if not isinstance(found, str):
        raise Refused(400, "bad_request", f'{names[0]} is missing or not text; send for instance {{"{names[0]}": "2"}}')
    return found


def _when(body: dict[str, Any], now: float) -> float:
    """Event time of a deployment: what the caller says (a replay knows), else the newest request served."""
    try:
        return moment(str(body["at"])) if "at" in body else now
    except ValueError as error:
        raise Refused(400, "bad_request", f"at={body['at']!r} is not an RFC 3339 time") from error


async def serve(data: Path, nats_url: str, port: int = 0, token: str = "", port_file: Path | None = None) -> None:
    """Train what is missing, listen on loopback, serve until cancelled; `port_file` then holds the port chosen."""
    await asyncio.to_thread(model.prepare, data, lambda line: print(line, flush=True))
    world = load(data, requests=False)
    runner = web.AppRunner(ModelServer(world, data, nats_url, token).app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        chosen = runner.addresses[0][1]
        if port_file:
            partial = port_file.with_suffix(".partial")
            partial.write_text(str(chosen))
            partial.replace(port_file)
        print(f"model-server: {model.MODEL} on http://127.0.0.1:{chosen}", flush=True)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main(argv: list[str] | None = None) -> None:
    """Addresses and the token come from the environment: NATS_URL, MODEL_SERVER_TOKEN."""
    parser = argparse.ArgumentParser(prog="python -m bot.demo.model_server", description="the demo's model server")
    parser.add_argument("--data", type=Path, default=Path("var/demo"))
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port chosen")
    given = parser.parse_args(argv)
    url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
    token = os.environ.get("MODEL_SERVER_TOKEN", "")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.data, url, given.port, token, given.port_file))


if __name__ == "__main__":
    main()
