"""The model server on a real NATS: predictions, deployments, refusals, kills."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from bot.demo import features, model
from bot.demo.flights import load, moment
from bot.demo.model_server import ModelServer
from core.events import ChangeRecorded, InferenceServed
from tests.demo.conftest import eventually, stored

pytestmark = pytest.mark.servers
INFERENCE, CHANGE = "inference.acme.flight-delay", "change.acme"
ROOT = Path(__file__).parents[2]


def address(port: int | str) -> str:
    return f"http://127.0.0.1:{port}/v1/models/flight-delay/"


@asynccontextmanager
async def running(home: Path, nats_url: str, **how):
    """The server in this process, and a client of its admin interface."""
    runner = web.AppRunner(ModelServer(load(home, requests=False), home, nats_url, **how).app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(address(runner.addresses[0][1])) as client:
            yield client
    finally:
        await runner.cleanup()


async def post(client, verb: str, body, key: str | None = None, token: str | None = None):
    headers = {"Idempotency-Key": key} if key else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with client.post(verb, json=body, headers=headers) as response:
        return response.status, await response.json()


async def show(client):
    async with client.get("/v1/models/flight-delay") as response:
        return await response.json()


def morning(world, count: int = 25):
    return features.asked(world.between(moment("2013-03-04T10:00"), moment("2013-03-04T16:00")))[:count]


async def test_predictions_are_published_as_inference_events(home, world, bus):
    """A batch is one message of events in the words of the wire, with the features of the active version."""
    sent = morning(world)
    async with running(home, bus.url) as client:
        status, first = await post(client, "predict", {"requests": sent})
        assert (status, first["version"]) == (200, "1")
        assert (await post(client, "deploy", {"version": "2"}, "k"))[0] == 200
        assert (await post(client, "predict", {"requests": morning(world, 3)}))[1]["version"] == "2"
    (old, new) = await stored(bus, INFERENCE)
    events = [msgspec.convert(event, InferenceServed) for event in old]
    assert [event.id for event in events] == [one["id"] for one in sent]
    assert [event.score for event in events] == [one["score"] for one in first["predictions"]]
    assert events[0].at == moment(sent[0]["at"])
    assert set(events[0].features) == set(features.FEATURES)
    assert new[0]["features"]["temp"] == pytest.approx((old[0]["features"]["temp"] - 32) / 1.8, abs=0.01)
    assert new[0]["version"] == "2"


async def test_the_same_batch_twice_is_stored_once(home, world, bus):
    """Asking again, as a caller does whose answer got lost, stores nothing twice."""
    async with running(home, bus.url) as client:
        answers = [await post(client, "predict", {"requests": morning(world)}) for _ in range(3)]
    assert {answer[0] for answer in answers} == {200}
    assert len(await stored(bus, INFERENCE)) == 1


async def test_a_key_is_one_deployment_and_one_change(home, bus):
    """Ten clicks at once with one key: one entry, one ChangeRecorded, ten equal answers."""
    async with running(home, bus.url) as client:
        body = {"version": "2", "by": "ci", "at": "2013-03-04T14:00:00Z", "summary": "v2"}
        answers = await asyncio.gather(*(post(client, "deploy", body, "k1") for _ in range(10)))
        assert {status for status, _ in answers} == {200}
        assert len({answer["deployment"]["id"] for _, answer in answers}) == 1
        assert sum(not answer["repeated"] for _, answer in answers) == 1
        await eventually(lambda: announced(client))
    (said,) = await stored(bus, CHANGE)
    change = msgspec.convert(said, ChangeRecorded)
    assert (change.from_, change.to, change.by, change.at) == ("1", "2", "ci", moment("2013-03-04T14:00"))


async def announced(client):
    return all(entry["announced"] for entry in (await show(client))["deployments"])


async def test_a_rollback_is_dated_by_the_newest_request(home, world, bus):
    """Without `at`, a deployment happens at the event time of the newest request served."""
    async with running(home, bus.url) as client:
        await post(client, "deploy", {"version": "2", "at": "2013-03-04T08:00:00Z"}, "k1")
        await post(client, "predict", {"requests": morning(world)})
        _, answer = await post(client, "rollback", {"to": "1", "from": "2", "by": "ada", "reason": "celsius"}, "k2")
        newest = moment(morning(world)[-1]["at"])
        assert answer["deployment"]["at"] == newest
        assert answer["current"] == "1"
        found = await show(client)
        assert (found["current"], found["previous"], found["in_flight"]) == ("1", "2", None)
        assert [entry["to"] for entry in found["deployments"]] == ["2", "1"]
        assert found["deployments"][1]["summary"] == "celsius"


async def test_refusals_say_what_is_wrong(home, world, bus):
    """Each bad request is refused with a code and a sentence, and changes nothing."""
    (one,) = morning(world, 1)
    refusals = [
        ("deploy", {"version": "3"}, 404, "unknown_version", "it has 1, 2"),
        ("deploy", {}, 400, "bad_request", "version is missing"),
        ("deploy", {"version": 2}, 400, "bad_request", "not text"),
        ("deploy", {"version": "2", "at": "noon"}, 400, "bad_request", "noon"),
        ("deploy", {"version": "1"}, 409, "already_current", "already serves"),
        ("rollback", {"to": "2", "from": "7"}, 409, "not_current", "serves version 1, not 7"),
        ("predict", {"requests": []}, 400, "bad_request", "1 to 1000"),
        ("predict", {"requests": [one] * 1001}, 400, "bad_request", "1 to 1000"),
        ("predict", {"requests": [one, one | {"at": None}]}, 400, "bad_request", "requests[1]"),
        ("predict", [], 400, "bad_request", "JSON object"),
    ]
    async with running(home, bus.url) as client:
        for verb, body, status, code, words in refusals:
            got, answer = await post(client, verb, body)
            assert (got, answer["error"]["code"]) == (status, code), answer
            assert words in answer["error"]["message"]
        async with client.post("deploy", data=b"{nope") as response:
            assert response.status == 400
        assert (await show(client))["deployments"] == []
    assert await stored(bus, INFERENCE) == []


async def test_a_token_guards_deployments_alone(home, world, bus):
    """With a token set, deploy and rollback want it; predictions and state do not; it is in no answer."""
    async with running(home, bus.url, token="s3cret-token") as client:
        for token in (None, "wrong", "s3cret-toke"):
            status, answer = await post(client, "deploy", {"version": "2"}, "k", token)
            assert (status, answer["error"]["code"]) == (401, "unauthorized")
            assert "s3cret" not in str(answer)
        assert (await post(client, "predict", {"requests": morning(world)}))[0] == 200
        assert (await post(client, "deploy", {"version": "2"}, "k", "s3cret-token"))[0] == 200


async def test_an_unhealthy_version_is_shown_and_refused(home, bus):
    """A version whose artefact was altered is not healthy and cannot be deployed; the old one serves on."""
    (model.folder(home, "2") / "model.joblib").write_bytes(b"rubbish")
    async with running(home, bus.url) as client:
        found = await show(client)
        assert (found["versions"]["1"]["healthy"], found["versions"]["2"]["healthy"]) == (True, False)
        status, answer = await post(client, "deploy", {"version": "2"}, "k")
        assert (status, answer["error"]["code"]) == (409, "unhealthy_version")
        assert (await show(client))["current"] == "1"


async def test_health_waits_for_nats(home, world, bus):
    """Without NATS the server is up but not ready, and a prediction is told to ask again; with NATS it is stored."""
    bus.kill()
    async with running(home, bus.url, patience=0.3) as client:
        async with client.get("/healthz") as response:
            assert response.status == 503
        status, answer = await post(client, "predict", {"requests": morning(world)})
        assert (status, answer["error"]["code"]) == (503, "events_not_stored")
        await bus.start()
        await eventually(lambda: healthy(client))
        assert (await post(client, "predict", {"requests": morning(world)}))[0] == 200
    assert len(await stored(bus, INFERENCE)) == 1


async def healthy(client):
    async with client.get("/healthz") as response:
        return response.status == 200


async def test_a_restart_of_nats_loses_and_doubles_nothing(home, world, bus):
    """NATS is killed under a running stream of predictions and deployments; every event is stored exactly once."""
    batches = [morning(world, 300)[first : first + 10] for first in range(0, 300, 10)]
    served = []
    async with running(home, bus.url) as client:

        async def serve_all() -> None:
            for batch in batches:
                served.append(await post(client, "predict", {"requests": batch}))

        async def restart(after: int, version: str) -> None:
            await eventually(lambda: len(served) >= after)
            bus.kill()
            await post(client, "deploy", {"version": version}, f"deploy-{version}")
            await bus.start()

        serving = asyncio.create_task(serve_all())
        await restart(5, "2")
        await restart(15, "1")
        assert not serving.done()
        await serving
        await eventually(lambda: announced(client))
    assert {status for status, _ in served} == {200}
    stored_ids = [event["id"] for message in await stored(bus, INFERENCE) for event in message]
    assert stored_ids == [one["id"] for batch in batches for one in batch]
    assert [change["to"] for change in await stored(bus, CHANGE)] == ["2", "1"]


STEPS = ("before_save", "in_save", "after_save", "after_publish")
_KILLER = """
import os, signal, sys
from pathlib import Path
from bot.demo import deployments, model_server, publish
step, flag = sys.argv[1], Path(sys.argv[2])
def die():
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
def save(path, state, real=deployments.save):
    rollback = state.log and state.log[-1].kind == "rollback"
    if rollback and not state.log[-1].announced:
        if step == "before_save": die()
        if step == "in_save": os.replace = lambda *given: die()
    real(path, state)
    if rollback and not state.log[-1].announced and step == "after_save": die()
