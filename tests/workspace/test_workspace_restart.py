"""A workspace process killed with -9 has lost nothing that it answered."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.workspace import APP_TOKEN, BOT_TOKEN, People

pytestmark = [pytest.mark.servers, pytest.mark.processes]
START = (
    "import sys; from pathlib import Path; from bot.workspace import run; "
    "run(port=0, data_dir=Path(sys.argv[1]), started=lambda w: print(w.url, flush=True))"
)


async def start(data_dir: Path) -> tuple[asyncio.subprocess.Process, str]:
    """A workspace in a process of its own, and its address."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", START, str(data_dir), stdout=asyncio.subprocess.PIPE, cwd=root, env={**os.environ}
    )  # fmt: skip
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    return process, line.decode().strip()


async def end(process: asyncio.subprocess.Process, how: signal.Signals) -> int:
    process.send_signal(how)
    code = await asyncio.wait_for(process.wait(), 20)
    process._transport.close()
    return code


async def test_everything_answered_survives_kill_9(tmp_path):
    """Messages, edits, a file, a mention nobody had acked and the banner are there after kill -9."""
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
    from slack_bolt.async_app import AsyncApp

    process, url = await start(tmp_path)
    web = AsyncWebClient(token=BOT_TOKEN, base_url=f"{url}/api/")
    web.proxy = None
    sent = await web.chat_postMessage(channel="ml-oncall", text="first")
    await web.chat_update(channel=sent["channel"], ts=sent["ts"], text="second")
    file = (await web.files_upload_v2(filename="a.txt", content="kept"))["file"]
    async with People(url) as people:
        await people.as_user("ana").say("ml-oncall", "@middlewatch are you there?")
        await people.banner("still here")
    await end(process, signal.SIGKILL)

    process, url = await start(tmp_path)
    heard = asyncio.Event()
    web = AsyncWebClient(token=BOT_TOKEN, base_url=f"{url}/api/")
    web.proxy = None
    app = AsyncApp(client=web)

    @app.event("app_mention")
    async def on_mention(event):
        heard.set()

    @app.event("message")
    async def on_message():
        """Acked, not used."""

    handler = AsyncSocketModeHandler(app, APP_TOKEN)
    handler.client.proxy = None
    try:
        async with People(url) as people:
            texts = [m["text"] for m in await people.as_user("ben").messages("ml-oncall")]
            assert texts == ["second", "<@U0WATCHBOT> are you there?"]
            assert (await people.state())["banner"] == "still here"
        assert (await web.files_info(file=file["id"]))["file"]["size"] == 4
        await handler.connect_async()
        await asyncio.wait_for(heard.wait(), 10)
    finally:
        await handler.close_async()
        assert await end(process, signal.SIGTERM) == 0
