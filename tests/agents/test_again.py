"""An incident investigated once more from the command line, and the evidence gathered all at once."""

import asyncio

import msgspec
import pytest

from bot import compose
from bot.__main__ import main
from core import policy, settings
from core.findings import Evidence
from core.incidents import advance, opened
from tests.agents.world import DEPLOY, Changes, Graph, History, Runbooks, Telemetry, celsius_case, investigation


async def test_every_source_is_asked_at_the_same_time():
    """Telemetry, lineage, changes, history and runbooks each wait until all five were asked: none waits for another."""
    windows, about = celsius_case()
    together = asyncio.Barrier(5)

    def waits(port, name):
        ask = getattr(port, name)

        async def first(*args, **kwargs):
            setattr(port, name, ask)
            await together.wait()
            return await ask(*args, **kwargs)

        setattr(port, name, first)
        return port

    view, loads = Graph([("a", "flight-delay")], {}), []

    async def lineage(tenant):
        loads.append(tenant)
        if len(loads) == 1:
            await together.wait()
        return view

    tools = investigation(
        telemetry=waits(Telemetry(windows), "windows"), changes=waits(Changes(DEPLOY), "changes"),
        history=waits(History(), "similar"), runbooks=waits(Runbooks("unit_change"), "search"), lineage=lineage,
    )  # fmt: skip
    said = await asyncio.wait_for(tools.investigate(about, 0.0), 60)
    assert not [g for g in said.gaps if g.what != "lineage"]


async def diagnosed(alter=False):
    """An incident of the Celsius story, diagnosed, stored where the environment says; its id."""
    windows, about = celsius_case()
    said = await investigation(windows, DEPLOY).investigate(about, 0.0)
    if alter:
        first = said.evidence[0]
        told = msgspec.structs.replace(first, result={**first.result, "onset": 1.0})
        said = msgspec.structs.replace(said, evidence=[told, *said.evidence[1:]])
    loaded = settings.load()
    first = opened(about.alerts[0], f"inc_{'altered' if alter else 'whole'}", 1.0)
    then = advance(first, "diagnosed", writer="investigate", now=2.0, actor="investigate", what="x", hypothesis=said)
    async with compose.ground(loaded, policy.load(loaded.policy), "test") as house:
        for revision in (first, then):
            await house.views.incidents.save(revision)
            await house.views.incidents.published(revision)
    return then.id


@pytest.mark.servers
def test_a_replay_says_that_it_is_the_same_and_an_altered_snapshot_is_refused(tmp_path, monkeypatch, capsys):
    """`investigate --incident ID --replay` gives what is stored again; a changed number in a snapshot ends it."""
    monkeypatch.setenv("MIDDLEWATCH_VAR", str(tmp_path))
    whole, altered = asyncio.run(diagnosed()), asyncio.run(diagnosed(alter=True))
    assert main(["investigate", "--incident", whole, "--replay"]) == 0
    assert "the same hypothesis" in capsys.readouterr().out
    assert main(["investigate", "--incident", altered, "--replay"]) == 2
    assert "was altered" in capsys.readouterr().err
    assert main(["investigate", "--incident", "nobody", "--replay"]) == 2
    assert "0 incidents start with 'nobody'" in capsys.readouterr().err


def test_evidence_is_bound_by_its_content():
    """Equal content has an equal digest whatever the order of its keys; another value has another."""
    one = Evidence(id="E1", source="alert", title="t", query="q", result={"a": 1, "b": [1.5, None]}, at=0.0)
    same = msgspec.structs.replace(one, id="E7", result={"b": [1.5, None], "a": 1})
    other = msgspec.structs.replace(one, result={"a": 1, "b": [1.5, 0]})
    assert one.sealed().digest == same.sealed().digest != other.sealed().digest
