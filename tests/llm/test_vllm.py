"""A real vLLM server with a real, weak model (SmolLM2, 135M): forms, tool calls, time-outs, absence. Opt-in."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from agents import investigate
from bot.conversation.freetext import Words
from core.errors import Unavailable
from integrations.vllm import VLLM
from tests.agents.world import DEPLOY, celsius_case, investigation

VENV = os.environ["LLM_VENV"]
PATIENCE = 600.0
"""Seconds for anything a model of this size does on two shared cores."""
OPTIONS = (
    "--served-model-name=smollm2", "--max-model-len=8192", "--max-num-seqs=2", "--enforce-eager",
    "--enable-auto-tool-choice", "--tool-call-parser=hermes",
    '--structured-outputs-config={"backend": "xgrammar", "disable_any_whitespace": true}',
)  # fmt: skip
QUIET = {
    "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2",
}  # fmt: skip


class Form(msgspec.Struct, frozen=True):
    cause: Literal["unit_change", "season", "unknown"]
    sentence: Annotated[str, msgspec.Meta(max_length=60)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen]]:
    """Its address, and the process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log"
    command = [f"{VENV}/bin/vllm", "serve", f"{VENV}/model", "--host=127.0.0.1", f"--port={port}", *OPTIONS]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=os.environ | QUIET)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert process.poll() is None, log.read_text(errors="replace")[-4_000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-4_000:]
            time.sleep(0.5)


async def test_it_fills_a_form_that_it_did_not_choose(server):
    """Structured output: the answer of a 135M model is a valid instance of the schema, whatever it is worth."""
    llm = VLLM(server[0], tokens=200)
    said = await llm.fill("Fill in the form.", "Temperatures arrive in Celsius.", Form, timeout=PATIENCE)
    assert said.cause in ("unit_change", "season", "unknown")
    assert len(said.sentence) <= 60
    assert llm.name == "smollm2"


async def test_it_calls_one_of_the_tools_or_is_not_heard(server):
    """The server makes it call a tool; a call with what does not fit is refused by name, never run."""
    tools = {"status": ("status: how all models are", Words), "why": ("why <model>: what is wrong with it", Words)}
    llm = VLLM(server[0], tokens=200)
    try:
        name, given = await llm.choose("Call one command.", "why is it wrong?", tools, timeout=PATIENCE)
        heard = name in tools and isinstance(given, Words)
    except Unavailable as refused:
        heard = "did not fill the call of" in str(refused)
    assert heard


async def test_a_hypothesis_worded_by_it_holds_only_what_the_gate_lets_through(server, monkeypatch):
    """The whole investigation with the model in it ends as the rules' would: same cause, every claim cited."""
    monkeypatch.setattr(investigate, "MODEL_SECONDS", PATIENCE)
    windows, about = celsius_case()
    rules = await investigation(windows, DEPLOY).investigate(about, 0.0)
    found = await investigation(windows, DEPLOY, model=VLLM(server[0], tokens=400)).investigate(about, 0.0)
    assert (found.cause, len(found.claims)) == (rules.cause, len(rules.claims))
    assert found.written_by in ("rules", "model:smollm2")
    assert all(c.citations and set(c.citations) <= {e.id for e in found.evidence} for c in found.claims)


async def test_it_is_not_waited_for(server):
    """A time-out is kept against a server that is really computing."""
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"0\.2 s"):
        await VLLM(server[0]).fill("Fill in the form.", "x " * 500, Form, timeout=0.2)
    assert time.monotonic() - began < PATIENCE


async def test_without_it_the_rules_write(server, monkeypatch):
    """The last test stops the server: the next incident is worded by the rules."""
    server[1].terminate()
    server[1].wait(60)
    windows, about = celsius_case()
    found = await investigation(windows, DEPLOY, model=VLLM(server[0])).investigate(about, 0.0)
    assert found.written_by == "rules"
    assert found.claims
