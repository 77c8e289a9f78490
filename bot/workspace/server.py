"""One loopback process: Slack's API at /api/, Socket Mode at /link/, the page at /, people at /people/."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from aiohttp import web

from . import methods, routes, web_api
from .errors import WorkspaceError
from .faults import Faults
from .feed import Feed
from .files import MOST_BYTES, Files
from .gestures import Gestures
from .manifest import Manifest, read_manifest
from .messages import Messages
from .methods.assistant import Assistant
from .person import CHANNELS, GROUPS, Group, Person, people_of
from .rates import Rates
from .socket_mode import Hub
from .store import Store
from .team import Team
from .tickets import TRIGGER_SECONDS, Tickets
from .views import Views

log = logging.getLogger(__name__)
BOT_TOKEN, APP_TOKEN = "xoxb-local-workspace", "xapp-local-workspace"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
__all__ = ["APP_TOKEN", "BOT_TOKEN", "Workspace", "methods", "serve"]


class Workspace:
    """A running workspace. `url` is the page, `api_url` the value for SLACK_API_URL."""

    def __init__(
        self, data_dir: Path, token: str, app_token: str, manifest: Manifest, people: Iterable[Person],
        groups: Iterable[Group], channels: Iterable[tuple[str, str]], team_name: str, rate_limits: bool,
        ack_seconds: float, trigger_seconds: float, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.bot_token, self.app_token = token, app_token
        self.store = Store(data_dir / "workspace.sqlite")
        self.feed, self.faults, self.rates = Feed(), Faults(), Rates(rate_limits)
        self.team = Team(self.store, self.feed, manifest, people, groups, channels, team_name, clock)
        self.messages, self.views = Messages(self.team), Views(self.team)
        self.files = Files(self.team, data_dir / "files")
        self.tickets = Tickets(self.store, clock, trigger_seconds)
        self.hub = Hub(self.team, self.faults, ack_seconds)
        self.gestures = Gestures(self.team, self.messages, self.views, self.hub, self.tickets)
        self.assistant = Assistant(self.store, self.feed)
        self.calls = web_api.Calls()
        self.team.emit = self.hub.tell
        self.url = ""
        self._runner: web.AppRunner | None = None

    @property
    def api_url(self) -> str:
        """Where the Web API answers, with its trailing slash."""
        return f"{self.url}/api/"

    @property
    def banner(self) -> str:
        """The line across the top of the page."""
        return self.store.rows("kv").get("banner", {}).get("text", "")

    def set_banner(self, text: str) -> None:
        """Change the line across the top of the page, at once for everyone who looks."""
        self.store.put("kv", "banner", {"text": text})
        self.feed.tell("banner")

    async def start(self, host: str, port: int) -> None:
        """Bind and answer. Raises WorkspaceError when the port is taken."""
        app = web.Application(client_max_size=MOST_BYTES + 1_000_000, middlewares=[routes.guard(self)])
        routes.add(self, app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            self.store.close()
            raise WorkspaceError(f"cannot listen on {host}:{port} ({error.strerror}); choose another port") from error
        bound = self._runner.addresses[0][1]
        self.url = self.team.base_url = f"http://{'127.0.0.1' if host == 'localhost' else host}:{bound}"
        self.hub.resume()

    async def close(self) -> None:
        """Stop answering; everything is already on disk."""
        await self.hub.close()
        self.feed.tell("closing")
        if self._runner is not None:
            await self._runner.cleanup()
        self.store.close()

    async def __aenter__(self) -> Workspace:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    data_dir: Path,
    token: str = BOT_TOKEN,
    app_token: str = APP_TOKEN,
    people: Iterable[Person | dict] | None = None,
    groups: Iterable[Group] = GROUPS,
    channels: Iterable[tuple[str, str]] = CHANNELS,
    manifest: Path | None = None,
    team_name: str = "Middlewatch",
    banner: str | None = None,
    rate_limits: bool = True,
    ack_seconds: float = 3.0,
    trigger_seconds: float = TRIGGER_SECONDS,
    clock: Callable[[], float] = time.time,
) -> Workspace:
    """Start a workspace and return it.

    `port` 0 takes a free one; `data_dir` keeps its one SQLite file and the uploaded files;
    `manifest` (used when the file exists) grants scopes, events and slash commands;
    `ack_seconds` is how long an envelope may stay unacked, `trigger_seconds` how long a trigger may open a dialog
    (3 s each, as in Slack; tests that are about something else give a slow machine more).
    Raises ValueError for a host that is not loopback or unusable people, ManifestError, StoreLocked,
    WorkspaceError when the port is taken.
    """
    if host not in LOOPBACK:
        raise ValueError(f"host {host!r}: the workspace has no log-in, so it binds to 127.0.0.1 only")
    workspace = Workspace(
        data_dir, token, app_token, read_manifest(manifest), people_of(people), groups, channels, team_name,
        rate_limits, ack_seconds, trigger_seconds, clock,
    )  # fmt: skip
    if banner is not None:
        workspace.set_banner(banner)
    await workspace.start(host, port)
    return workspace


def run(
    host: str = "127.0.0.1", port: int = 8765, *, started: Callable[[Workspace], None] | None = None, **options
) -> None:
    """Serve until SIGINT or SIGTERM (blocking). `started` is called once with the running workspace; the
    remaining options are those of `serve`."""

    async def main() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        async with await serve(host, port, **options) as workspace:
            log.info("workspace at %s", workspace.url)
            if started is not None:
                started(workspace)
            await stop.wait()

    asyncio.run(main())
