"""Fixtures of the documents' tests: a real server for the README's example."""

from tests.servers import _nats_server, nats_url  # noqa: F401
