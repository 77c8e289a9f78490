"""Lineage beside the events: MLflow over real HTTP, files written by hand, and one graph out of all of it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from aiohttp import web

from bot.compose import lineage
from core.errors import Unavailable
from core.settings import Secret, Settings
from integrations import http
from integrations.mlflow import MLflow
from knowledge.ingest import LineageKeeper
from knowledge.openlineage import learn

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def _brief_pauses(monkeypatch):
    monkeypatch.setattr(http.ask, "__kwdefaults__", http.ask.__kwdefaults__ | {"pause": 0.01})


class Registry:
    """The part of MLflow's REST API that is used; `runs` by id, `fail` is answered instead."""

    def __init__(self, versions: list, runs: dict, fail: web.Response | None = None):
        self.versions, self.runs, self.fail, self.asked = versions, runs, fail, []
        self.app = web.Application()
        self.app.router.add_get("/api/2.0/mlflow/model-versions/search", self.on_search)
        self.app.router.add_get("/api/2.0/mlflow/runs/get", self.on_run)

    async def on_search(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.query), request.headers.get("Authorization")))
        named = request.query["filter"] == "name='delay'"
        return self.fail or web.json_response({"model_versions": self.versions} if named else {})

    async def on_run(self, request: web.Request) -> web.Response:
        run = self.runs.get(request.query["run_id"])
        return web.json_response(
            {"run": run} if run else {"error_code": "X", "message": "no run"}, status=200 if run else 404
        )


def dataset(name: str, source: object) -> dict:
    return {"dataset": {"name": name, "digest": "d", "source_type": "s3", "source": json.dumps(source)}, "tags": []}


RUN = {
    "info": {"run_id": "r7", "end_time": 1_800_000_000_000},
    "data": {"metrics": [{"key": "importance.temp", "value": 0.4}, {"key": "auc", "value": 0.8}]},
    "inputs": {"dataset_inputs": [dataset("features", {"uri": "s3://b/f"}), dataset("dataset", {"uri": "s3://b/raw"})]},
}
VERSIONS = [{"name": "delay", "version": "7", "run_id": "r7"}, {"name": "delay", "version": "6"}]


async def test_versions_runs_and_datasets_are_read(opened):
    """The newest versions with their run's datasets, by name or place, and importances; the token is sent."""
    registry = Registry(VERSIONS, {"r7": RUN})
    mlflow = MLflow(await opened(registry.app), Secret("right"))
    (found,) = await mlflow.trainings("delay")
    assert (found.version, found.run, found.at) == ("7", "r7", 1.8e9)
    assert found.datasets == ["features", "s3://b/raw"]
    assert found.importance == {"temp": 0.4}
    assert registry.asked[0][1] == "Bearer right"
    assert await mlflow.trainings("unknown") == []
    assert await mlflow.trainings("x' OR '1'='1") == []
    assert len(registry.asked) == 2


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"info": None, "inputs": {"dataset_inputs": [None, {"dataset": "x"}, {"dataset": {"name": 7, "source": "{"}}]}},
        {"info": {"end_time": "soon"}, "data": {"metrics": [{"key": "importance.x", "value": "NaN"}]}, "inputs": []},
        {"inputs": {"dataset_inputs": [dataset("a\u202eb", ["uri"])] * 500}},
    ],
)
async def test_what_a_run_does_not_say_is_left_out(opened, run):
    """Runs with parts missing or of another kind are still runs; nothing raises."""
    (found,) = await MLflow(await opened(Registry(VERSIONS, {"r7": run or {"x": 1}}).app)).trainings("delay")
    assert found.version == "7"
    assert all("\u202e" not in name for name in found.datasets)


@pytest.mark.parametrize(
    "fail", [web.Response(status=401, text="who?"), web.json_response([1]), web.Response(text="<")]
)
async def test_a_registry_that_fails_is_unavailable_with_a_remedy(opened, fail):
    """Refusal and nonsense name MLflow and never the token."""
    with pytest.raises(Unavailable, match="MLflow") as caught:
        await MLflow(await opened(Registry([], {}, fail).app), Secret("hidden")).trainings("delay")
    assert "hidden" not in str(caught.value)


class Store(dict):
    """`core.ports.LineageStore` in a dict; `written` counts."""

    written = 0

    async def lineage(self, tenant: str) -> bytes | None:
        return self.get(tenant)

    async def put_lineage(self, tenant: str, encoded: bytes) -> None:
        self[tenant], self.written = encoded, self.written + 1


def house(**settings: object) -> SimpleNamespace:
    store = Store()
    return SimpleNamespace(settings=Settings(**settings), lineage=LineageKeeper(store), store=store)


def event(state: str, minute: int) -> dict:
    return {
        "eventType": state, "eventTime": f"2026-01-01T00:{minute:02}:00Z", "run": {"runId": "x"},
        "job": {"namespace": "airflow", "name": "make"}, "outputs": [{"namespace": "wh", "name": "features"}],
    }  # fmt: skip


async def test_registry_hand_and_events_make_one_graph(opened, tmp_path):
    """A dataset that a pipeline reports, MLflow trained on and a person described is one node on one path."""
    (tmp_path / "acme.toml").write_text(
        '[nodes.features]\nowner="@data"\n[[edges]]\nfrom="sensor"\nto="make"\n[[edges]]\nfrom="delay"\nto="board"\n'
    )
    here = house(lineage=tmp_path)
    await here.lineage.tell("acme", lambda graph: learn(graph, event("COMPLETE", 5)))
    registry = MLflow(await opened(Registry(VERSIONS, {"r7": RUN}).app))
    await lineage.learn(here, registry, "acme", "delay")
    await lineage.take_in(here, tmp_path / "acme.toml")
    graph = await here.lineage.of("acme")
    assert graph.paths("sensor", "board") == [
        ["sensor", "airflow/make", "wh/features", "train/delay", "models/delay", "board"]
    ]
    assert graph.node("features")["owner"] == "@data"
    assert graph.edge("models/delay#temp", "models/delay").importance == 0.4
    assert "version=7" in graph.node("delay")["tags"]
    written = here.store.written
    await lineage.take_in(here, tmp_path / "acme.toml")
    await lineage.learn(here, registry, "acme", "delay")
    assert here.store.written == written


async def test_a_mistake_in_a_written_file_is_logged_and_what_was_known_stays(tmp_path, caplog):
    """File and line are named in the log and by `check`; the graph is as it was."""
    here = house(lineage=tmp_path)
    (tmp_path / "acme.toml").write_text('[[edges]]\nfrom="a"\nto="b"\n')
    await lineage.take_in(here, tmp_path / "acme.toml")
    (tmp_path / "acme.toml").write_text('[[edges]]\nfrom="a"\n')
    await lineage.take_in(here, tmp_path / "acme.toml")
    assert "acme.toml:1: an edge needs 'from' and 'to'" in caplog.text
    assert (await here.lineage.of("acme")).paths("a", "b")
    with pytest.raises(Unavailable, match=r"acme\.toml:1: an edge"):
        await lineage.checked(here.settings)
    (tmp_path / "acme.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Unavailable, match="is not UTF-8"):
        await lineage.checked(here.settings)
