"""The event bus: NATS JetStream, served through FastStream. The only home of `nats` and `faststream`."""

from integrations.feed import Entry, Feed
from integrations.nats.bus import Nats
from integrations.routes import Route

__all__ = ["Entry", "Feed", "Nats", "Route"]
