"""Events a second a core, from a real JetStream publish to windows and statistics, by wire format and number of models.

    python -m benchmarks.ingest [--quick] [--models 10 500 5000] [--json OUT]

Real nats-server and valkey, and `detect` as it is composed for production in a process of its own: partitions, decode,
count, test, windows published, snapshots stored. CPU seconds of that process are counted (all its threads), so what
else runs on the machine disturbs little. Models have a baseline and one batch of rows before anything is measured. The
last line printed is one JSON object; its `results` carry `format`, `models`, `events_per_core_second`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from benchmarks.ingest_load import FORMATS, ROWS, TYPES, Load, reference

LONG = 300.0
APART = 20
"""Messages of the load between two faults, about seven faults a second."""


def rss() -> int:
    """Resident bytes of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def work(nats_url: str, redis_url: str, folder: Path) -> None:
    """Be a detect process until SIGTERM; print what it has done whenever that changed."""
    from bot.compose import _trim
    from bot.compose.detect import Detecting, _alerting, calm_collector
    from bot.compose.ground import ground
    from core import policy, settings
    from core.alerts import Alerts, World
    from core.detect import PARTITIONS
    from core.tasks import ended
    from core.watcher import Watcher
    from detectors.monitor import Monitor
    from detectors.warm import warm

    warm()
    calm_collector()
    known = (folder / "baseline").read_bytes()
    where = settings.load({"NATS_URL": nats_url, "REDIS_URL": redis_url, "MIDDLEWATCH_VAR": str(folder)})
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with ground(where, policy.load(), "detect") as house:
        detecting = Detecting(
            house, lambda: Watcher(Monitor({}, lambda *_: known, share=PARTITIONS)), asyncio.Semaphore(1)
        )
        alerts = Alerts(house.bus, house.views.snapshots, house.views.flags, house.policy, None, World())
        tasks = [
            asyncio.create_task(house.bus.work("detect-inference", "inference.>", PARTITIONS, detecting.partition)),
            asyncio.create_task(_alerting(house, alerts)),
        ]
        told, quiet = None, 0
        while not stop.is_set() and not any(task.done() for task in tasks):
            events = sum(one.position.events for one in detecting.at_work.values())
            if told != (events, len(detecting.at_work)):
                told = (events, len(detecting.at_work))
                report = {"events": events, "partitions": len(detecting.at_work), "cpu": time.process_time(),
                          "rss": rss(), "at": time.monotonic()}  # fmt: skip
                print(json.dumps(report), flush=True)
                quiet = 0
            quiet += 1
            if quiet == 10:  # a second: what loading and buffers took goes back, as it does every minute in `up`
                _trim()
                told = None
            await asyncio.sleep(0.1)  # looking more often would be a twentieth of what is measured
        await ended(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()


class Worker:
    """A detect process, and the last thing it said of itself."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {"events": 0, "partitions": 0, "cpu": 0.0, "rss": 0, "at": 0.0}
        self.changed = asyncio.Event()

    @classmethod
    async def start(cls, bench: Bench) -> Self:
        made = cls()
        arguments = ("-m", "benchmarks.ingest", "--worker", bench.nats_url, bench.redis_url, str(bench.folder))
        made.process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=(bench.folder / "worker.log").open("ab")
        )
        made.reading = asyncio.create_task(made._read())
        bench.workers.append(made)
        return made

    async def _read(self) -> None:
        async for line in self.process.stdout:
            self.said = json.loads(line)
            self.changed.set()

    async def until(self, condition: Any, what: str) -> dict[str, Any]:
        deadline = time.monotonic() + LONG
        while not condition(self.said):
            if self.process.returncode is not None or time.monotonic() > deadline:
                raise SystemExit(f"the detect process did not reach {what}: {self.said}")
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), 1.0)
            except TimeoutError:
                continue
        return self.said

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.wait()
        await self.reading


class Bench:
    """The servers, a publisher, and detect processes."""

    def __init__(self, folder: Path, nats_url: str, redis_url: str):
        self.folder, self.nats_url, self.redis_url = folder, nats_url, redis_url
        self.workers: list[Worker] = []
        self.published = 0

    async def publish(self, load: Load, form: str, rounds: int) -> int:
        """Publish rounds of every model in one format as fast as the server takes them; how many events."""
        sent, events = 0, 0
        for model, payload, rows in load.messages(form, rounds):
            await self.client.publish(f"inference.bench.{model}", payload, headers={"Content-Type": TYPES[form]})
            sent, events = sent + 1, events + rows
            if sent % 200 == 0 or len(payload) > 100_000:
                await self.client.flush(timeout=60)
        await self.client.flush(timeout=60)
        self.published += events
        return events

    async def drained(self) -> float:
        """When everything that was published has been taken in, on the workers' common clock."""
        at = 0.0
        while (done := sum(worker.said["events"] for worker in self.workers)) < self.published:
            worker = min(self.workers, key=lambda w: w.said["at"])
            await worker.until(
                lambda said, at=at: said["at"] > at or self._done(), f"{self.published} of {done} events"
            )
            at = worker.said["at"]
        return max(worker.said["at"] for worker in self.workers)

    def _done(self) -> bool:
        return sum(worker.said["events"] for worker in self.workers) >= self.published

    async def measured(self, load: Load, form: str, rounds: int) -> dict[str, Any]:
        """Events per CPU second of the one worker, from publish to windows."""
        (worker,) = self.workers
        before = worker.said["cpu"]
        events = await self.publish(load, form, rounds)
        await self.drained()
        spent = worker.said["cpu"] - before
        return {"format": form, "models": load.models, "rows_per_message": ROWS[form], "events": events,
                "cpu_s": round(spent, 2), "events_per_core_second": round(events / spent)}  # fmt: skip


async def many_models(bench: Bench, models: int, budget: dict[str, int]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every format at this number of models; and kilobytes a model, resident in the detect process."""
    load, results = Load(models), []
    worker = await Worker.start(bench)
    await worker.until(lambda said: said["partitions"] == 8, "all partitions")
    empty = worker.said["rss"]
    await bench.publish(load, "arrow", 1)
    await bench.drained()
    await asyncio.sleep(3.0)  # until the worker has trimmed
    held = {
        "models": models,
        "megabytes": round(worker.said["rss"] / 1e6),
        "kilobytes_per_model": round((worker.said["rss"] - empty) / models / 1e3),
    }
    for form in FORMATS:
        rounds = max(1, min(budget[form] // (models * ROWS[form]), 400))
        results.append(await bench.measured(load, form, rounds))
        print(json.dumps(results[-1]), flush=True)
    await worker.end()
    return results, held


async def latency(bench: Bench, rate: float, probes: int) -> dict[str, Any]:
    """Milliseconds from the publish of rows that alarm to the alert, under JSON batches at half the measured rate."""
    load, times, fired = Load(probes), {}, {}
    worker = await Worker.start(bench)
    await bench.publish(load, "arrow", 1)
    await bench.drained()

    async def heard(message: Any) -> None:
        alert = msgspec.json.decode(message.data)
        if alert["kind"] != "silence":  # who waits for its fault is silent meanwhile
            fired.setdefault(alert["model"], time.perf_counter())

    ear = await bench.client.subscribe("alert.fired.>", cb=heard)
    pause, busy = ROWS["json_batch"] / rate, Load(20, prefix="busy")
    await bench.publish(busy, "arrow", 1)
    await bench.drained()
    background = busy.messages("json_batch", 100_000)
    bad = load.shifted()
    due = time.perf_counter()
    for n in range(probes * APART):
        model, payload, rows = next(background)
        await bench.client.publish(f"inference.bench.{model}", payload, headers={"Content-Type": TYPES["json_batch"]})
        bench.published += rows
        if n % APART == 0:
            times[load.names[n // APART]] = time.perf_counter()
            await bench.client.publish(
                f"inference.bench.{load.names[n // APART]}", bad, headers={"Content-Type": TYPES["json_batch"]}
            )
            bench.published += 200
        due += pause
        await asyncio.sleep(max(due - time.perf_counter(), 0))
    await bench.drained()
    for _ in range(100):
        if len(fired) >= probes:
            break
        await asyncio.sleep(0.1)
    await ear.unsubscribe()
    await worker.end()
    took = 1e3 * np.array([fired[model] - at for model, at in times.items() if model in fired])
    return {"probes": probes, "alerts": len(took), "events_per_second": round(rate),
            "p50_ms": round(float(np.median(took)), 1), "p99_ms": round(float(np.quantile(took, 0.99)), 1)}  # fmt: skip


async def scaling(bench: Bench, models: int, rounds: int) -> dict[str, Any]:
    """Wall and CPU seconds in which one and two processes take in one backlog, Arrow. `capacity`: twice what two take
    in for a CPU second over what one does, which is the speedup where each has a core to itself."""
    load, taken = Load(models), {}
    first = await Worker.start(bench)
    await bench.publish(load, "arrow", 1)
    await bench.drained()
    for count in (1, 2):
        if count == 2:
            second = await Worker.start(bench)
            await second.until(lambda said: said["partitions"] == 4, "half of the partitions")
            await first.until(lambda said: said["partitions"] == 4, "half of the partitions")
            bench.published = sum(worker.said["events"] for worker in bench.workers)
        for worker in bench.workers:
            worker.process.send_signal(signal.SIGSTOP)
        events = await bench.publish(load, "arrow", rounds)
        begun, before = time.monotonic(), sum(worker.said["cpu"] for worker in bench.workers)
        for worker in bench.workers:
            worker.process.send_signal(signal.SIGCONT)
        seconds = await bench.drained() - begun
        spent = sum(worker.said["cpu"] for worker in bench.workers) - before
        taken[count] = {"events": events, "wall_s": round(seconds, 2), "events_per_second": round(events / seconds),
                        "cpu_s": round(spent, 2)}  # fmt: skip
    for worker in list(bench.workers):
        await worker.end()
    one, two = (taken[count]["events"] / taken[count]["cpu_s"] for count in (1, 2))
    return {"models": models, "one": taken[1], "two": taken[2], "capacity": round(2 * two / one, 2),
            "speedup": round(taken[2]["events_per_second"] / taken[1]["events_per_second"], 2)}  # fmt: skip


def snapshots(known: bytes, models: int) -> dict[str, Any]:
    """Seconds to make and to restore the state of many models, in process."""
    from detectors.monitor import Monitor

    load, monitor = Load(models), Monitor({}, lambda *_: known)
    for model, payload, _ in load.messages("arrow", 1):
        monitor.on_arrow("bench", model, payload)
    begun = time.perf_counter()
    pieces = monitor.pieces()
    stored = time.perf_counter() - begun
    again = Monitor({}, lambda *_: known)
    begun = time.perf_counter()
    again.restore_pieces(pieces)
    return {"models": models, "megabytes": round(sum(map(len, pieces.values())) / 1e6, 1),
            "snapshot_s": round(stored, 2), "restore_s": round(time.perf_counter() - begun, 2)}  # fmt: skip


async def fresh(stack: AsyncExitStack, known: bytes) -> Bench:
    """Servers of their own, empty, and a publisher."""
    from nats import connect

    from integrations.local import LocalServers
    from integrations.nats import Nats

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
    (folder / "baseline").write_bytes(known)
    servers = await stack.enter_async_context(LocalServers(folder, farewell=0.1))
    async with Nats(servers.nats_url):
        pass  # the streams
    bench = Bench(folder, servers.nats_url, servers.redis_url)
    bench.client = await connect(servers.nats_url, pending_size=256 * 2**20)
    stack.push_async_callback(bench.client.close)
    return bench


async def measure(args: argparse.Namespace) -> dict[str, Any]:
    known, scale = reference(), 10 if args.quick else 1
    budget = {"json": 60_000, "json_batch": 600_000, "msgpack_batch": 600_000, "arrow": 3_000_000}
    budget = {form: count // scale for form, count in budget.items()}
    results, held = [], []
    for models in args.models:
        async with AsyncExitStack() as stack:
            more, memory = await many_models(await fresh(stack, known), models, budget)
        results, held = results + more, [*held, memory]
        print(json.dumps(memory), flush=True)
    report: dict[str, Any] = {"benchmark": "ingest", "features": 20, "results": results, "memory": held}
    if len(held) > 1:  # what buffers and libraries take does not grow with the models
        more = 1e3 * (held[-1]["megabytes"] - held[-2]["megabytes"]) / (held[-1]["models"] - held[-2]["models"])
        report["kilobytes_per_further_model"] = round(more)
    if not args.rates_only:
        half = min(r["events_per_core_second"] for r in results if r["format"] == "json_batch") / 2
        async with AsyncExitStack() as stack:
            report["latency"] = await latency(await fresh(stack, known), half, 100 // scale)
        print(json.dumps(report["latency"]), flush=True)
        async with AsyncExitStack() as stack:
            report["scaling"] = await scaling(await fresh(stack, known), 200, max(20 // scale, 3))
        print(json.dumps(report["scaling"]), flush=True)
        report["snapshot"] = snapshots(known, 1_000 // scale)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the events")
    parser.add_argument("--rates-only", action="store_true", help="no latency, scaling and snapshots")
    parser.add_argument("--models", type=int, nargs="*", default=[10, 500, 5_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return asyncio.run(work(args.worker[0], args.worker[1], Path(args.worker[2])))
    report = asyncio.run(measure(args))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
