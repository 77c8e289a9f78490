"""Every action of the catalogue, from the hypothesis that names it to what it did, through the webhook deployer."""

from __future__ import annotations

import msgspec
import pytest

from core.action import Tools, action
from core.action.executor import Executor
from core.action.planner import Plans
from core.findings import ACTIONS
from core.incidents import advance, changed
from core.policy import DeployerAddress, load
from integrations.webhook import Webhook
from tests.bot import examples as x
from tests.bot.ports import Views
from tests.integrations.outside import Admin

pytestmark = pytest.mark.servers

DONE = {
    "rollback": ("verifying", [("rollback", "1")]), "fallback": ("resolved", [("fallback", "")]),
    "refresh_feature_job": ("verifying", [("refresh", "")]), "retrain": ("resolved", [("retrain", "")]),
    "ticket": ("resolved", []), "notify": ("resolved", []),
}  # fmt: skip
"""Per action: the state it ends in before any fresh row, and what the model server was asked to do."""


class Tickets:
    """Counts what is opened, once per key."""

    def __init__(self):
        self.opened: dict[str, str] = {}

    async def open_ticket(self, key: str, title: str, body: str) -> str:
        return self.opened.setdefault(key, f"OPS-{len(self.opened) + 1}")


def test_the_table_is_the_catalogue():
    """Each action that a hypothesis may name is played below."""
    assert set(DONE) == set(ACTIONS)


@pytest.mark.parametrize("name", DONE)
async def test_it_is_planned_approved_and_done_once(opened, name):
    """The hypothesis gives the id, code the parameters; approved it is done once, also when the event comes twice."""
    admin, tickets = Admin(x.first().model), Tickets()
    url = await opened(admin.app)
    policy = msgspec.structs.replace(load(), deployers={"webhook": DeployerAddress(url=url)}, roles=x.policy().roles)
    views = Views(lambda: x.NOW + 70)
    views.windows_ = x.windows(24)
    hypothesis = x.hypothesis(action=name, alternatives=[])
    plan = await Plans(views, policy).plan(x.first(), hypothesis, x.NOW + 5)
    assert plan is not None
    assert (plan.action, plan.policy_version) == (name, policy.version_digest)
    incident = advance(
        x.diagnosed(h=hypothesis, p=plan), "approved", writer="converse", now=x.NOW + 60, actor="T0LOCAL/U0ANA",
        what="approved 1/1", approvals=[x.approval(p=plan)],
    )  # fmt: skip
    await views.put(incident)
    tools = Tools(deployers={"webhook": Webhook(url)}, tickets=tickets, telemetry=views, changes=views)
    executor = Executor(views.log(), policy, tools, views, now=lambda: x.NOW + 70)
    for _ in range(2):
        await executor.on_approved(changed(incident))
    after = views.rows[incident.id]
    assert (after.state, admin.deployments) == DONE[name], after.timeline[-1]
    assert len(tickets.opened) == (name == "ticket")
    undo = action(name).undo(plan, after, policy, x.NOW + 80)
    assert (undo is not None) == (name == "rollback")
    assert plan.undo
