"""Events a second a core, from the bytes of a message to windows and statistics, for each wire format and many models.

    python -m benchmarks.ingest [--quick] [--jetstream] [--json OUT]

In process: decode, count, test, close windows, as the detect process does. With `--jetstream` the same messages are
first published to a real nats-server and read back through a durable pull consumer. CPU seconds of this process are
counted, not wall time. The last line printed is one JSON object; `results` carry `format`, `models`,
`events_per_core_second`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

FEATURES, BATCH, EVERY = 20, 1_000, 4.0
START = 1_700_006_400.0
FORMATS = ("json", "json_batch", "msgpack_batch", "arrow")
TYPES = {"json": "application/json", "json_batch": "application/json", "msgpack_batch": "application/msgpack",
         "arrow": "application/vnd.apache.arrow.stream"}  # fmt: skip


def columns(rows: int, seed: int, start: float, first: int) -> dict[str, Any]:
    """Twenty features: fourteen numbers, six categories of eight levels."""
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {"id": [f"r{first + i:08d}" for i in range(rows)], "at": start + EVERY * np.arange(rows)}
    made |= {f"n{i}": np.round(rng.lognormal(2, 0.6, rows) if i % 2 else rng.normal(50, 9, rows), 4) for i in range(14)}
    made |= {
        f"c{i}": rng.choice(["alpha", "beta", "gamma", "delta", "eps", "zeta", "eta", "theta"], rows) for i in range(6)
    }
    made["score"] = np.round(rng.beta(2, 8, rows), 5)
    return made


def events(table: dict[str, Any]) -> list[dict[str, Any]]:
    features = [name for name in table if name[0] in "nc"]
    lists = {name: (v.tolist() if isinstance(v, np.ndarray) else v) for name, v in table.items()}
    return [
        {"id": lists["id"][i], "at": lists["at"][i], "version": "1", "features": {n: lists[n][i] for n in features},
         "score": lists["score"][i]}
        for i in range(len(lists["id"]))
    ]  # fmt: skip


def payloads(form: str, table: dict[str, Any]) -> list[bytes]:
    """The messages that carry this table in one wire format."""
    if form == "arrow":
        import pyarrow as pa

        arrays = {n: pa.array(v).dictionary_encode() if n[0] == "c" else pa.array(v) for n, v in table.items()}
        arrays["version"] = pa.array(["1"] * len(table["id"])).dictionary_encode()
        batch = pa.RecordBatch.from_pydict(arrays)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return [sink.getvalue().to_pybytes()]
    found = events(table)
    if form == "json":
        return [msgspec.json.encode(event) for event in found]
    return [msgspec.msgpack.encode(found) if form == "msgpack_batch" else msgspec.json.encode(found)]


def reader(form: str) -> Callable[[Any, str, bytes], Any]:
    """How one message is taken: decoded as the bus does, then given to the Monitor."""
    if form == "arrow":
        return lambda monitor, model, payload: monitor.on_arrow("bench", model, payload)
    from integrations.wire import decoder

    decode = decoder("inference.bench.m")
    kind = TYPES[form]
    return lambda monitor, model, payload: monitor.on_inference("bench", model, decode(payload, kind).events)


def reference() -> bytes:
    """An exported baseline of 5,000 rows."""
    from detectors import baseline
    from detectors.learn import learn
    from detectors.rows import Rows

    table = columns(5_000, 99, START - 5_000 * EVERY, 0)
    held = {f"feature:{n}": v if n[0] == "n" else v.tolist() for n, v in table.items() if n[0] in "nc"}
    rows = Rows(at=table["at"], ids=table["id"], columns=held | {"score": table["score"]})
    return baseline.encode(learn(rows, tenant="bench", model="m", version="1", source="bench"))


def rss() -> int:
    """Resident bytes of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Load:
    """Messages for many models: every model gets the same rounds of rows, later ones later in event time."""

    def __init__(self, form: str, models: int, rounds: int, batch: int = BATCH):
        self.models = [f"m{i}" for i in range(models)]
        self.rounds = [payloads(form, columns(batch, r, START + r * batch * EVERY, r * batch)) for r in range(rounds)]
        self.batch = batch

    def messages(self, first: int, last: int) -> Iterator[tuple[str, bytes]]:
        for messages in self.rounds[first:last]:
            if len(messages) == 1:
                for model in self.models:
                    yield model, messages[0]
            else:  # single events: models take turns, as they do in life
                for payload in messages:
                    for model in self.models:
                        yield model, payload


