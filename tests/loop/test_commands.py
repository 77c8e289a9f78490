"""The command line: every verb teaches, answers against a running town, and says what to do when something is wrong."""

from __future__ import annotations

import argparse
import ast
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import pytest_asyncio
import redis

from bot.__main__ import main, parser
from bot.cli import schema
from bot.demo.model import MODEL
from bot.workspace.people import text_of
from tests.loop.town import Town

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "scipy", "slack_bolt", "slack_sdk", "faststream", "nats", "redis", "chromadb", "aiohttp",
         "sentence_transformers", "langgraph", "river", "sklearn", "pandas", "msgspec")  # fmt: skip


def verbs() -> list[str]:
    """All verbs there are."""
    [found] = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return list(found.choices)


# help and schemas: pure


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_an_example(verb, capsys):
    """`--help` exits 0 and shows at least one line that can be copied."""
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert re.search(rf"^  python -m bot {verb}\b", capsys.readouterr().out, re.MULTILINE)


def test_help_is_instant():
    """`python -m bot --help` imports nothing heavy and takes under a second of processor time."""
    code = f"""
import sys
from bot.__main__ import main
try:
    main(["--help"])
except SystemExit as ended:
    assert ended.code == 0
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert out.splitlines()[-1] == "[]"
    assert all(f"python -m bot {verb}" in out for verb in ("demo", "up", "run", "check", "incident", "audit", "schema"))
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize("event", schema.NAMES)
def test_every_schema_is_valid_json_schema(event, capsys):
    """`schema EVENT` prints a JSON Schema that a validator accepts."""
    assert main(["schema", event]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_the_schema_accepts_the_readmes_example_and_refuses_what_detect_would(capsys):
    """The event in the README fits `schema InferenceServed`; without its time, or with words for a score, none does."""
    literal = re.search(r"event = (\{.*?\})\n", (ROOT / "README.md").read_text(), re.DOTALL)
    event = ast.literal_eval(literal[1])
    main(["schema", "InferenceServed"])
    validator = jsonschema.Draft202012Validator(json.loads(capsys.readouterr().out))
    validator.validate(event)
    assert not validator.is_valid({key: value for key, value in event.items() if key != "at"})
    assert not validator.is_valid(event | {"score": "high"})
    assert validator.is_valid(event | {"our own": "field"}), "producers may send more than we read"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("NATS_URL", "http://127.0.0.1:4222", "NATS_URL starts with 'http': it needs nats://"),
        ("REDIS_URL", "127.0.0.1:6379", "REDIS_URL starts with"),
        ("SLACK_BOT_TOKEN", "secret-value", "SLACK_BOT_TOKEN does not look right: it should start with 'xoxb-'"),
        ("SLACK_BOT_TOKEN", "xoxb-secret-value", "SLACK_APP_TOKEN is missing"),
        ("RUNBOOKS", "nowhere", "RUNBOOKS=nowhere is not a folder"),
        ("POLICY", "nowhere.toml", "POLICY=nowhere.toml is not a file"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(variable, value, says, monkeypatch, capsys):
    """Exit status 2, one line without a trace, the variable and what it should be, and never a token's value."""
    monkeypatch.setenv(variable, value)
    assert main(["check"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"middlewatch: {says}")
    assert "secret-value" not in line


@pytest.mark.parametrize("role", ["detect", "act"])
def test_a_typo_in_the_policy_is_named_with_file_and_line(role, monkeypatch, capsys, tmp_path):
    """An unknown key stops every verb that reads the policy, saying where it stands; so nothing can be executed."""
    path = tmp_path / "policy.toml"
    path.write_text("[detection]\nwindow_rows = 100\nwindow_rowz = 7\n")
    monkeypatch.setenv("POLICY", str(path))
    assert main(["run", role]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"middlewatch: {path}:3:")
    assert "window_rowz" in line


def test_without_its_policy_nothing_starts(monkeypatch, capsys, tmp_path):
    """A policy that is not there leaves no process running under rules that nobody wrote."""
    monkeypatch.setenv("POLICY", str(tmp_path))
    assert main(["run", "act"]) == 2
    assert "is not a file" in capsys.readouterr().err


def test_an_audit_log_that_is_not_there_is_an_error_that_says_so(capsys, tmp_path):
    """`audit verify FILE` names the file and where such files come from."""
    assert main(["audit", "verify", str(tmp_path / "none.ndjson")]) == 2
    assert "none.ndjson cannot be read" in capsys.readouterr().err


# against a town


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory, prepared):
    """A town whose incident waits for its recovery to be confirmed."""
    async with Town(tmp_path_factory.mktemp("commands"), prepared) as town:
        await town.serve(1_500, version="1")
        await town.deploy("2")
        await town.serve(600, version="2", shift=4.0)
        card = await town.card("Review rollback", timeout=120)
        assert (await town.approve("ana", card)).get("ok")
        await town.state("verifying", timeout=90)
        yield town


