"""A running workspace and an unmodified Bolt app on its Socket Mode."""

from __future__ import annotations

import contextlib

import pytest

from bot.workspace import APP_TOKEN, BOT_TOKEN, People, serve


@pytest.fixture
async def workspace(tmp_path):
    """A workspace on a free port with the shipped people and no manifest (everything granted)."""
    async with await serve(data_dir=tmp_path / "workspace", ack_seconds=1.0) as running:
        yield running


@pytest.fixture
async def people(workspace):
    """Hands for every person of the workspace."""
    async with People(workspace.url) as hands:
        yield hands


@pytest.fixture
async def client(workspace):
    """slack_sdk's async Web API client with the bot's token."""
    from slack_sdk.web.async_client import AsyncWebClient

    web = AsyncWebClient(token=BOT_TOKEN, base_url=workspace.api_url)
    web.proxy = None
    return web


@pytest.fixture
def connect(workspace, people):
    """`async with connect(app)`: a Bolt AsyncApp made by `bolt_app()`, connected until the block ends."""
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

    @contextlib.asynccontextmanager
    async def connected(app, ping_interval: float = 10):
        handler = AsyncSocketModeHandler(app, APP_TOKEN, ping_interval=ping_interval)
        handler.client.proxy = None
        await handler.connect_async()
        try:
            await people.wait_connected(60)
            yield handler
        finally:
            await handler.close_async()

    return connected


@pytest.fixture
def bolt_app(client):
    """A new Bolt AsyncApp that talks to the workspace."""
    from slack_bolt.async_app import AsyncApp

    return AsyncApp(client=client)
