"""The replay against a real model server on a real NATS."""

import asyncio
from collections import Counter

import aiohttp
import pytest
from aiohttp import web

from bot.demo import model
from bot.demo.control import steered
from bot.demo.flights import load, moment
from bot.demo.model_server import ModelServer
from bot.demo.replay import Plan, Replay, forget
from tests.demo.conftest import eventually, stored

pytestmark = pytest.mark.servers
INFERENCE, LABEL = "inference.acme.flight-delay", "label.acme.flight-delay"
PLAN = Plan(start=moment("2013-03-01"), deploy_at=moment("2013-03-01T14:10"), end=moment("2013-03-01T20:00"))


@pytest.fixture
async def server(home, bus):
    """A model server in this process that can be taken away and brought back at the same address."""

    class Served:
        async def up(self, port: int = 0):
            self.runner = web.AppRunner(ModelServer(load(home, requests=False), home, bus.url).app())
            await self.runner.setup()
            await web.TCPSite(self.runner, "127.0.0.1", port).start()
            self.port = self.runner.addresses[0][1]
            self.url = f"http://127.0.0.1:{self.port}"

        async def down(self):
            await self.runner.cleanup()

    served = Served()
    await served.up()
    yield served
    await served.down()


def ids(messages) -> list[str]:
    return [event["id"] for message in messages for event in message]


async def test_a_replay_publishes_each_flight_once_and_deploys_at_its_time(world, server, bus):
    """Requests are those of the plan in event time; v2 serves from the deploy on; labels are of flights that landed."""
    said = []
    replay = Replay(world, server.url, bus.url, PLAN, pace=1000, on_progress=lambda now: said.append(now.position))
    done = await replay.run()
    requests = world.between(PLAN.start, PLAN.end)
    events = [event for message in await stored(bus, INFERENCE) for event in message]
    assert [event["id"] for event in events] == requests["id"].tolist()
    assert {event["version"] for event in events if moment(event["at"]) < PLAN.deploy_at} == {"1"}
    assert {event["version"] for event in events if moment(event["at"]) >= PLAN.deploy_at} == {"2"}
    (change,) = await stored(bus, "change.acme")
    assert (change["at"], change["to"]) == (PLAN.deploy_at, "2")
    labelled = ids(await stored(bus, LABEL))
    assert (done.requests, done.labels) == (len(events), len(labelled))
    landed = {i for i, at in zip(requests["id"], requests["landed"], strict=True) if PLAN.start <= at < PLAN.end}
    assert set(labelled) >= landed
    assert max(Counter(labelled).values()) == 1
    assert said == sorted(said)
    assert (done.done, done.deployed, done.version) == (True, True, "2")
    kinds = Counter(event["eventType"] for event in await stored(bus, "lineage.acme"))
    assert kinds["COMPLETE"] + 5 == kinds["START"]


async def test_the_same_plan_says_the_same(world, home, server, bus):
    """Another replay of the plan, at another pace, adds no message: names and contents are the same."""
    plan = Plan(start=moment("2013-03-01"), deploy_at=None, end=moment("2013-03-01T12:00"))
    await Replay(world, server.url, bus.url, plan, pace=1000).run()
    first = await stored(bus, INFERENCE), await stored(bus, LABEL), await stored(bus, "lineage.acme")
    await Replay(world, server.url, bus.url, plan, pace=300).run()
    assert (await stored(bus, INFERENCE), await stored(bus, LABEL), await stored(bus, "lineage.acme")) == first


async def test_a_killed_replay_goes_on_where_it_was(world, home, server, bus):
    """A replay cut short in the middle and started again from its file publishes every event once."""
    file = home / "replay.json"
    first = Replay(world, server.url, bus.url, PLAN, pace=1000, state=file)
    task = asyncio.create_task(first.run())
    await first.until(moment("2013-03-01T15:00"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    second = Replay(world, server.url, bus.url, PLAN, pace=1000, state=file)
    assert second.progress.position >= moment("2013-03-01T15:00")
    await second.run()
    assert ids(await stored(bus, INFERENCE)) == world.between(PLAN.start, PLAN.end)["id"].tolist()
    assert len(await stored(bus, "change.acme")) == 1


async def test_an_absent_model_server_is_waited_for(world, server, bus, capsys):
    """The server goes away and comes back: the replay says so, waits, and nothing is missing."""
    replay = Replay(world, server.url, bus.url, PLAN, pace=1000)
    task = asyncio.create_task(replay.run())
    await replay.until(moment("2013-03-01T13:00"))
    await server.down()
    said = []
    await eventually(lambda: said.append(capsys.readouterr().out) or "does not answer" in "".join(said))
    await server.up(server.port)
    await task
    assert ids(await stored(bus, INFERENCE)) == world.between(PLAN.start, PLAN.end)["id"].tolist()


async def test_the_pace_changes_under_way(world, server, bus):
    """Stopped by a hold at pace 0 no slice passes; released, or at a new pace, it goes on at once."""
    replay = Replay(world, server.url, bus.url, PLAN, pace=1000, hold_pace=0)
    replay.hold()
    task = asyncio.create_task(replay.run())
    await eventually(lambda: replay.progress.lineage and replay.progress.labels + replay.progress.requests > 0)
    assert replay.progress.position == PLAN.start
    assert "held" in str(replay.progress)
    replay.hold(False)
    await replay.until(moment("2013-03-01T06:00"))
    replay.set_pace(0)
    assert replay.progress.position < PLAN.end
    replay.set_pace(1000)
    await task
    assert replay.progress.position == PLAN.end
    with pytest.raises(ValueError, match="pace -1"):
        replay.set_pace(-1)


async def test_a_replay_is_steered_over_http(world, server, bus, tmp_path):
    """Levers on loopback: what is asked is done and answered with the progress; nonsense is refused with a reason."""
    replay = Replay(world, server.url, bus.url, PLAN, pace=0)
    task = asyncio.create_task(steered(replay, port_file=tmp_path / "port"))
    await eventually((tmp_path / "port").exists)
    url = f"http://127.0.0.1:{(tmp_path / 'port').read_text()}/v1/replay"
    async with aiohttp.ClientSession() as client:
        for nonsense in ({"pace": -1}, {"pace": "fast"}, {"speed": 3}, {"hold_pace": 1e9}, [1]):
            async with client.post(url, json=nonsense) as response:
                assert response.status == 400
                assert (await response.json())["error"]["message"]
        async with client.post(url, json={"held": True, "hold_pace": 50}) as response:
            assert (await response.json())["held"] is True
        async with client.post(url, json={"held": False, "pace": 1000}) as response:
            assert response.status == 200
        await replay.until(moment("2013-03-01T04:00"))
        async with client.get(url) as response:
            assert (await response.json())["at"] >= "2013-03-01T04:00:00Z"
    assert (await task).position == PLAN.end


async def test_a_refusal_ends_the_replay_with_the_servers_words(world, server, bus):
    """A refusal that asking again cannot cure is raised with what the server said."""
    replay = Replay(world, server.url + "/nowhere", bus.url, PLAN, pace=1000)
    with pytest.raises(RuntimeError, match="refused with 404"):
        await replay.run()


async def test_forgetting_starts_the_story_again(world, home, server, bus):
    """After `forget` the trained versions are still there and the deployments and the position are not."""
    await Replay(world, server.url, bus.url, PLAN, pace=1000, state=home / "replay.json").run()
    assert (home / "deployments.json").exists()
    forget(home)
    assert not (home / "deployments.json").exists()
    assert not (home / "replay.json").exists()
    assert model.load_model(home, "2").version == "2"
