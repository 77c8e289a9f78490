"""Where a model's baseline comes from: files, one a version, and artifacts of MLflow."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.compose.baselines import ROOT, finder
from core.errors import Unavailable
from core.policy import ModelRules, Policy
from core.settings import Secret, Settings


class Registry(BaseHTTPRequestHandler):
    """Knows version 2 of `churn`, made by run r1, and the artifact train.csv of that run."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.asked.append(self.path)
        if self.headers["Authorization"] != "Bearer s3cret":
            self.answer(401, b"who are you?")
        elif url.path.endswith("/model-versions/get") and query == {"name": "churn", "version": "2"}:
            self.answer(200, json.dumps({"model_version": {"run_id": "r1"}}).encode())
        elif url.path == "/get-artifact" and query == {"path": "data/train.csv", "run_uuid": "r1"}:
            self.answer(200, b"x\n1\n")
        else:
            self.answer(404, b"no such thing")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mlflow() -> Iterator[str]:
    Registry.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def find(baseline: str, tmp_path: Path, url: str = "", token: str = "s3cret"):
    policy = Policy(models={"acme/churn": ModelRules(baseline=baseline)})
    return finder(policy, Settings(mlflow_url=url, mlflow_token=Secret(token), var=tmp_path))


def test_a_file_may_be_one_a_version(tmp_path: Path):
    """`{model}` and `{version}` stand for those of the events, and cannot leave the folder."""
    found = find("baselines/{model}-{version}.parquet", tmp_path)
    assert found("acme", "churn", "7") == ROOT / "baselines/churn-7.parquet"
    assert found("acme", "churn", "../../etc").name == "churn-_.._etc.parquet"
    assert found("acme", "other", "7") is None


def test_the_run_of_a_model_version_gives_its_baseline_once(tmp_path: Path, mlflow: str):
    """The version's run is asked for, its artifact is kept, and the next time nobody is asked."""
    found = find("models:/{model}/{version}/data/train.csv", tmp_path, mlflow)
    path = found("acme", "churn", "2")
    assert path.read_text() == "x\n1\n"
    assert path.suffix == ".csv"
    assert len(Registry.asked) == 2
    assert found("acme", "churn", "2") == path
    assert len(Registry.asked) == 2
    assert find("runs:/r1/data/train.csv", tmp_path, mlflow)("acme", "churn", "9").read_text() == "x\n1\n"


@pytest.mark.parametrize(
    ("baseline", "token", "words"),
    [
        ("models:/churn/3/data/train.csv", "s3cret", "answered 404"),
        ("runs:/r1/other.csv", "s3cret", "answered 404 .*MLFLOW_TRACKING_URI"),
        ("runs:/r1/data/train.csv", "wrong", "answered 401"),
        ("runs:/r1", "s3cret", "write runs:/RUN/FILE"),
        ("runs:/r1/../../etc/passwd", "s3cret", "leaves its run"),
    ],
)
def test_what_mlflow_does_not_give_is_named(tmp_path: Path, mlflow: str, baseline: str, token: str, words: str):
    """The error says what was asked and where to look; no half file is left and no token is told."""
    with pytest.raises(Unavailable, match=words) as error:
        find(baseline, tmp_path, mlflow, token)("acme", "churn", "1")
    assert "s3cret" not in str(error.value)
    assert not list(tmp_path.glob("baselines/*"))


def test_mlflow_must_be_configured(tmp_path: Path):
    """Without an address the error names the variable."""
    with pytest.raises(Unavailable, match="no MLFLOW_TRACKING_URI is set"):
        find("runs:/r1/data/train.csv", tmp_path)("acme", "churn", "1")
