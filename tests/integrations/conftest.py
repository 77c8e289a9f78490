"""Fixtures of the integrations: real servers."""

import pytest
from aiohttp import web

from tests.integrations.outside import address, serving
from tests.servers import _nats_server, _redis_server, nats_server, nats_url, redis_url  # noqa: F401


@pytest.fixture
async def opened():
    """Serve an app for the length of a test; its address."""
    servers = []

    async def serve(app: web.Application) -> str:
        servers.append(await serving(app))
        return address(servers[-1])

    yield serve
    for server in servers:
        await server.close()