live = [pytest.mark.xdist_group("commands"), pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]


def marked(function):
    """With all marks of a test against the town."""
    for mark in live:
        function = mark(function)
    return function


async def said(town: Town, *arguments: str, status: int = 0) -> str:
    """What a verb prints when it ends as it should."""
    code, words = await town.ask(*arguments)
    assert code == status, words
    return words


@marked
async def test_status_tells_what_is_watched_and_open(town):
    """For a person, as JSON and in chat: the model, the incident, the counts."""
    assert "acme/flight-delay" in (words := await said(town, "status"))
    assert "1 verifying" in words
    status = await town.status(events=town.sent)
    assert status["models"] == ["acme/flight-delay"]
    assert status["incidents"] == {"verifying": 1}
    assert status["detect"]["events"] == town.sent
    assert status["audit_entries"] >= 5
    ana = town.people.as_user("ana")
    await ana.command("ml-oncall", "/mw status")
    told = await ana.wait_for_message("messages waiting, 0 dead letters", channel="ml-oncall", timeout=60)
    assert "flight-delay" in text_of(told)


@marked
async def test_incident_shows_what_the_card_says(town):
    """One line in the list; in full the hypothesis with its evidence, the plan, and who did what."""
    [one] = json.loads(await said(town, "incident", "--json"))
    assert one["id"] in await said(town, "incident")
    words = await said(town, "incident", one["id"][:8])
    for needed in (one["hypothesis"]["headline"], "feature:temp", "[E", "sha256", "proposed: ", "undo: ", "U0ANA"):
        assert needed in words, f"{needed!r} is not in:\n{words}"
    assert json.loads(await said(town, "incident", one["id"], "--json")) == one
    assert "0 incidents start with 'inc_none'" in await said(town, "incident", "inc_none", status=2)


@marked
async def test_check_finds_the_town_in_order(town):
    """Every line says ok: policy, servers, Slack, runbooks, deployers, model."""
    words = await said(town, "check")
    assert len(re.findall(r"^ok ", words, re.MULTILINE)) >= 6
    assert "0 not" in words
    effective = await said(town, "check", "--policy")
    assert "detection.window_rows = 100" in effective
    assert "roles.approver = ['U0ANA', 'U0CHLOE']" in effective


@marked
async def test_baselines_are_listed_shown_carried_out_and_brought_back(town, tmp_path):
    """What each version is held against, as lines, as a picture, as a file; files that cannot be one are refused."""
    assert re.search(r"acme/flight-delay +1 .* 4,000 rows", await said(town, "baseline", "list"))
    shown = await said(town, "baseline", "show", "flight-delay", "--version", "1")
    assert re.search(r"feature:temp +\d\d\.\d+ ± .*[▁▂▃▄▅▆▇█]{8}", shown)
    assert json.loads(await said(town, "baseline", "show", "flight-delay", "--version", "1", "--json"))["rows"] == 4_000
    assert "of version '9': there are those of" in await said(
        town, "baseline", "show", "flight-delay", "--version", "9", status=2
    )
    file = tmp_path / "may.baseline"
    assert "4,000 rows" in await said(town, "baseline", "export", "flight-delay", str(file))
    assert file.stat().st_size > 1_000
    other, small, bad = tmp_path / "other.csv", tmp_path / "small.csv", tmp_path / "bad.csv"
    other.write_text("age,income\n" + "".join(f"{n % 50},{n % 7}\n" for n in range(500)))
    small.write_text("temp\n" + "".join(f"{n % 50}\n" for n in range(50)))
    bad.write_text("temp\n" + "".join(f"{n % 50}\n" if n < 300 else "7\n" for n in range(600)))
    for wrong, why in (
        (other, "is no baseline of acme/flight-delay: it knows age, income; the model sends"),
        (small, "50 rows"), (bad, "temp never changes in the second half"), (tmp_path / "none.csv", "none.csv"),
    ):  # fmt: skip
        words = await said(town, "baseline", "import", "flight-delay", str(wrong), "--reason", "try", status=2)
        assert why in words, words
    assert "say why with --reason" in await said(town, "baseline", "import", "flight-delay", str(file), status=2)
    await said(town, "baseline", "import", "flight-delay", str(file), "--version", "8", "--reason", "kept from May")
    words = await said(town, "baseline", "list", "acme/flight-delay")
    assert "may.baseline, by the command line: kept from May" in words


