"""A baseline that lies in MLflow: an artifact of a run, or of the run that made a registered model version.

Written as MLflow writes it: `runs:/<run id>/train.parquet`, `models:/<name>/<version>/train.parquet`. The tracking
server gives the artifact itself (`/get-artifact`), wherever it stores it. Kept under `var/baselines`: an artifact of a
run does not change.

Source: https://mlflow.org/docs/latest/rest-api.html (model-versions/get).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from core.errors import Unavailable
from core.settings import Secret
from integrations.plain import cleaned

SECONDS = 30.0
LARGEST = 2_000_000_000
_REMEDY = "look at MLFLOW_TRACKING_URI, MLFLOW_TRACKING_TOKEN and the baseline named in policy"
_RUN = re.compile(r"runs:/+([^/]+)/(.+)")
_MODEL = re.compile(r"models:/+([^/]+)/([^/]+)/(.+)")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token must not travel to an address that nobody configured."""

    def redirect_request(self, *_: Any) -> None:
        return None


def fetch(uri: str, tracking: str, token: Secret, folder: Path) -> Path:
    """The artifact as a file in `folder`, from there the next time. Blocking.

    Raises Unavailable when MLflow is not configured, does not answer, or has no such artifact.
    """
    kept = folder / f"{hashlib.sha256(f'{tracking} {uri}'.encode()).hexdigest()[:16]}{Path(uri).suffix}"
    if kept.exists():
        return kept
    if not tracking:
        raise Unavailable(f"the baseline {uri} lies in MLflow, and no MLFLOW_TRACKING_URI is set")
    run, path = _run_of(uri, tracking, token)
    folder.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.part")
    try:
        _copy(run, path, tracking, token, part)
        os.replace(part, kept)
    finally:
        part.unlink(missing_ok=True)
    return kept


def _run_of(uri: str, tracking: str, token: Secret) -> tuple[str, str]:
    """(run id, path of the artifact within it)."""
    run, model = _RUN.fullmatch(uri), _MODEL.fullmatch(uri)
    if not run and not model:
        raise Unavailable(
            f"the baseline {uri!r} is no address in MLflow: write runs:/RUN/FILE or models:/NAME/VERSION/FILE"
        )
    path = run[2] if run else model[3]
    if ".." in path.split("/"):
        raise Unavailable(f"the baseline {uri!r} leaves its run: take the '..' out")
    if run:
        return run[1], path
    query = urlencode({"name": model[1], "version": model[2]})
    with _open(f"{tracking.rstrip('/')}/api/2.0/mlflow/model-versions/get?{query}", token) as answer:
        try:
            return json.load(answer)["model_version"]["run_id"], path
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"MLflow says nothing of a run of {model[1]} version {model[2]}; {_REMEDY}") from None


def _copy(run: str, path: str, tracking: str, token: Secret, to: Path) -> None:
    query = urlencode({"path": path, "run_uuid": run}, quote_via=quote)
    with _open(f"{tracking.rstrip('/')}/get-artifact?{query}", token) as answer, to.open("wb") as file:
        while chunk := answer.read(1 << 20):
            file.write(chunk)
            if file.tell() > LARGEST:
                raise Unavailable(f"artifact {path} of run {run} is larger than {LARGEST:,} bytes: sample it")


def _open(url: str, token: Secret) -> Any:
    headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    opener = urllib.request.build_opener(_NoRedirect)
    shown = url.partition("?")[0]
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise Unavailable(f"MLflow answered {error.code} at {shown}; {_REMEDY}") from None
    except (OSError, ValueError) as error:
        reason = cleaned(str(getattr(error, "reason", error)))
        raise Unavailable(f"MLflow does not answer at {shown} ({reason}); {_REMEDY}") from None
