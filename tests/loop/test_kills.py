"""Four processes, each killed with -9 at every state of an incident: exactly one rollback, one card, nothing lost."""

import asyncio

import pytest

from tests.loop.town import TARGETS, Town

pytestmark = pytest.mark.processes

STATES = ("opened", "diagnosed", "approved", "executing", "verifying")


async def killed_at_every_state(town: Town, target: str) -> None:
    """Kill `target` the moment each state is seen, and start it again."""
    for state in STATES:
        await town.state(state)
        town.note(f"saw {state}")
        await town.kill(target)
        await town.start(target)
        town.note(f"{target} is back")


@pytest.mark.parametrize("target", TARGETS)
async def test_a_target_killed_at_every_state_changes_nothing_of_the_story(target, tmp_path, prepared):
    """Whatever dies when, the model goes back once, one card tells it, the audit log verifies, every event counts."""
    async with Town(tmp_path, prepared) as town:
        killing = asyncio.create_task(killed_at_every_state(town, target))
        await town.serve(1_500, version="1")
        await town.deploy("2")
        await town.serve(600, version="2", shift=4.0)
        town.note("all served")
        await town.approved()  # the person tries again when something died under the click
        await town.state("verifying", timeout=90)
        await killing
        town.note("verifying")
        await town.serve(1_000, version="1")
        await town.state("resolved", timeout=90)
        town.note("resolved")
        assert town.kills == [target] * len(STATES)
        assert [(r.before, r.to) for r in town.rollbacks()] == [("2", "1")]
        await town.card("Confirmed")
        assert len(await town.cards()) == 1
        await counted(town)
        town.note("counted")


async def counted(town: Town) -> None:
    """Every published event is in detect's count, none is dead, and the chain holds."""
    status = await town.status(events=town.sent)
    assert status["detect"]["events"] == town.sent
    assert status["dead"] == 0
    code, words = await town.ask("audit", "verify")
    assert code == 0, words
