"""The executor acts exactly once, whatever dies when, and only for people who may."""

import msgspec
import pytest

from core.action import Tools
from core.action.executor import Executor
from core.approval import Approval, counting, decide
from core.errors import AuditError, Refused, Retry
from core.incident_log import IncidentLog
from core.incidents import advance, changed, verify_chain
from tests.core.fakes import Bus, Crash, Flags, Fuse, ModelServer, Tickets, View, Windows
from tests.core.words import ANA, CHLOE, FAULTY, HEALTHY, diagnosed, policy, window


class House:
    """One act process and the world around it; `restart` keeps the world and replaces the process."""

    def __init__(self, required=1, fuse=0):
        self.policy, self.fuse, self.clock = policy(required), Fuse(), 110.0
        self.view, self.bus = View(self.fuse), Bus(self.fuse)
        self.server, self.windows, self.tickets, self.flags = ModelServer(self.fuse), Windows(), Tickets(), Flags()
        self.tools = Tools(
            deployers={"webhook": self.server}, tickets=self.tickets, telemetry=self.windows, changes=None
        )
        self.windows.rows = [window(s, [10, 30, 40, 15, 5, 0, 0], "1") for s in range(1000, 1900, 100)]
        self.windows.rows += [window(s, FAULTY, "2") for s in (1900, 1950)]
        self.restart()

    def restart(self):
        self.log = IncidentLog(self.view, self.bus)
        self.act = Executor(self.log, self.policy, self.tools, self.flags, now=lambda: self.clock)

    async def approve(self, *people):
        incident = diagnosed(self.policy)
        self.view.rows[incident.id] = incident
        for person in people:
            current = self.view.rows["inc_1"]
            approval, complete = decide(
                current, current.plan.digest, person, "approved", "yes", self.policy, self.clock
            )
            assert complete == (person == people[-1])
            approvals = [*current.approvals, approval]
            if complete:
                after = advance(
                    current, "approved", writer="converse", now=self.clock, actor="x", what="yes", approvals=approvals
                )
            else:
                after = msgspec.structs.replace(current, approvals=approvals)
            self.view.rows["inc_1"] = after
        return changed(self.view.rows["inc_1"])

    @property
    def incident(self):
        return self.view.rows["inc_1"]


def test_who_asked_for_it_is_no_second_pair_of_eyes():
    """With four eyes the requester may reject and not approve; an approval of theirs that got in counts for nothing."""
    rules = policy(1)
    asked = diagnosed(rules, four_eyes=True, requested_by=f"{ANA.team}/{ANA.id}")
    plan = asked.plan
    with pytest.raises(Refused, match="somebody else must approve"):
        decide(asked, plan.digest, ANA, "approved", "mine", rules, 110.0)
    assert decide(asked, plan.digest, ANA, "rejected", "no", rules, 110.0)[1] is False
    forged = Approval(by=ANA, at=110.0, digest=plan.digest, verdict="approved", reason="mine")
    assert counting(msgspec.structs.replace(asked, approvals=[forged]), plan) == []
    assert decide(asked, plan.digest, CHLOE, "approved", "yes", rules, 110.0)[1] is True
    alone = diagnosed(rules, requested_by=f"{ANA.team}/{ANA.id}")
    assert decide(alone, alone.plan.digest, ANA, "approved", "yes", rules, 110.0)[1] is True


async def test_an_approved_rollback_runs_and_is_confirmed_by_fresh_rows():
    """Approve, run, fresh healthy rows of version 1: the incident ends as confirmed with the numbers."""
    house = House()
    await house.act.on_approved(await house.approve(ANA))
    assert house.incident.state == "verifying"
    assert house.server.acted == [("rollback", "1")]
    for start in (2000, 2050, 2100):
        await house.act.on_window(window(start, HEALTHY, "1"))
    assert house.incident.outcome.verdict == "confirmed"
    assert house.incident.outcome.text.startswith("Confirmed: feature:temp PSI 4.10 -> 0.0")


async def test_rows_of_before_the_rollback_do_not_count():
    """Windows that started before the action, or of the faulty version, never confirm anything."""
    house = House()
    await house.act.on_approved(await house.approve(ANA))
    for start in (1000, 1100):
        await house.act.on_window(window(start, HEALTHY, "1"))
    await house.act.on_window(window(2000, HEALTHY, "2"))
    assert house.incident.state == "verifying"


async def test_a_rollback_that_did_not_help_offers_its_undo():
    """Fresh rows that still look as in the incident end as not recovered, with the undo as the new plan."""
    house = House()
    await house.act.on_approved(await house.approve(ANA))
    await house.act.on_window(window(2000, FAULTY, "1"))
    assert house.incident.state == "failed"
    assert house.incident.outcome.verdict == "not_recovered"
    assert house.incident.plan.parameters["to"] == "2"
    assert house.incident.plan.undo_of