@marked
async def test_dead_tells_reasons_by_subject(town):
    """Nothing at first; after one bad event its reason, on its subject alone."""
    assert "0 dead letters" in await said(town, "dead")
    await town.js.publish("label.acme.flight-delay", b'{"id": "r1"}', timeout=10)
    for _ in range(60):
        if "1 dead letters" in (words := await said(town, "dead", "label.acme.flight-delay")):
            break
    assert "required field `at`" in words
    assert "0 dead letters" in await said(town, "dead", "inference.>")


@marked
async def test_an_exported_audit_log_verifies_and_one_altered_byte_does_not(town, tmp_path):
    """The export verifies offline; whichever byte is flipped, `audit verify` names the entry and exits non-zero."""
    assert "verified" in await said(town, "audit", "verify")
    file = tmp_path / "log.ndjson"
    entries = [line for line in (await said(town, "audit", "export")).splitlines() if line.startswith("{")]
    exported = "".join(f"{line}\n" for line in entries).encode()
    file.write_bytes(exported)
    assert f"{len(entries)} entries" in await said(town, "audit", "verify", str(file))
    first_end = exported.index(b"\n")
    places = {
        "a hash": exported.index(b'"hash":"') + 10,
        "a claim": exported.index(b"temp", len(exported) // 2),
        "a line's end": first_end,
        "the last byte": len(exported) - 1,
    }
    for what, place in places.items():
        altered = bytearray(exported)
        altered[place] ^= 7
        file.write_bytes(altered)
        words = await said(town, "audit", "verify", str(file), status=2)
        assert re.search(r"entry \d+", words), f"{what}: {words}"
    file.write_bytes(exported[: first_end + 1] + exported[exported.index(b"\n", first_end + 1) + 1 :])
    assert "an entry is missing" in await said(town, "audit", "verify", str(file), status=2)


@marked
async def test_rebuild_gives_back_what_redis_lost_and_the_story_goes_on(town):
    """With the views of incidents deleted, `rebuild` makes the same ones again; recovery is then confirmed as ever."""
    before = json.loads(await said(town, "incident", "--json"))
    with redis.Redis.from_url(town.env["REDIS_URL"]) as client:
        lost = [*client.scan_iter("mw:incident*"), *client.scan_iter("mw:group*"), *client.scan_iter("mw:windows*")]
        assert client.delete(*lost) >= 4
    assert "no incidents" in await said(town, "incident")
    words = await said(town, "rebuild")
    assert re.search(r"rebuilt: 1 incidents, [12] changes, [1-9]\d* windows", words), words
    assert json.loads(await said(town, "incident", "--json")) == before
    await town.serve(1_000, version="1")
    await town.state("resolved", timeout=90)
    await town.card("Confirmed")
    assert len(await town.cards()) == 1
    assert "verified" in await said(town, "audit", "verify")


@marked
async def test_an_approved_version_is_followed_within_seconds_and_after_a_kill(town):
    """Version 3 moved far, and is told; an approver takes it as usual: its incident ends, also for a new process."""
    await town.serve(600, version="3", shift=6.0)
    ana = town.people.as_user("ana")
    await ana.wait_for_message(lambda m: MODEL in text_of(m) and "SEV" in text_of(m), channel="ml-oncall", timeout=60)
    await town.until(lambda: any(i["state"] == "diagnosed" and i["id"] != town.seen.states[0][1]["id"]
                                 for _, i in town.seen.states), "version 3 was not told")  # fmt: skip
    await ana.command("ml-oncall", "/mw rebaseline flight-delay 3 the sensors were moved")
    await ana.wait_for_message("moved on purpose", channel="ml-oncall", timeout=60)
    ended = "Usual from now on: a new baseline was approved, no action taken"
    await town.until(lambda: any(i["state"] == "resolved" and i["outcome"]["text"] == ended
                                 for _, i in town.seen.states), "the incident did not end")  # fmt: skip
    await town.kill("detect")
    await town.start("detect")
    incidents = {i["id"] for _, i in town.seen.states}
    await town.serve(2_400, version="3", shift=6.0)
    await town.status(events=town.sent)
    assert re.search(r"flight-delay +3 *\* +2,\d\d\d rows", await said(town, "baseline", "list"))
    assert "its own next rows, by " in await said(town, "baseline", "list")
    assert {i["id"] for _, i in town.seen.states} == incidents
    assert "verified" in await said(town, "audit", "verify")
