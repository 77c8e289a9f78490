"""The demo's stage: real processes around real data, each started, waited for, and stopped again.

nats-server, valkey     the real servers, on loopback (or NATS_URL and REDIS_URL)
workspace               the local Slack (or the Slack whose tokens are set)
model server            serves the flight-delay models and has the admin interface
up                      every target of Middlewatch
replay                  in this process: sends the flights of 2013 through the model server
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.demo import model
from bot.demo.flights import World, load
from bot.demo.replay import Plan, Replay
from core.errors import Unavailable
from core.settings import Settings

Say = Callable[[str], None]

POLICY = Path(__file__).with_name("policy.toml")
TOKEN = "demo-admin-token"
APPROVERS = ("U0ANA", "U0CHLOE")


class Stage:
    """`async with Stage(...) as stage:` everything runs; leaving stops it all. Data of one run is under `var/run`."""

    def __init__(self, settings: Settings, say: Say, *, port: int = 0, approvers: tuple[str, ...] = APPROVERS):
        self.settings, self.say, self.port, self.approvers = settings, say, port, approvers
        self.data = settings.var / "demo"
        self.run = self.data / "run"
        self.world: World | None = None
        self.replay: Replay | None = None
        self.env: dict[str, str] = {}
        self.nats_url = self.workspace_url = self.model_url = ""
        self._stack = contextlib.AsyncExitStack()
        self._children: dict[str, asyncio.subprocess.Process] = {}

    async def __aenter__(self) -> Stage:
        try:
            await self._prepare()
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _prepare(self) -> None:
        """Real flights joined and both versions trained, once; cached under `var/demo`."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.world = await asyncio.to_thread(load, self.data, self.say)
        await asyncio.to_thread(model.prepare, self.data, self.say)
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir(parents=True)
        (self.data / "knowledge").mkdir(exist_ok=True)  # vectors of the runbooks outlive a run
        (self.run / "knowledge").symlink_to((self.data / "knowledge").resolve())
        (self.data / "deployments.json").unlink(missing_ok=True)

    async def _start(self) -> None:
        await self._servers()
        await self._workspace()
        await self._model_server()
        await self._up()
        cards = {v: model.card(self.data, v)["importances"] for v in ("1", "2")}
        self.replay = Replay(self.world, self.model_url, self.nats_url, Plan(), token=TOKEN, importances=cards)

    async def _servers(self) -> None:
        began = time.monotonic()
        self.nats_url, redis_url = self.settings.nats_url, self.settings.redis_url.reveal()
        if not (self.nats_url and redis_url):
            started = await self.child("servers", "-m", "bot", "run", "servers", env={"MIDDLEWATCH_VAR": str(self.run)})
            found = await self.wait_file(self.run / "servers.json", started)
            self.nats_url = self.nats_url or found["nats"]["url"]
            redis_url = redis_url or found["redis"]["url"]
        self.env = {"NATS_URL": self.nats_url, "REDIS_URL": redis_url, "MIDDLEWATCH_VAR": str(self.run)}
        self.say(f"event bus and views are up ({time.monotonic() - began:.1f} s)")

    async def _workspace(self) -> None:
        if self.settings.real_slack:
            self.env |= {
                "SLACK_BOT_TOKEN": self.settings.slack_bot_token.reveal(),
                "SLACK_APP_TOKEN": self.settings.slack_app_token.reveal(),
                "SLACK_API_URL": self.settings.slack_api_url,
            }
            return
        arguments = ["-m", "bot", "run", "workspace", "--port", str(self.port)]
        started = await self.child("workspace", *arguments)
        found = await self.wait_file(self.run / "workspace.json", started)
        self.workspace_url = found["url"]

    async def _model_server(self) -> None:
        port_file = self.run / "model-server.json"
        started = await self.child(
            "model server", "-m", "bot.demo.model_server", "--data", str(self.data), "--port-file", str(port_file),
            env={"MODEL_SERVER_TOKEN": TOKEN},
        )  # fmt: skip
        port = await self.wait_file(port_file, started)
        self.model_url = f"http://127.0.0.1:{port}"
        self.say(f"model server at {self.model_url} serves flight-delay version 1")

    async def _up(self) -> None:
        began = time.monotonic()
        self.say("starting Middlewatch (the first time on a machine its kernels are compiled: up to a minute)")
        policy = self.run / "policy.toml"
        policy.write_text(self._policy())
        ready = self.run / "up.json"
        started = await self.child(
            "middlewatch", "-m", "bot", "up", "--ready-file", str(ready),
            env={"POLICY": str(policy), "DEPLOY_TOKEN": TOKEN},
        )  # fmt: skip
        await self.wait_file(ready, started)
        self.env["POLICY"] = str(policy)
        self.say(f"Middlewatch is up and warm: detect, investigate, converse, act ({time.monotonic() - began:.1f} s)")

    def _policy(self) -> str:
        weights = model.card(self.data, "1")["importances"]
        fill = {
            '"{approvers}"': ", ".join(f'"{a}"' for a in self.approvers),
            '"{importance}"': "{ " + ", ".join(f"{f} = {w:.4f}" for f, w in weights.items() if w > 0) + " }",
            "{url}": self.model_url,
            "{baseline}": str((model.folder(self.data, "1") / "baseline.parquet").resolve()),
        }
        text = POLICY.read_text()
        for place, value in fill.items():
            text = text.replace(place, value)
        return text

    async def child(self, name: str, *arguments: str, env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
        """Start one of our processes; its output goes to `run/<name>.log`. It is stopped when the stage is left."""
        log = (self.run / f"{name.replace(' ', '-')}.log").open("ab")
        with log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdout=log, stderr=log, env={**os.environ, **self.env, **(env or {})},
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )  # fmt: skip
        self._children[name] = process
        self._stack.push_async_callback(self._stop, name, process)
        return process

    async def _stop(self, name: str, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def wait_file(self, path: Path, process: asyncio.subprocess.Process, timeout: float = 180.0) -> Any:
        """The JSON that a child writes when it is ready. Raises Unavailable with the end of its log when it is not."""
        deadline = time.monotonic() + timeout
        while (found := _read(path)) is None:
            if process.returncode is not None or time.monotonic() > deadline:
                raise Unavailable(f"a process of the demo did not start:\n{self.tail(process)}")
            await asyncio.sleep(0.05)
        return json.loads(found)

    def tail(self, process: asyncio.subprocess.Process, lines: int = 15) -> str:
        """The end of a child's log."""
        name = next(n for n, p in self._children.items() if p is process)
        text = (self.run / f"{name.replace(' ', '-')}.log").read_text(errors="replace")
        return f"{name} (exit {process.returncode}):\n" + "\n".join(text.splitlines()[-lines:])

    def died(self) -> str | None:
        """What to say of a child that ended though nobody asked it to; None while all run."""
        gone = [p for p in self._children.values() if p.returncode is not None]
        return self.tail(gone[0]) if gone else None

    async def ask(self, *arguments: str) -> tuple[int, str]:
        """Run one verb of the command line against this stage; exit status and output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", *arguments, env={**os.environ, **self.env},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return int(process.returncode or 0), out.decode(errors="replace")


def _die_with_parent() -> None:
    """A demo that is killed takes its processes with it (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
