"""A town for whole stories: real servers, the workspace, a model server, and each target as a process of its own.

async with Town(folder) as town:
    await town.serve(1500, version="1")            # healthy rows
    await town.deploy("2")
    await town.serve(600, version="2", shift=4.0)  # something is wrong
    incident = await town.state("diagnosed")
    card = await town.card("Review rollback")
    await town.approve("ana", card)
    await town.kill("act"); await town.start("act")
    ...
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from nats.errors import Error as NatsError

from bot.demo import deployments
from bot.demo.model import MODEL
from bot.demo.publish import connect, names, publish
from bot.demo.stage import _read
from bot.demo.story import Seen
from bot.workspace.people import People, PersonError, labels, text_of

START = 1_700_000_000.0
POLICY = """
[roles]
responder = ["U0BEN"]
approver = ["U0ANA", "U0CHLOE"]
[detection]
window_rows = 100
silence_after = 10000.0  # on a busy machine the traffic of a test pauses for minutes
[actions.rollback]
approvals = {approvals}
[actions.retrain]
enabled = false
[actions.fallback]
enabled = false
[deployers.webhook]
url = "{url}"
[models."acme/flight-delay"]
baseline = "{baseline}"
"""
TARGETS = ("detect", "investigate", "converse", "act")
DEPLOY_TOKEN = "deploy-9f2c-only-act-and-the-model-server-know"


def rows(first: int, count: int, version: str, shift: float = 0.0, seed: int = 7) -> list[dict[str, Any]]:
    """Inference events `first .. first+count-1`, one every ten seconds of event time; the same whenever asked for."""
    events = []
    for n in range(first, first + count):
        dice = random.Random(f"{seed} {n}")
        features = {
            "distance": dice.gauss(1000, 200), "temp": dice.gauss(50, 5) - shift * 5,
            "carrier": dice.choice(["AA", "UA", "DL", "B6"]),
        }  # fmt: skip
        events.append({
            "id": f"r{n}", "at": START + n * 10, "version": version, "features": features,
            "score": min(max(dice.gauss(0.2, 0.05), 0), 1), "latency_ms": dice.gauss(20, 2),
        })  # fmt: skip
    return events


class Town:
    """Everything is a process; `folder` holds all its data, `prepared` the demo's trained models."""

    def __init__(self, folder: Path, prepared: Path, approvals: int = 1):
        self.folder, self.prepared, self.approvals = folder, prepared, approvals
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.env: dict[str, str] = {"MIDDLEWATCH_VAR": str(folder), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.env |= {"DEPLOY_TOKEN": DEPLOY_TOKEN, "MODEL_SERVER_TOKEN": DEPLOY_TOKEN}
        self.seen, self.sent = Seen(), 0
        self.workspace_url = self.model_url = ""
        self.kills: list[str] = []
        self.began = time.monotonic()

    async def __aenter__(self) -> Town:
        try:
            await self._build()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _build(self) -> None:
        from contextlib import AsyncExitStack

        self._stack = AsyncExitStack()
        await self.start("servers")
        found = json.loads(await self._file("servers.json"))
        self.env |= {"NATS_URL": found["nats"]["url"], "REDIS_URL": found["redis"]["url"]}
        await self.start_workspace()
        for cached in ("models", "flights"):
            (self.folder / cached).symlink_to(self.prepared / cached)
        await self.start_model_server()
        self._policy()
        await asyncio.gather(*(self.start(target) for target in TARGETS))
        self.people = await self._stack.enter_async_context(People(self.workspace_url))
        connection = await connect(self.env["NATS_URL"], "town")
        self._stack.push_async_callback(connection.close)
        self.js = connection.jetstream(timeout=2)
        following = [asyncio.create_task(self._follow(*what)) for what in (("ALERTS", "alert"), ("INCIDENTS", "state"))]
        self._stack.callback(lambda: [task.cancel() for task in following])

    def _policy(self) -> None:
        baseline = self.folder / "baseline.csv"
        with baseline.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["at", "distance", "temp", "carrier", "score"])
            for e in rows(-4000, 4000, "1", seed=3):
                writer.writerow([e["at"], *e["features"].values(), e["score"]])
        policy = self.folder / "policy.toml"
        policy.write_text(POLICY.format(url=self.model_url, baseline=baseline, approvals=self.approvals))
        self.env["POLICY"] = str(policy)

    async def close(self) -> None:
        """Stop the targets, then what they stand on."""
        if hasattr(self, "_stack"):
            await self._stack.aclose()
        await self._stop([name for name in self.processes if name in TARGETS])
        await self._stop([name for name in self.processes if name not in TARGETS])

    async def _stop(self, names: list[str]) -> None:
        running = {name: self.processes[name] for name in names if self.processes[name].returncode is None}
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for name, process in running.items():
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                self.note(f"{name} does not stop: kill -9")
                process.kill()
                await process.wait()

    async def _follow(self, stream: str, kind: str) -> None:
        """See every entry of a stream, also while its server comes and goes."""
        seq = 1
        while True:
            try:
                message = await self.js.get_msg(stream, seq=seq)
            except (NatsError, OSError):  # not there yet, or NATS is away
                await asyncio.sleep(0.05)
                continue
            seq, said = seq + 1, json.loads(message.data or b"")
            if kind == "state":
                self.seen.states.append((time.time(), said["incident"]))
            elif str(message.subject).startswith("alert.fired"):
                self.seen.alerts.append((time.time(), said))
            async with self.seen.changed:
                self.seen.changed.notify_all()

    # processes

    async def start(self, target: str, *more: str) -> None:
        """Start a target and wait until it handles what comes (it may still load what it does not need for that)."""
        log = self.folder / f"{target}.log"
        read = log.stat().st_size if log.exists() else 0
        await self._start(target, "-m", "bot", "run", target, *more)
        if target in TARGETS:
            await self.until(lambda: b"middlewatch: watching" in log.read_bytes()[read:], f"{target} is not watching")

    async def start_workspace(self) -> None:
        """The workspace; a second time on the port of the first, so that who knew it finds it again."""
        (self.folder / "workspace.json").unlink(missing_ok=True)
        await self.start("workspace", "--port", self.workspace_url.rpartition(":")[2] or "0")
        self.workspace_url = json.loads(await self._file("workspace.json"))["url"]

    async def start_model_server(self) -> None:
        """The model server, in the same way."""
        port_file = self.folder / "model-server.json"
        port_file.unlink(missing_ok=True)
        arguments = ["--data", str(self.folder), "--port-file", str(port_file)]
        arguments += ["--port", self.model_url.rpartition(":")[2] or "0"]
        await self._start("model-server", "-m", "bot.demo.model_server", *arguments)
        self.model_url = f"http://127.0.0.1:{await self._file(port_file.name)}"

    def kill_server(self, name: str) -> None:
        """kill -9 `nats` or `redis`; whoever holds the local servers starts it again on the same port and data."""
        self.note(f"kill {name}")
        os.kill(int((self.folder / name / f"{name}.pid").read_text()), signal.SIGKILL)
        self.kills.append(name)

    def memory(self, target: str) -> float:
        """Resident memory of a target's process, MB."""
        status = Path(f"/proc/{self.processes[target].pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    async def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdout=log, stderr=log, env={**os.environ, **self.env}
            )

    def note(self, what: str) -> None:
        """A line that a failing test shows."""
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    async def kill(self, target: str) -> None:
        """kill -9."""
        self.note(f"kill {target}")
        self.processes[target].kill()
        await self.processes[target].wait()
        self.kills.append(target)

    async def _file(self, name: str) -> str:
        await self.until(lambda: _read(self.folder / name) is not None, f"{name} did not appear")
        return (self.folder / name).read_text()

    def log(self, target: str) -> str:
        """Everything that a process has said."""
        return (self.folder / f"{target}.log").read_text(errors="replace")

    async def until(self, there: Callable[[], Any], otherwise: str, timeout: float = 120.0) -> None:
        """Wait for something that can only be looked at."""
        deadline = time.monotonic() + timeout
        while not there():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{otherwise}:\n{self.logs()}")
            await asyncio.sleep(0.02)

    def logs(self, lines: int = 12) -> str:
        """The end of every log, for a failing test."""
        ends = []
        for path in sorted(self.folder.glob("*.log")):
            ends.append(f"== {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:]))
        return "\n".join(ends)

    # traffic and people

    async def serve(self, count: int, version: str, shift: float = 0.0) -> None:
        """Publish the next `count` inference events in batches of 50."""
        events = rows(self.sent, count, version, shift)
        for first in range(0, count, 50):
            batch = events[first : first + 50]
            await publish(self.js, f"inference.acme.{MODEL}", names(batch), batch)
        self.sent += count

    async def deploy(self, version: str) -> None:
        """Ask the model server, and wait until the change that it announces is stored."""
        from aiohttp import ClientSession

        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + self.sent * 10))
        body = {"version": version, "at": at, "by": "ci", "summary": f"{MODEL} v{version}: ships temp job 2.0"}
        url = f"{self.model_url}/v1/models/{MODEL}/deploy"
        bearer = {"Authorization": f"Bearer {DEPLOY_TOKEN}"}
        async with ClientSession(headers=bearer) as session, session.post(url, json=body) as response:
            assert response.status == 200, await response.text()
        await self.until(lambda: f'"{version}"' in self.announced(), "the deployment was not announced")

    def announced(self) -> str:
        """What the model server's own log says of the deployments that are stored in the change log."""
        log = deployments.load(self.folder / "deployments.json", MODEL, first="1").log
        return json.dumps([entry.to for entry in log if entry.announced])

    def rollbacks(self) -> list[Any]:
        """Entries of the model server's own log."""
        state = deployments.load(self.folder / "deployments.json", MODEL, first="1")
        return [entry for entry in state.log if entry.kind == "rollback"]

    async def state(self, state: str, timeout: float = 60.0) -> dict[str, Any]:
        """The first audit entry in `state`."""
        deadline = time.monotonic() + timeout
        async with self.seen.changed:
            while True:
                found = [i for _, i in self.seen.states if i["state"] == state]
                if found:
                    return found[0]
                left = deadline - time.monotonic()
                if left <= 0:
                    states = [(i["state"], i["timeline"][-1]) for _, i in self.seen.states]
                    raise TimeoutError(f"no incident became {state}; there is {states}\n{self.logs()}")
                try:
                    await asyncio.wait_for(self.seen.changed.wait(), left)
                except TimeoutError:
                    continue

    async def card(self, needle: str, who: str = "ana", timeout: float = 60.0) -> dict[str, Any]:
        """The card, once it shows `needle` (a word or a button)."""
        return await self.people.as_user(who).wait_for_message(
            lambda m: MODEL in text_of(m) and (needle in text_of(m) or needle in labels(m)),
            channel="ml-oncall", timeout=timeout,
        )  # fmt: skip

    async def approve(self, who: str, card: dict[str, Any], reason: str = "looks right") -> dict[str, Any]:
        """Review and submit, as a person would."""
        person = self.people.as_user(who)
        await person.click(card, "Review rollback")
        view = await person.wait_for_view(lambda v: v.get("submit") and "Roll " in text_of(v), timeout=10)
        return await person.submit(view, {"reason": reason})

    async def approved(self, who: str = "ana") -> None:
        """Approve, pressing again when something died under the click: taken it is when the audit log says so."""
        taken = asyncio.create_task(self.state("approved", timeout=300))
        try:
            while not taken.done():
                pressing = asyncio.create_task(self._press(who))
                await asyncio.wait((taken, pressing), return_when=asyncio.FIRST_COMPLETED)
                if not pressing.done():
                    pressing.cancel()
                    await asyncio.gather(pressing, return_exceptions=True)
            await taken
        finally:
            taken.cancel()

    async def _press(self, who: str) -> None:
        try:
            card = await self.card("Review rollback", timeout=300)
            if not (await self.approve(who, card)).get("ok"):
                print("not taken, pressing again")
        except (PersonError, ClientError) as refused:
            print(f"refused, pressing again: {refused!r}")
            await asyncio.sleep(0.2)  # the workspace, or who answers behind it, is away

    async def cards(self) -> list[dict[str, Any]]:
        """Every message that all of the channel see, that speaks of the model and is no reply."""
        messages = [m for m in await self.people.as_user("ana").messages("ml-oncall") if not m.get("is_ephemeral")]
        return [m for m in messages if MODEL in text_of(m) and m.get("thread_ts") in (None, m["ts"])]

    async def status(self, events: int = 0, labels: int = 0, tries: int = 60) -> dict[str, Any]:
        """What `status --json` says, once detect has taken in so many (or as it is after so many tries)."""
        for _ in range(tries):
            code, words = await self.ask("status", "--json")
            assert code == 0, words
            found: dict[str, Any] = json.loads(words.strip().splitlines()[-1])
            if found["detect"]["events"] >= events and found["detect"]["labels"] >= labels:
                break
        return found

    async def dead(self) -> list[dict[str, Any]]:
        """What `dead --json` says."""
        code, words = await self.ask("dead", "--json")
        assert code == 0, words
        return [json.loads(line) for line in words.splitlines() if line.startswith("{")]

    async def ask(self, *arguments: str) -> tuple[int, str]:
        """One verb of the command line: exit status and output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", *arguments, env={**os.environ, **self.env},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return int(process.returncode or 0), out.decode(errors="replace")
