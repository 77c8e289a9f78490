"""The core's ports as dictionaries, with a switch that makes any call die: how crashes are tested without processes."""

from core.errors import Conflict
from core.incidents import Incident, IncidentChanged


class Crash(BaseException):
    """The process dies here. Not an Exception: nothing may catch it."""


class Fuse:
    """Dies at the n-th tick (counting from 1); never when n is 0."""

    def __init__(self, at: int = 0):
        self.at, self.ticks = at, 0

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks == self.at:
            raise Crash(f"at step {self.at}")


class View:
    def __init__(self, fuse: Fuse):
        self.rows: dict[str, Incident] = {}
        self.pending: dict[tuple[str, int], Incident] = {}
        self.fuse = fuse

    async def get(self, incident_id):
        return self.rows.get(incident_id)

    async def of_group(self, group):
        return next((i for i in self.rows.values() if i.group == group and not i.over), None)

    async def all(self, *, over=None, limit=200):
        return [i for i in self.rows.values() if over is None or i.over == over][:limit]

    async def save(self, incident):
        stored = self.rows.get(incident.id)
        if (stored.revision if stored else 0) != incident.revision - 1:
            raise Conflict(incident.id)
        self.fuse.tick()
        self.rows[incident.id] = incident
        self.pending[(incident.id, incident.revision)] = incident
        self.fuse.tick()

    async def published(self, incident):
        self.fuse.tick()
        self.pending.pop((incident.id, incident.revision), None)

    async def unpublished(self):
        return list(self.pending.values())


class Bus:
    """Deduplicates by id, as JetStream does."""

    def __init__(self, fuse: Fuse):
        self.entries: dict[str, IncidentChanged] = {}
        self.fuse, self.down = fuse, False

    async def publish(self, event):
        if self.down:
            raise OSError("nats is away")
        self.fuse.tick()
        self.entries.setdefault(event.id, event)
        self.fuse.tick()


class ModelServer:
    """A deployer that honours the idempotency key and dies before or after acting."""

    def __init__(self, fuse: Fuse, version: str = "2"):
        self.version, self.fuse, self.acted, self.done = version, fuse, [], {}
        self.healthy = {"1": True, "2": True}
        self.in_flight = False

    async def current(self, tenant, model):
        return {
            "version": self.version, "in_flight": self.in_flight,
            "versions": {v: {"healthy": h} for v, h in self.healthy.items()},
        }  # fmt: skip

    async def act(self, verb, tenant, model, parameters, key):
        self.fuse.tick()
        if key not in self.done:
            self.done[key] = verb
            self.acted.append((verb, parameters["to"]))
            self.version = parameters["to"]
        self.fuse.tick()
        return {}


class Windows:
    def __init__(self):
        self.rows = []

    async def windows(self, tenant, model, *, since=0.0, until=float("inf"), version=None, limit=2000):
        return [w for w in self.rows if since <= w.end and w.start <= until and version in (None, w.version)]


class Tickets:
    def __init__(self):
        self.opened = {}

    async def open_ticket(self, key, title, body):
        self.opened.setdefault(key, (title, body))
        return f"T-{list(self.opened).index(key) + 1}"


class Flags:
    def __init__(self):
        self.flags, self.counts = {}, {}

    async def get_flag(self, name):
        return self.flags.get(name)

    async def set_flag(self, name, value, *, ttl=None):
        self.flags[name] = value

    async def count(self, name, by=1):
        self.counts[name] = self.counts.get(name, 0) + by
        return self.counts[name]
