"""`/metrics` in Prometheus' text format: Middlewatch's own counters, how far its consumers are, what lies dead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from aiohttp import web

from core.errors import Unavailable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counted(Protocol):
    async def counts(self) -> dict[str, int]: ...


class Deep(Protocol):
    async def depth(self) -> dict[str, dict[str, Any]]: ...


Row = tuple[str, Mapping[str, str], float]


def text(counts: Mapping[str, int], depth: Mapping[str, Mapping[str, Any]], *, nats_up: bool, redis_up: bool) -> str:
    """The exposition (Prometheus "Text-based format", 0.0.4)."""
    up: list[Row] = [("middlewatch_up", {"server": "nats"}, nats_up), ("middlewatch_up", {"server": "redis"}, redis_up)]
    messages: list[Row] = [("middlewatch_stream_messages", {"stream": n}, row["messages"]) for n, row in depth.items()]
    rows: dict[str, list[Row]] = {name: [] for name in ("waiting", "in_hand", "redelivered")}
    for stream, row in depth.items():
        for durable, consumer in row["consumers"].items():
            labels = {"stream": stream, "consumer": durable}
            for name, found in rows.items():
                found.append((f"middlewatch_consumer_{name}", labels, consumer[name]))
    counted: list[Row] = [("middlewatch_count_total", {"name": name}, value) for name, value in counts.items()]
    return "".join(
        [
            *_family("middlewatch_up", "gauge", "Whether the server answers.", up),
            *_family("middlewatch_stream_messages", "gauge", "Messages stored in the stream.", messages),
            *_family("middlewatch_consumer_waiting", "gauge", "Messages not yet delivered.", rows["waiting"]),
            *_family("middlewatch_consumer_in_hand", "gauge", "Delivered, not acknowledged.", rows["in_hand"]),
            *_family("middlewatch_consumer_redelivered", "gauge", "In hand more than once.", rows["redelivered"]),
            *_family("middlewatch_count_total", "counter", "Middlewatch's own counters.", counted),
        ]
    )


def app(flags: Counted, bus: Deep) -> web.Application:
    """`GET /metrics`, and `GET /healthz`: 200 while both servers answer, else 503."""

    async def found() -> tuple[str, bool]:
        counts: dict[str, int] = {}
        depth: dict[str, dict[str, Any]] = {}
        redis_up = nats_up = True
        try:
            counts = await flags.counts()
        except Unavailable:
            redis_up = False
        try:
            depth = await bus.depth()
        except Unavailable:
            nats_up = False
        return text(counts, depth, nats_up=nats_up, redis_up=redis_up), redis_up and nats_up

    async def on_metrics(_: web.Request) -> web.Response:
        said, _healthy = await found()
        return web.Response(body=said.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def on_health(_: web.Request) -> web.Response:
        _said, healthy = await found()
        return web.json_response({"status": "ok" if healthy else "degraded"}, status=200 if healthy else 503)

    made = web.Application()
    made.router.add_get("/metrics", on_metrics)
    made.router.add_get("/healthz", on_health)
    return made


async def serve(flags: Counted, bus: Deep, host: str = "127.0.0.1", port: int = 0) -> web.AppRunner:
    """Listen; `runner.addresses[0][1]` is the port, `await runner.cleanup()` ends it."""
    runner = web.AppRunner(app(flags, bus), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _family(name: str, kind: str, help_: str, rows: Iterable[Row]) -> list[str]:
    lines = [f"{name}{_labels(labels)} {float(value)!r}\n" for _, labels, value in rows]
    return [f"# HELP {name} {help_}\n", f"# TYPE {name} {kind}\n", *lines] if lines else []


def _labels(labels: Mapping[str, str]) -> str:
    said = ",".join(f'{re.sub(r"[^a-zA-Z0-9_]", "_", name)}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
