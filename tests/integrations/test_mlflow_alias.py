"""The deployer that moves an alias, against a real MLflow tracking server with its registry in SQLite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from core.action import Tools, rollback
from core.action.executor import Executor
from core.errors import Refused
from core.incidents import changed
from integrations.mlflow import MLflow
from integrations.mlflow_alias import MlflowAlias
from tests.bot import examples as x
from tests.bot.ports import Views

PYTHON = Path(sys.prefix) / "mlflow" / "bin" / "python"
SERVE = """
from mlflow.server import app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""
pytestmark = [
    pytest.mark.servers,
    pytest.mark.xdist_group("mlflow"),  # one server for all of them
    pytest.mark.skipif(not PYTHON.exists(), reason="no MLflow here: `make mlflow` sets it up"),
]


class Registry:
    """What a team does to its registry: registers versions, names them, looks."""

    def __init__(self, url: str):
        self.url = url

    def post(self, path: str, **fields: Any) -> dict:
        answer = requests.post(f"{self.url}/api/2.0/mlflow/{path}", json=fields, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def registered(self, name: str, versions: int = 2, champion: str = "2") -> str:
        self.post("registered-models/create", name=name)
        for _ in range(versions):
            self.post("model-versions/create", name=name, source="s3://models/flight-delay")
        self.alias(name, "champion", champion)
        return name

    def alias(self, name: str, alias: str, version: str) -> None:
        self.post("registered-models/alias", name=name, alias=alias, version=version)

    def champion(self, name: str) -> str:
        asked = {"name": name, "alias": "champion"}
        answer = requests.get(f"{self.url}/api/2.0/mlflow/registered-models/alias", params=asked, timeout=60)
        return answer.json()["model_version"]["version"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A tracking server of its own process, asked on the port it says it has."""
    folder = tmp_path_factory.mktemp("mlflow")
    surroundings = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder / "artifacts"),
    }  # fmt: skip
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([PYTHON, "-c", SERVE], stdout=subprocess.PIPE, stderr=log, text=True,
                                  env=surroundings, cwd=folder)  # fmt: skip
    try:
        port = server.stdout.readline().strip()
        assert port, (folder / "log").read_text()[-3000:]
        yield Registry(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


async def test_it_says_what_serves(registry):
    """The alias' version serves; every version that MLflow calls ready is healthy; quotes in a name are only text."""
    registry.registered("acme.it's flights")
    state = await MlflowAlias(registry.url, name="{tenant}.{model}").current("acme", "it's flights")
    assert state["version"] == "2"
    assert state["versions"] == {"1": {"healthy": True}, "2": {"healthy": True}}


async def test_a_key_moves_the_alias_once(registry):
    """A repeat of a key changes nothing, even after somebody else moved the alias; another key moves it again."""
    name, hands = registry.registered("once"), MlflowAlias(registry.url)
    back = {"to": "1", "from": "2"}
    assert (await hands.act("rollback", "acme", name, back, "key-a"))["repeated"] is False
    assert registry.champion(name) == "1"
    registry.alias(name, "champion", "2")
    assert (await hands.act("rollback", "acme", name, back, "key-a"))["repeated"] is True
    assert registry.champion(name) == "2"
    await hands.act("rollback", "acme", name, back, "key-b")
    assert registry.champion(name) == "1"


async def test_what_does_not_fit_is_refused(registry):
    """Another version than planned, a version or model that is not there, and work no registry does are refused."""
    name, hands = registry.registered("refusing"), MlflowAlias(registry.url)
    for verb, parameters, words in (
        ("rollback", {"to": "2", "from": "1"}, None), ("deploy", {"to": "1", "from": "7"}, "not 7"),
        ("rollback", {"to": "9", "from": "2"}, "not found"), ("retrain", {}, "cannot retrain"),
        ("fallback", {}, "fallback not found"),
    ):  # fmt: skip
        if words:
            with pytest.raises(Refused, match=words):
                await hands.act(verb, "acme", name, parameters, f"key-{verb}-{parameters}")
        else:  # already where it should be: nothing to do
            assert (await hands.act(verb, "acme", name, parameters, "key-there"))["repeated"] is True
    with pytest.raises(Refused, match="not found"):
        await hands.current("acme", "no-such-model")
    assert registry.champion(name) == "2"


async def test_fallback_serves_the_version_of_that_alias(registry):
    """`fallback` moves the serving alias to the version that the alias `fallback` names."""
    name = registry.registered("careful")
    registry.alias(name, "fallback", "1")
    await MlflowAlias(registry.url).act("fallback", "acme", name, {}, "key-f")
    assert registry.champion(name) == "1"


async def test_an_approved_rollback_runs_and_is_undone(registry):
    """From approved to verifying through the executor; the undo plan deploys the other version again."""
    registry.registered("flight-delay")
    views = Views(lambda: x.NOW + 70)
    plan = x.plan(parameters={"from": "2", "to": "1", "deployer": "mlflow"})
    tools = Tools(deployers={"mlflow": MlflowAlias(registry.url)}, tickets=None, telemetry=views, changes=views)
    executor = Executor(views.log(), x.policy(), tools, views, now=lambda: x.NOW + 70)
    incident = x.approved(plan)
    await views.put(incident)
    await executor.on_approved(changed(incident))
    after = views.rows[incident.id]
    assert (after.state, registry.champion("flight-delay")) == ("verifying", "1"), after.timeline[-1]
    undo = rollback.undo(plan, after, x.policy(), x.NOW + 80)
    await rollback.precheck(undo, after, tools)
    await rollback.run(undo, after, tools, undo.digest)
    assert registry.champion("flight-delay") == "2"


async def test_lineage_reads_versions_with_their_run_and_its_datasets(registry):
    """What a training run logged is found from the registered model: datasets, importances, the newest version last."""
    experiment = registry.post("experiments/create", name="lineage")["experiment_id"]
    runs = []
    for _ in range(4):
        run = registry.post("runs/create", experiment_id=experiment, start_time=1_000)["run"]["info"]["run_id"]
        source = {"name": "features", "digest": "d1", "source_type": "s3", "source": '{"uri": "s3://b/f"}'}
        registry.post("runs/log-inputs", run_id=run, datasets=[{"dataset": source}])
        registry.post("runs/log-metric", run_id=run, key="importance.temp", value=0.4, timestamp=1_000)
        registry.post("runs/update", run_id=run, status="FINISHED", end_time=1_800_000_000_000)
        runs.append(run)
    registry.post("registered-models/create", name="lineage-model")
    for run in runs:
        registry.post("model-versions/create", name="lineage-model", source="s3://models/x", run_id=run)
    found = await MLflow(registry.url).trainings("lineage-model")
    assert [(t.version, t.run) for t in found] == [("2", runs[1]), ("3", runs[2]), ("4", runs[3])]
    assert (found[-1].datasets, found[-1].importance, found[-1].at) == (["features"], {"temp": 0.4}, 1.8e9)
    assert await MLflow(registry.url).trainings("nobody") == []
