"""What the command line asks of the agents: a recorded case, an incident once more, a replay from its snapshots."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bot.compose.ground import ground
from core.errors import MiddlewatchError
from core.findings import Hypothesis
from core.incidents import Incident
from core.policy import Policy
from core.settings import Settings


def answer(folder: Path, policy: Policy) -> dict[str, Any]:
    """The investigation of a recorded case as plain data. Raises ValueError naming file and line of bad input."""
    from agents.answers import investigate_case

    return investigate_case(folder, policy)


async def incident(settings: Settings, policy: Policy, start: str) -> Incident:
    """The one incident whose id starts with `start`. Raises MiddlewatchError when there is none or more than one."""
    async with ground(settings, policy, "investigate-once") as house:
        found = [i for i in await house.views.incidents.all() if i.id.startswith(start)]
    if len(found) != 1:
        raise MiddlewatchError(f"{len(found)} incidents start with {start!r}; `python -m bot incident` lists them")
    return found[0]


async def afresh(settings: Settings, policy: Policy, about: Incident, now: float) -> Hypothesis:
    """A new investigation of the incident over what the stores hold today; nothing is saved."""
    from agents.investigate import Investigation
    from bot.compose.outside import model, runbooks
    from knowledge.history import History

    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(ground(settings, policy, "investigate-once"))
        history = History()
        for other in await house.views.incidents.all(over=True):
            history.add(other)
        tools = Investigation(
            telemetry=house.views.telemetry, changes=house.views.changes, lineage=house.lineage.of,
            runbooks=runbooks(house, owner=False), history=history, model=model(settings), policy=policy,
        )  # fmt: skip
        return await tools.investigate(about, now)


def replayed(about: Incident, policy: Policy) -> Hypothesis:
    """What the stored snapshots of the incident give today, by rules. Raises MiddlewatchError when there are none, or
    when one was altered."""
    from agents.investigate import replay

    if about.hypothesis is None:
        raise MiddlewatchError(f"incident {about.id} has no hypothesis yet: there are no snapshots to replay")
    try:
        return replay(about.hypothesis, about, policy)
    except ValueError as error:
        raise MiddlewatchError(str(error)) from None


def differences(then: Hypothesis, now: Hypothesis) -> list[str]:
    """What two hypotheses from the same evidence say differently; a model's wording is no difference."""
    skipped = {"written_by", "dropped"} | ({"claims"} if then.written_by != now.written_by else set())
    return [
        name for name in then.__struct_fields__ if name not in skipped and getattr(then, name) != getattr(now, name)
    ]
