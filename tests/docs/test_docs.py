"""What the documents say is so: files, folders, commands, variables, examples, and the rules that they set."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bot.__main__ import parser
from bot.cli import run

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("core", "detectors", "agents", "knowledge", "integrations", "bot")
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "bot/SLACK.md")
BESIDE = {"tests", "docs", "var"}
"""Folders that a map of the product leaves out."""
MOST_LINES = 400


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sources(*kinds: str) -> list[Path]:
    """Every file of ours of these kinds, of all folders that are not hidden and hold no data."""
    tops = [p for p in ROOT.iterdir() if not p.name.startswith(".") and p.name not in {"var", "node_modules"}]
    found = [p for p in tops if p.is_file()] + [p for top in tops if top.is_dir() for p in top.rglob("*")]
    return sorted(p for p in found if p.suffix in kinds and "__pycache__" not in p.parts)


def verbs() -> set[str]:
    return set(next(a.choices for a in parser()._actions if a.dest == "verb"))


# the map


def test_the_readmes_tree_is_the_disk():
    """Every folder in the tree exists, and every folder of the product is in the tree."""
    block = text("README.md").partition("## Where things are")[2].split("```")[1]
    named = set(re.findall(r"^(\w+)/ ", block, re.MULTILINE))
    there = {
        p.name for p in ROOT.iterdir()
        if p.is_dir() and not p.name.startswith((".", "_")) and p.name not in BESIDE
        and any(f.suffix in (".py", ".md", ".toml", ".json", ".yaml") for f in p.rglob("*"))
    }  # fmt: skip
    assert named == there


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_a_document_names_exists(document):
    """Paths in backticks, in diagrams and in links lead somewhere."""
    said = text(document)
    paths = set(re.findall(rf"(?<![\w/.])((?:{'|'.join(FLOORS)}|runbooks|benchmarks|tests|docs)/[\w./-]*[\w/])", said))
    paths |= {p for p in re.findall(r"`([\w./-]+\.(?:md|py|toml|yaml|lock))`", said) if p != "your.toml"}
    paths |= set(re.findall(r"\]\(([^)#:]+)\)", said))
    gone = sorted(p for p in paths if not (ROOT / p).exists() and not (ROOT / document).parent.joinpath(p).exists())
    assert gone == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_a_document_names_exists(document):
    """`python -m bot VERB` and `make TARGET` are there to be typed."""
    said = text(document)
    assert set(re.findall(r"python -m bot (\w+)", said)) <= verbs()
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"[`\n]make ([a-z]+)", said)) <= targets


def test_every_verb_is_in_the_readme():
    """Whoever reads the table of commands knows them all."""
    said = text("README.md")
    assert sorted(verb for verb in verbs() if not re.search(rf"bot {verb}\b|/ `{verb}\b", said)) == []


def test_the_readmes_variables_are_the_ones_that_are_read():
    """Every variable in the README's table is read, and every one that is read is in the README."""
    read = set(
        re.findall(
            r'(?:env\.get\(|_url\(env, |_token\(env, |_port\(env, |_listen\(env, |env\[)"([A-Z_]+)"',
            text("core/settings.py"),
        )
    )
    rows = [row for row in text("README.md").splitlines() if row.startswith("| `") and "_" in row.split("|")[1].upper()]
    named = {name for row in rows for name in re.findall(r"`([A-Z][A-Z_]+)`", row.split("|")[1])}
    assert named <= read
    assert sorted(name for name in read if f"`{name}`" not in text("README.md")) == []


def test_the_procfile_runs_every_target():
    """One process a target, by the names that `run` knows, and the language model's server beside them."""
    lines = [line for line in text("Procfile").splitlines() if line and not line.startswith("#")]
    targets = {name: command for name, _, command in (line.partition(": ") for line in lines)}
    assert "vllm serve" in targets.pop("llm")
    assert targets == {name: f"python -m bot run {name}" for name in run.NAMES}


def test_the_glossary_is_where_the_documents_say():
    """ARCHITECTURE ends with it."""
    assert re.findall(r"^## (\w+)", text("ARCHITECTURE.md"), re.MULTILINE)[-1] == "Glossary"


# examples


def modules_with_examples() -> list[str]:
    """Names of all modules that hold a doctest."""
    found = [p for p in sources(".py") if p.relative_to(ROOT).parts[0] in FLOORS and ">>> " in p.read_text()]
    return [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in found]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings_are_true(name):
    """Every doctest gives what it shows."""
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.servers
async def test_the_readmes_producer_is_heard(nats_url):
    """The program in the README, as it stands there, publishes an event that we read whole."""
    from integrations.nats import Nats
    from integrations.wire import delivered

    [program] = re.findall(r"```python\n(.*?)```", text("README.md"), re.DOTALL)
    async with Nats(nats_url) as bus:
        here = program.replace("nats://127.0.0.1:4222", nats_url)
        producer = await asyncio.create_subprocess_exec(sys.executable, "-c", here)
        assert await producer.wait() == 0
        [entry] = [entry async for entry in bus.read("inference.>")]
    message, bad = delivered(entry.subject, entry.data)
    assert (message.tenant, message.model, bad) == ("acme", "fraud-scorer", [])
    assert message.events[0].features == {"amount": 12.5, "country": "DE"}
    assert json.loads(entry.data)["id"] == message.events[0].id


# rules


def test_the_floors_hold():
    """Import-linter keeps every contract of ARCHITECTURE."""
    lint = Path(sysconfig.get_path("scripts")) / "lint-imports"
    done = subprocess.run([str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]


def test_files_are_small():
    """No source file is longer than a reader's patience."""
    long = {str(p.relative_to(ROOT)): n for p in sources(".py") if (n := p.read_text().count("\n")) > MOST_LINES}
    assert long == {}


def test_nothing_is_left_to_do():
    """No promise in a comment, and no function that only says it is not there."""
    words = re.compile(rf"\b({'TO' + 'DO'}|{'FIX' + 'ME'}|{'NotImplemented' + 'Error'})\b")
    found = [
        f"{p.relative_to(ROOT)}:{number}"
        for p in sources(".py", ".md", ".toml", ".yaml", ".js", ".css", ".html")
        for number, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert found == []


def test_the_repository_speaks_of_the_product_alone():
    """No path of the machine on which it was written, in any source or document."""
    paths = re.compile("|".join(("/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/\w")))
    found = [
        str(p.relative_to(ROOT)) for p in sources(".py", ".md", ".toml", ".yaml", ".lock", ".js", ".html")
        if paths.search(p.read_text(encoding="utf-8"))
    ]  # fmt: skip
    assert found == []
