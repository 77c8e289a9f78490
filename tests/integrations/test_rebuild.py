"""The views forgotten and made again from the streams."""

from __future__ import annotations

import pytest

from core.errors import MiddlewatchError
from core.events import ChangeRecorded
from core.incident_log import IncidentLog
from core.incidents import mark
from integrations.nats import Nats
from integrations.rebuild import rebuild
from integrations.redis import RedisViews
from tests.integrations.events import incident, window

pytestmark = pytest.mark.servers


@pytest.fixture
async def views(redis_url):
    async with RedisViews(redis_url) as views:
        yield views


async def test_clear_keeps_what_only_redis_knows(views):
    """Incidents, windows and changes go; baselines, cards and flags stay."""
    first = incident()
    await views.incidents.save(first)
    await views.incidents.published(first)
    await views.telemetry.add_window(window())
    await views.changes.add_change("acme", ChangeRecorded(id="c", at=1, kind="data", target="x"))
    await views.cards.put_card("in_1", {"ts": "1"})
    await views.clear()
    assert await views.incidents.all() == []
    assert await views.incidents.of_group(first.group) is None
    assert await views.telemetry.windows("acme", "fraud") == []
    assert await views.changes.changes("acme", since=0, until=9) == []
    assert await views.cards.card("in_1") == {"ts": "1"}


async def test_clear_refuses_while_something_is_only_in_redis(views):
    """A revision that is not in the audit log yet must not be cleared away."""
    await views.incidents.save(incident())
    with pytest.raises(MiddlewatchError, match="not in the audit log yet"):
        await views.clear()
    assert await views.incidents.get("in_1") is not None


async def test_what_was_cleared_comes_back_from_the_streams(views, nats_url):
    """Every incident at its last revision, its group, every change and window; a second time changes nothing."""
    async with Nats(nats_url) as bus:
        log = IncidentLog(views.incidents, bus)
        for number in range(3):
            opened = await log.open(incident(number))
            for what in ("looked at", "looked at again"):
                await log.change(opened.id, lambda i, what=what: mark(i, now=6_000.0, actor="ana", what=what))
        for number in range(250):
            await bus.publish(window(number))
            await views.telemetry.add_window(window(number))
        said = b'[{"id": "c", "at": 1, "kind": "data", "target": "x"}, {"id": "bad"}]'
        await bus.publish_bytes("change.acme", said)
        await views.changes.add_change("acme", ChangeRecorded(id="c", at=1, kind="data", target="x"))

        async def shown():
            return (
                sorted(i.hash for i in await views.incidents.all()), await views.incidents.of_group("g1"),
                await views.telemetry.windows("acme", "fraud"), await views.changes.changes("acme", since=0, until=9),
            )  # fmt: skip

        before = await shown()
        await views.clear()
        for _ in range(2):
            assert await rebuild(bus, views) == {"incidents": 3, "changes": 1, "windows": 250}
            assert await shown() == before
        assert await views.incidents.unpublished() == []
