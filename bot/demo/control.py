"""The replay as a process of its own, steered on loopback.

    python -m bot.demo.control --server http://127.0.0.1:PORT [--data var/demo] [--pace 6] [--port 0] [--port-file F]

`GET /v1/replay` says how far it is (`bot.demo.replay.Progress` as JSON); `POST /v1/replay` with any of `pace` (hours of
event time a second), `hold_pace` and `held` steers it and says the same. 400 says what was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from bot.demo import model
from bot.demo.flights import load
from bot.demo.replay import Progress, Replay


def app(replay: Replay) -> web.Application:
    """The replay's own page of figures and levers."""

    async def on_show(request: web.Request) -> web.Response:
        return web.json_response(said(replay.progress))

    async def on_steer(request: web.Request) -> web.Response:
        try:
            asked = await request.json()
            if unknown := set(asked) - {"pace", "hold_pace", "held"}:
                raise ValueError(f"{sorted(unknown)[0]!r} is not one of pace, hold_pace, held")
            replay.set_pace(float(asked.get("pace", replay.pace)), float(asked.get("hold_pace", replay.hold_pace)))
            replay.hold(bool(asked.get("held", replay.progress.held)))
        except (ValueError, TypeError, AttributeError) as error:
            return web.json_response({"error": {"code": "bad_request", "message": str(error)}}, status=400)
        return web.json_response(said(replay.progress))

    made = web.Application()
    made.router.add_get("/v1/replay", on_show)
    made.router.add_post("/v1/replay", on_steer)
    return made


def said(progress: Progress) -> dict:
    """The progress as JSON, with the event time in words."""
    return asdict(progress) | {"at": f"{datetime.fromtimestamp(progress.position, UTC):%Y-%m-%dT%H:%M:%SZ}"}


async def steered(replay: Replay, port: int = 0, port_file: Path | None = None) -> Progress:
    """Run a replay to its end, with its levers on loopback; `port_file` then holds the port chosen."""
    runner = web.AppRunner(app(replay), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        if port_file:
            partial = port_file.with_suffix(".partial")
            partial.write_text(str(runner.addresses[0][1]))
            partial.replace(port_file)
        print(f"replay: steer it at http://127.0.0.1:{runner.addresses[0][1]}/v1/replay", flush=True)
        return await replay.run()
    finally:
        await runner.cleanup()


def main(argv: list[str] | None = None) -> None:
    """Addresses and the token come from the environment: NATS_URL, MODEL_SERVER_TOKEN."""
    parser = argparse.ArgumentParser(prog="python -m bot.demo.control", description="replays the real flights of 2013")
    parser.add_argument("--server", required=True, help="the model server, http://127.0.0.1:PORT")
    parser.add_argument("--data", type=Path, default=Path("var/demo"))
    parser.add_argument("--pace", type=float, default=6.0, help="hours of event time a second")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port chosen")
    given = parser.parse_args(argv)
    asyncio.run(_main(given))


async def _main(given: argparse.Namespace) -> None:
    model.prepare(given.data, print)
    replay = Replay(
        load(given.data, print), given.server, os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), pace=given.pace,
        token=os.environ.get("MODEL_SERVER_TOKEN", ""), state=given.data / "replay.json", on_progress=Printed(),
        importances={version: model.card(given.data, version)["importances"] for version in model.RECIPES},
    )  # fmt: skip
    with contextlib.suppress(asyncio.CancelledError):
        print(await steered(replay, given.port, given.port_file), flush=True)


class Printed:
    """Says how far a replay is, once a day of event time."""

    def __init__(self) -> None:
        self._day = -1

    def __call__(self, progress: Progress) -> None:
        day = int(progress.position // 86400)
        if day != self._day:
            self._day = day
            print(f"replay: {progress}", flush=True)


if __name__ == "__main__":
    main()
