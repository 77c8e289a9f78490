"""How quick is the loop, and how much memory does it take? Real servers, `up` in one process, people over the network.

    python benchmarks/loop.py [--models 20]

Each of N models goes wrong in turn while the others are healthy. From the outside: the server's timestamp of the alert,
the timestamp of the first card, of the diagnosis in the audit log, the workspace's own time until a click was acked and
until the card had changed. Limits beside every figure; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot.demo.publish import names, publish
from bot.workspace.people import labels, text_of
from tests.loop.town import START, Town, rows

CHUNK = 5
"""Rows a message: small, so that no model's event time runs ahead of the others' and silence is no side effect."""
LIMITS = {
    "alert_to_first_card_p95": 1.0, "alert_to_hypothesis_p95": 3.0, "click_to_ack_p95": 0.1, "click_to_card_p95": 0.3,
    "servers_warm": 5.0, "up_rss_mb": 900.0,
}  # fmt: skip


class UpTown(Town):
    """A town in which one process, `up`, runs every target; its models all share one baseline."""

    def __init__(self, folder: Path, models: int):
        super().__init__(folder, folder)
        self.names = [f"model-{n:02d}" for n in range(models)]
        self.warm: dict[str, float] = {}

    async def _build(self) -> None:
        from contextlib import AsyncExitStack

        from bot.demo.publish import connect
        from bot.demo.story import watching
        from bot.workspace.people import People

        self._stack = AsyncExitStack()
        began = time.monotonic()
        await self.start("servers")
        found = json.loads(await self._file("servers.json"))
        self.warm["servers"] = time.monotonic() - began
        self.env |= {"NATS_URL": found["nats"]["url"], "REDIS_URL": found["redis"]["url"]}
        await self.start("workspace", "--port", "0")
        self.model_url = "http://127.0.0.1:9"  # nobody is rolled back here: the figures end at the changed card
        self._policy()
        workspace = json.loads(await self._file("workspace.json"))
        began = time.monotonic()
        await self._start("up", "-m", "bot", "up", "--ready-file", str(self.folder / "up.json"))
        await self._file("up.json")
        self.warm["up"] = time.monotonic() - began
        self.people = await self._stack.enter_async_context(People(workspace["url"]))
        self.seen = await self._stack.enter_async_context(watching(self.env["NATS_URL"]))
        connection = await connect(self.env["NATS_URL"], "benchmark")
        self._stack.push_async_callback(connection.close)
        self.js = connection.jetstream()

    def _policy(self) -> None:
        baseline = self.folder / "baseline.csv"
        with baseline.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["at", "distance", "temp", "carrier", "score"])
            for e in rows(-4000, 4000, "1", seed=3):
                writer.writerow([e["at"], *e["features"].values(), e["score"]])
        models = "".join(f'[models."acme/{name}"]\nbaseline = "{baseline}"\n' for name in self.names)
        policy = self.folder / "policy.toml"
        policy.write_text(
            f'[roles]\napprover = ["U0ANA"]\n[deployers.webhook]\nurl = "{self.model_url}"\n'
            f"[alerting]\nstorm_cap = 1000\n{models}"
        )
        self.env["POLICY"] = str(policy)

    async def serve_all(self, count: int, bad: int) -> None:
        """The next `count` rows of every model, side by side in event time; the first `bad` models serve a bad v2."""
        for first in range(self.sent, self.sent + count, CHUNK):
            await asyncio.gather(*(self._send(m, first, n < bad) for n, m in enumerate(self.names)))
        self.sent += count

    async def _send(self, model: str, first: int, bad: bool) -> None:
        batch = rows(first, CHUNK, "2" if bad else "1", 4.0 if bad else 0.0)
        await publish(self.js, f"inference.acme.{model}", names(batch) + model, batch)

    async def deployed(self, model: str, at: float) -> None:
        change = {"id": f"chg_{model}", "at": at, "kind": "deployment", "target": model, "from": "1", "to": "2"}
        await publish(self.js, "change.acme", change["id"], change | {"summary": f"{model} v2", "by": "ci"})

    def rss_mb(self) -> float:
        """Resident memory of the `up` process and of what it started (pictures have a process of their own), in MB."""
        up = psutil.Process(self.processes["up"].pid)
        return sum(each.memory_info().rss for each in (up, *up.children(recursive=True))) / 1e6


async def one(town: UpTown, number: int, figures: dict[str, list[float]]) -> None:
    """One model's incident, from its first bad row to the changed card."""
    model = town.names[number]
    await town.deployed(model, START + town.sent * 10)
    await town.serve_all(200, bad=number + 1)
    ana = town.people.as_user("ana")
    mine = lambda m: model in text_of(m)  # noqa: E731
    card = await ana.wait_for_message(mine, channel="ml-oncall", timeout=60)
    ready = lambda m: m["ts"] == card["ts"] and "Review rollback" in labels(m)  # noqa: E731
    card = await ana.wait_for_message(ready, channel="ml-oncall", timeout=60)
    alert = next(t for t, a in town.seen.alerts if a["model"] == model)
    diagnosed = next(t for t, i in town.seen.states if i["model"] == model and i["state"] == "diagnosed")
    figures["alert_to_first_card"].append(float(card["ts"]) - alert)
    figures["alert_to_hypothesis"].append(diagnosed - alert)
    pictured = lambda m: m["ts"] == card["ts"] and any(b["type"] == "image" for b in m["blocks"])  # noqa: E731
    card = await ana.wait_for_message(pictured, channel="ml-oncall", timeout=60)
    review = await ana.click(card, "Review rollback")
    view = await ana.wait_for_view(lambda v: v.get("submit") and "Roll " in text_of(v), timeout=20)
    clicked = time.time()
    answer = await ana.submit(view, {"reason": "benchmark"})
    changed = lambda m: m["ts"] == card["ts"] and "Review rollback" not in labels(m)  # noqa: E731
    after = await ana.wait_for_message(changed, channel="ml-oncall", timeout=30)
    figures["click_to_ack"] += [review["ms"] / 1000, answer["ms"] / 1000]
    figures["click_to_card"].append(float(after["edited"]["ts"]) - clicked)


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


async def measure(models: int) -> dict[str, Any]:
    figures: dict[str, list[float]] = {
        name: [] for name in ("alert_to_first_card", "alert_to_hypothesis", "click_to_ack", "click_to_card")
    }
    with tempfile.TemporaryDirectory() as folder:
        async with UpTown(Path(folder), models) as town:
            await town.serve_all(600, bad=0)
            for number in range(models):
                await one(town, number, figures)
                print(f"{number + 1}/{models}", file=sys.stderr, flush=True)
            rss, warm = town.rss_mb(), town.warm
    found = {f"{name}_p95": round(p95(values), 3) for name, values in figures.items()}
    found |= {f"{name}_p50": round(statistics.median(values), 3) for name, values in figures.items()}
    found |= {"servers_warm": round(warm["servers"], 3), "up_ready": round(warm["up"], 3), "up_rss_mb": round(rss, 1)}
    return {
        "benchmark": "loop", "incidents": models, "seconds": found, "limits": LIMITS,
        "within": {name: found[name] <= limit for name, limit in LIMITS.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=20, help="incidents to measure, one a model")
    print(json.dumps(asyncio.run(measure(parser.parse_args().models))))