async def told(js, subject, name, said, real=publish.publish):
    await real(js, subject, name, said)
    if subject == "change.acme" and said["to"] == "1" and step == "after_publish": die()
deployments.save = save
model_server.publish = told
model_server.main(sys.argv[3:])
"""


class Process:
    """The server as a process of its own."""

    def __init__(self, home: Path, nats_url: str, *command: str) -> None:
        self.home, self.command, self.port, self.process = home, command, home / "port", None
        self.env = {**os.environ, "NATS_URL": nats_url, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    async def start(self) -> str:
        """Its address, once it is ready."""
        self.port.unlink(missing_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *self.command, "--data", str(self.home), "--port-file", str(self.port),
            cwd=ROOT, env=self.env, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await eventually(self.port.exists, 60)
        return address(self.port.read_text())

    async def kill(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()


@pytest.fixture
async def process(home, bus, request):
    """The server with a death built in at the step asked for; gone after the test, however it ends."""
    server = Process(home, bus.url, "-c", _KILLER, request.getfixturevalue("step"), str(home / "died"))
    yield server
    await server.kill()


@pytest.mark.processes
@pytest.mark.parametrize("step", STEPS)
async def test_kill_9_in_the_middle_of_a_rollback(home, bus, process, step):
    """Killed before, in and after the save, or between announcement and mark: asked again, one rollback, one change."""
    body = {"to": "1", "from": "2", "by": "ada"}
    async with aiohttp.ClientSession(await process.start()) as client:
        assert (await post(client, "deploy", {"version": "2", "by": "ci"}, "ci-1"))[0] == 200
        await eventually(lambda: announced(client))
        if step == "after_publish":
            assert (await post(client, "rollback", body, "mw-1"))[0] == 200
        else:
            with pytest.raises(aiohttp.ClientError):
                await post(client, "rollback", body, "mw-1")
        await asyncio.wait_for(process.process.wait(), 20)
    assert (home / "died").exists()
    async with aiohttp.ClientSession(await process.start()) as client:
        found = await show(client)
        assert found["current"] == ("2" if step in STEPS[:2] else "1")
        status, answer = await post(client, "rollback", body, "mw-1")
        assert (status, answer["current"]) == (200, "1")
        assert answer["repeated"] == (step not in STEPS[:2])
        await eventually(lambda: announced(client))
        log = (await show(client))["deployments"]
    assert [(entry["before"], entry["to"], entry["key"]) for entry in log] == [("1", "2", "ci-1"), ("2", "1", "mw-1")]
    assert [(change["from"], change["to"]) for change in await stored(bus, CHANGE)] == [("1", "2"), ("2", "1")]