def in_process(form: str, models: int, budget: int, known: bytes) -> dict[str, Any]:
    """Events per CPU second over about `budget` events, after one warm round."""
    from detectors.monitor import Monitor

    batch = BATCH if form != "json" else 50
    rounds = max(2, 1 + budget // (models * batch))
    load = Load(form, models, min(rounds, 40), batch)
    monitor, take = Monitor({}, lambda *_: known), reader(form)
    for model, payload in load.messages(0, 1):
        take(monitor, model, payload)
    done, windows = 0, 0
    begun = time.process_time()
    for model, payload in load.messages(1, len(load.rounds)):
        reaction = take(monitor, model, payload)
        windows += len(reaction.windows)
        done += batch if form != "json" else 1
        if done >= budget:
            break
    spent = time.process_time() - begun
    return {
        "format": form, "models": models, "events": done, "windows": windows,
        "events_per_core_second": round(done / spent),
    }  # fmt: skip


def monitor_of(known: bytes) -> Any:
    from detectors.monitor import Monitor

    return Monitor({}, lambda *_: known)


def memory(known: bytes, models: int) -> dict[str, Any]:
    """Resident kilobytes a model, in a process of its own: baseline, windows, waiting predictions."""
    code = (
        "import gc, sys\nfrom benchmarks.ingest import Load, monitor_of, reader, rss\n"
        f"known, take = sys.stdin.buffer.read(), reader('arrow')\nload = Load('arrow', {models}, 2)\n"
        "warm = monitor_of(known)\n[take(warm, m, p) for m, p in Load('arrow', 5, 1).messages(0, 1)]\n"
        "gc.collect(); before = rss()\nmonitor = monitor_of(known)\n"
        "[take(monitor, m, p) for m, p in load.messages(0, 2)]\ngc.collect()\n"
        f"print((rss() - before) / {models} / 1e3)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], input=known, capture_output=True, check=True)
    return {"models": models, "kilobytes_per_model": round(float(run.stdout.decode().split()[-1]))}


async def through_jetstream(form: str, models: int, budget: int, known: bytes) -> dict[str, Any]:
    """The same, read back from a real JetStream with a durable pull consumer; publishing is done and paid before."""
    import shutil
    import sysconfig
    import tempfile

    import nats
    from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

    from detectors.monitor import Monitor

    batch = BATCH if form != "json" else 50
    load = Load(form, models, max(2, min(1 + budget // (models * batch), 40)), batch)
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or "nats-server"
    with tempfile.TemporaryDirectory() as folder:
        ports = Path(folder) / "ports"
        ports.mkdir()
        server = await asyncio.create_subprocess_exec(
            program, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", folder, "--ports_file_dir", str(ports),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = await _address(ports)
            client = await nats.connect(url, pending_size=64 * 2**20)
            js = client.jetstream(publish_async_max_pending=2_000)
            await js.add_stream(StreamConfig(name="INFERENCE", subjects=["inference.>"]))
            sent = 0
            for model, payload in load.messages(0, len(load.rounds)):
                await js.publish_async(f"inference.bench.{model}", payload)
                sent += 1
                if sent % 1_000 == 0:
                    await js.publish_async_completed()
                if form == "json" and sent >= budget + models * batch:
                    break
            await js.publish_async_completed()
            config = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=100_000)
            reading = await js.pull_subscribe("inference.>", durable="bench", stream="INFERENCE", config=config)
            monitor, take = Monitor({}, lambda *_: known), reader(form)
            warm, done, read, windows, spent = models * len(load.rounds[0]), 0, 0, 0, 0.0
            begun = time.process_time()
            while read < sent:
                messages = await reading.fetch(500 if form == "json" else 50, timeout=5)
                for message in messages:
                    if read == warm:
                        begun = time.process_time()
                    reaction = take(monitor, message.subject.rpartition(".")[2], message.data)
                    windows += len(reaction.windows)
                    read += 1
                    done += (batch if form != "json" else 1) if read > warm else 0
                await messages[-1].ack()
            spent = time.process_time() - begun
            await client.close()
        finally:
            server.terminate()
            await server.wait()
    return {"format": form, "models": models, "events": done, "windows": windows, "jetstream": True,
            "events_per_core_second": round(done / max(spent, 1e-9))}  # fmt: skip


async def _address(ports: Path) -> str:
    """The server's address, once it has written it."""
    for _ in range(400):
        for path in ports.glob("*.ports"):
            text = path.read_text()
            if text.strip().endswith("}"):
                return json.loads(text)["nats"][0]
        await asyncio.sleep(0.025)
    raise TimeoutError("nats-server did not say its address within 10 s")


def latency(known: bytes) -> dict[str, float]:
    """Milliseconds from the last row of a block that alarms to its detection, at half load: JSON batches of 25 rows."""
    from detectors.monitor import Monitor

    monitor, take = Monitor({}, lambda *_: known), reader("json_batch")
    spent = []
    for turn in range(200):
        table = columns(25, turn, START + turn * 25 * EVERY, turn * 25)
        (payload,) = payloads("json_batch", table)
        begun = time.perf_counter()
        take(monitor, "m", payload)
        spent.append(1e3 * (time.perf_counter() - begun))
    return {"p50_ms": round(float(np.median(spent[20:])), 2), "p99_ms": round(float(np.quantile(spent[20:], 0.99)), 2)}


def snapshots(known: bytes, models: int) -> dict[str, float]:
    """Seconds to store and to restore the state of many models."""
    from detectors.monitor import Monitor

    load, monitor, take = Load("arrow", models, 2), Monitor({}, lambda *_: known), reader("arrow")
    for model, payload in load.messages(0, 2):
        take(monitor, model, payload)
    begun = time.perf_counter()
    data = monitor.snapshot()
    stored = time.perf_counter() - begun
    again = Monitor({}, lambda *_: known)
    begun = time.perf_counter()
    again.restore(data)
    return {"models": models, "megabytes": round(len(data) / 1e6, 1), "snapshot_s": round(stored, 2),
            "restore_s": round(time.perf_counter() - begun, 2)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jetstream", action="store_true", help="through a real nats-server")
    parser.add_argument("--format", choices=FORMATS)
    parser.add_argument("--models", type=int, nargs="*", default=[10, 500, 5_000])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    known = reference()
    warm = in_process("arrow", 2, 5_000, known)
    print(f"warm: {warm['events_per_core_second']:,} events/s", flush=True)
    scale = 4 if args.quick else 1
    budgets = {"json": 40_000, "json_batch": 300_000, "msgpack_batch": 400_000, "arrow": 2_000_000}
    results = []
    for form in [args.format] if args.format else FORMATS:
        for models in args.models:
            budget = budgets[form] // scale
            run = asyncio.run(through_jetstream(form, models, budget, known)) if args.jetstream else in_process(
                form, models, max(budget, 2 * models * (1 if form == "json" else BATCH) // scale), known)  # fmt: skip
            results.append(run)
            print(json.dumps(run), flush=True)
    report = {"benchmark": "ingest", "features": FEATURES, "rows_per_message": BATCH, "results": results,
              "latency": latency(known), "memory": memory(known, 100 if args.quick else 1_000),
              "snapshot": snapshots(known, 100 if args.quick else 1_000)}  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