@pytest.mark.parametrize("step", range(1, 12))
async def test_a_crash_at_any_step_leads_to_exactly_one_rollback(step):
    """Dying at each write of the way and being delivered the message again rolls back once and keeps the chain."""
    house = House()
    event = await house.approve(ANA)
    house.fuse.at = step
    with pytest.raises(Crash):
        await house.act.on_approved(event)
    house.fuse.at = 0
    house.restart()
    await house.act.sweep()
    await house.act.on_approved(event)
    assert house.server.acted == [("rollback", "1")]
    assert house.incident.state == "verifying"
    entries = sorted(house.bus.entries.values(), key=lambda e: e.incident.revision)
    assert [e.incident.state for e in entries] == ["executing", "verifying"]
    assert entries[1].incident.previous == entries[0].incident.hash


async def test_double_delivery_and_a_second_process_do_not_act_twice():
    """The same approval delivered three times rolls back once."""
    house = House()
    event = await house.approve(ANA)
    for _ in range(3):
        house.restart()
        await house.act.on_approved(event)
    assert house.server.acted == [("rollback", "1")]


async def test_nothing_runs_when_the_audit_log_cannot_be_written():
    """Audit fails closed: with the bus down the deployer is never asked."""
    house = House()
    event = await house.approve(ANA)
    house.bus.down = True
    with pytest.raises(AuditError):
        await house.act.on_approved(event)
    assert house.server.acted == []


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda h: setattr(h.server, "version", "3"), "now serves version 3"),
        (lambda h: h.server.healthy.update({"1": False}), "not healthy"),
        (lambda h: h.server.healthy.pop("1"), "unknown"),
        (lambda h: setattr(h.server, "in_flight", True), "in flight"),
        (lambda h: h.flags.flags.update(frozen=b"1"), "frozen"),
        (lambda h: setattr(h, "clock", 100_000.0), "expired"),
        (lambda h: h.windows.rows.extend(window(s, HEALTHY, "2") for s in (2000, 2050, 2100)), "looks healthy again"),
        (lambda h: h.flags.counts.update({"rate:rollback:acme:flight-delay:0": 2}), "within the hour"),
    ],
)
async def test_a_precondition_that_no_longer_holds_aborts_and_says_so(spoil, why):
    """What was approved is checked again at execution; otherwise the incident goes back to people with the reason."""
    house = House()
    event = await house.approve(ANA)
    spoil(house)
    await house.act.on_approved(event)
    assert house.server.acted == []
    assert house.incident.state == "diagnosed"
    assert why in house.incident.timeline[-1].reason


async def test_an_approver_who_lost_the_role_no_longer_counts():
    """Roles are checked at the click and again at execution."""
    house = House(required=2)
    event = await house.approve(ANA, CHLOE)
    roles = msgspec.structs.replace(house.policy.roles, approver=["UANA"])
    house.policy = msgspec.structs.replace(house.policy, roles=roles)
    house.restart()
    await house.act.on_approved(event)
    assert house.server.acted == []
    assert "1 of 2 approvals" in house.incident.timeline[-1].reason


async def test_nothing_runs_that_no_person_approved():
    """An incident said to be approved with nobody's approval on it is not executed: no action is automatic."""
    house = House()
    await house.approve(ANA)
    house.view.rows["inc_1"] = msgspec.structs.replace(house.incident, approvals=[])
    await house.act.on_approved(changed(house.incident))
    assert house.server.acted == []
    assert "0 of 1 approvals" in house.incident.timeline[-1].reason


async def test_a_refusing_deployer_ends_as_failed_not_as_a_loop():
    """A deployer that says no for good fails the incident with its words."""
    house = House()
    event = await house.approve(ANA)

    async def no(*_):
        raise Refused("locked by the release team")

    house.server.act = no
    await house.act.on_approved(event)
    assert house.incident.state == "failed"
    assert "locked by the release team" in house.incident.outcome.text


async def test_an_absent_deployer_is_asked_again_later():
    """No answer is not an answer: the message comes back."""
    from core.errors import Unavailable

    house = House()
    event = await house.approve(ANA)

    async def away(*_):
        raise Unavailable("the model server does not answer")

    house.server.current = away
    with pytest.raises(Retry):
        await house.act.on_approved(event)
    assert house.incident.state == "approved"


async def test_the_audit_chain_of_a_whole_story_verifies():
    """From approval to confirmation the published entries form one chain."""
    house = House()
    first = await house.approve(ANA)
    await house.act.on_approved(first)
    await house.act.on_window(window(2000, HEALTHY, "1"))
    entries = sorted(house.bus.entries.values(), key=lambda e: e.incident.revision)
    assert [e.incident.state for e in entries] == ["executing", "verifying", "resolved"]
    encoded = [msgspec.json.encode(e, order="sorted") for e in entries]
    with pytest.raises(AuditError, match="first entry"):
        verify_chain(encoded)
