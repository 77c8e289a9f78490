"""Fixtures of the integrations: real servers."""

from tests.servers import _nats_server, _redis_server, nats_server, nats_url, redis_url  # noqa: F401
