"""Two detect processes share the partitions; kill -9 of one moves its models to the other: nothing lost or doubled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core.detect import PARTITIONS, health
from integrations.jetstream import api
from integrations.local import LocalServers
from integrations.nats import Nats
from integrations.partitions import consumers, reader_of
from integrations.redis import RedisViews
from tests.loop.town import rows
from tests.servers import eventually

pytestmark = pytest.mark.processes

MODELS = [f"m{n}" for n in range(10)]
BROKEN = MODELS[::2]
LONG = 120.0


def columns(events: list[dict[str, Any]]) -> bytes:
    """The events as an Arrow IPC stream."""
    import pyarrow as pa

    flat = [{**{k: v for k, v in e.items() if k != "features"}, **e["features"]} for e in events]
    table = pa.Table.from_pylist(flat)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


class Pair:
    """Two detect processes on real servers."""

    def __init__(self, folder: Path, bus: Nats, views: RedisViews, env: dict[str, str]):
        self.folder, self.bus, self.views, self.env = folder, bus, views, env
        self.processes: list[asyncio.subprocess.Process] = []
        self.sent = 0

    async def start(self) -> None:
        log = (self.folder / f"detect-{len(self.processes)}.log").open("ab")
        self.processes.append(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "run", "detect", stdout=log, stderr=log, env={**os.environ, **self.env}
            )
        )
        log.close()

    async def owners(self) -> Counter[str]:
        """How many partitions each living process has."""
        found = await consumers(self.bus.connection, "INFERENCE")
        alive = {name.rpartition("-")[2] for name, one in found.items() if "-by-" in name and one["num_waiting"]}
        marks = [reader_of(found.get(f"detect-inference-{n}")) for n in range(PARTITIONS)]
        return Counter(mark for mark in marks if mark in alive)

    async def serve(self, first: int, count: int, shift: float = 0.0) -> None:
        """Events of every model, half of the models as Arrow, half as JSON arrays; the broken ones shifted."""
        for n in range(first, first + count, 100):
            for place, model in enumerate(MODELS):
                events = rows(n, 100, "1", shift if model in BROKEN else 0.0, seed=place)
                body, said = (columns(events), "application/vnd.apache.arrow.stream") if place % 4 < 2 else (
                    json.dumps(events).encode(), "application/json")  # fmt: skip
                await self.bus.publish_bytes(f"inference.acme.{model}", body, id=f"{model}-{n}", content_type=said)
                self.sent += len(events)

    async def counted(self) -> bool:
        found = await health(self.views.flags)
        assert all(process.returncode in (None, -signal.SIGKILL) for process in self.processes), self.logs()
        return found is not None and found["events"] == self.sent

    def logs(self) -> str:
        return "".join(path.read_text()[-3_000:] for path in sorted(self.folder.glob("detect-*.log")))

    async def fired(self) -> list[dict[str, Any]]:
        return [json.loads(e.data) async for e in self.bus.read("alert.fired.>")]


@pytest.fixture
async def pair(tmp_path):
    """The servers are this test's own: a killed process must not take them along."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[detection]\nbaseline_rows = 1000\nwindow_rows = 100\n")
    async with LocalServers(tmp_path) as servers:
        env = {"NATS_URL": servers.nats_url, "REDIS_URL": servers.redis_url, "POLICY": str(policy)}
        env |= {"MIDDLEWATCH_VAR": str(tmp_path), "OMP_NUM_THREADS": "1"}
        async with Nats(servers.nats_url) as bus, RedisViews(servers.redis_url) as views:
            made = Pair(tmp_path, bus, views, env)
            await asyncio.gather(made.start(), made.start())
            yield made
            for process in made.processes:
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                    await asyncio.wait_for(process.wait(), 30)


async def test_a_killed_detect_loses_no_event_and_doubles_no_alert(pair):
    """Two processes with half of the partitions each; one is killed in the middle of the fault."""

    async def halves() -> bool:
        return sorted((await pair.owners()).values()) == [4, 4]

    await eventually(halves, within=LONG)
    await pair.serve(0, 1_400)
    await eventually(pair.counted, within=LONG)
    serving = asyncio.create_task(pair.serve(1_400, 600, shift=4.0))
    await eventually(pair.fired, within=LONG)
    pair.processes[0].kill()
    await serving

    async def one_has_all() -> bool:
        return list((await pair.owners()).values()) == [PARTITIONS]

    await eventually(one_has_all, within=LONG)
    await eventually(pair.counted, within=LONG)

    async def all_fired() -> bool:
        return {alert["model"] for alert in await pair.fired()} == set(BROKEN)

    await eventually(all_fired, within=LONG)
    alerts = await pair.fired()
    told = Counter((a["model"], a["kind"], a["reason"]) for a in alerts)
    assert set(told.values()) == {1}
    bad = [*rows(2_000, 1, "1", seed=1), {**rows(2_001, 1, "1", seed=1)[0], "at": 1e15}]
    await pair.bus.publish_bytes("inference.acme.m1", columns(bad), content_type="application/vnd.apache.arrow.stream")
    pair.sent += 1  # the row with the impossible time goes alone
    await eventually(pair.counted, within=LONG)
    [letter] = [json.loads(e.data) async for e in pair.bus.read("dead.>")]
    assert (letter["subject"], "outside 1970" in letter["reason"]) == ("inference.acme.m1", True)
    windows = [json.loads(e.data) async for e in pair.bus.read("window.>")]
    assert len({w["id"] for w in windows}) == len(windows)
    assert (await api(pair.bus.connection, "STREAM.INFO.DETECTIONS"))["state"]["messages"] >= len(BROKEN)
