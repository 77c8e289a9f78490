"""Triage: one trouble is one incident, investigated once, and again only when asked."""

import asyncio

from core.events import AlertResolved
from core.findings import Hypothesis
from core.incident_log import IncidentLog
from core.incidents import changed, mark
from core.looks import due, look_again
from core.triage import AGAIN, STOPPED, Triage, asked_again, requester, stopped_by
from tests.core.fakes import Bus, Fuse, View
from tests.core.words import alert, hypothesis, plan, policy


class Investigator:
    def __init__(self):
        self.asked: list[str] = []
        self.says: Hypothesis = hypothesis()

    async def investigate(self, incident, now):
        self.asked.append(incident.id)
        return self.says


class Planner:
    def __init__(self):
        self.policy = policy()

    async def plan(self, incident, said, now):
        return None if said.abstained else plan(self.policy, now)


class Desk:
    def __init__(self):
        self.view, self.bus = View(Fuse()), Bus(Fuse())
        self.investigator = Investigator()
        self.clock = 100.0
        self.triage = Triage(IncidentLog(self.view, self.bus), self.investigator, Planner(), now=lambda: self.clock)

    @property
    def incident(self):
        return next(iter(self.view.rows.values()))

    async def deliver(self, twice=False):
        for _ in range(2 if twice else 1):
            await self.triage.on_incident(changed(self.incident))


async def test_one_alert_delivered_twice_is_one_incident_diagnosed_once():
    """Redelivery of alerts and incident events changes nothing."""
    desk = Desk()
    for _ in range(2):
        await desk.triage.on_alert(alert())
    await desk.deliver()
    opened_event = next(iter(desk.bus.entries.values()))
    await desk.triage.on_incident(opened_event)
    assert len(desk.view.rows) == 1
    assert desk.incident.state == "diagnosed"
    assert desk.incident.plan is not None
    assert len(desk.investigator.asked) == 1


async def test_alerts_of_one_group_join_the_open_incident():
    """A second alert of the same group joins; severity can only rise; the diagnosis stands."""
    desk = Desk()
    await desk.triage.on_alert(alert(1, severity="SEV3"))
    await desk.deliver()
    await desk.triage.on_alert(alert(2, severity="SEV4", fingerprint="f2"))
    assert len(desk.view.rows) == 1
    assert desk.incident.severity == "SEV3"
    assert [a.id for a in desk.incident.alerts] == ["alert_1", "alert_2"]
    await desk.deliver()
    assert len(desk.investigator.asked) == 1


async def test_a_rise_in_severity_is_investigated_again():
    """Material new evidence asks for a fresh hypothesis, which voids approvals of the old plan."""
    desk = Desk()
    await desk.triage.on_alert(alert(1, severity="SEV3"))
    await desk.deliver()
    await desk.triage.on_alert(alert(2, severity="SEV1", fingerprint="f2"))
    await desk.deliver(twice=True)
    assert len(desk.investigator.asked) == 2
    assert desk.incident.severity == "SEV1"
    assert desk.incident.approvals == []


async def test_a_person_asking_again_is_answered_once():
    """The request survives an acknowledgement in between, and redelivery does not repeat the work."""
    desk = Desk()
    await desk.triage.on_alert(alert())
    await desk.deliver()
    asked = asked_again(desk.incident, by="UANA", now=101.0, steering="look at the weather feed")
    desk.view.rows[asked.id] = asked
    event = changed(asked)
    acked = mark(asked, now=102.0, actor="UBEN", what="acknowledged", acknowledged_by="UBEN")
    desk.view.rows[asked.id] = acked
    for _ in range(2):
        await desk.triage.on_incident(event)
    assert len(desk.investigator.asked) == 2
    assert desk.incident.steering == ["look at the weather feed"]


class Slow(Investigator):
    """Investigates until it is let go, and keeps count of those who were cut short."""

    def __init__(self):
        super().__init__()
        self.go, self.cut, self.began = asyncio.Event(), 0, asyncio.Queue()

    async def investigate(self, incident, now):
        self.asked.append(list(incident.steering))
        self.began.put_nowait(None)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cut += 1
            raise
        return self.says


async def begun(desk):
    """An incident whose investigation is under way."""
    desk.triage.investigator = desk.investigator = Slow()
    await desk.triage.on_alert(alert())
    running = asyncio.create_task(desk.triage.on_incident(changed(desk.incident)))
    await desk.investigator.began.get()
    return running


async def test_a_persons_stop_ends_a_running_investigation():
    """The work is cut short, the incident stays open without a hypothesis, and a redelivery does not begin again."""
    desk = Desk()
    running = await begun(desk)
    first = changed(desk.incident)
    desk.view.rows[desk.incident.id] = mark(desk.incident, now=101.0, actor="T/UANA", what=STOPPED)
    await desk.triage.on_incident(changed(desk.incident))
    await running
    assert desk.investigator.cut == 1
    await desk.triage.on_incident(first)
    assert (desk.incident.state, len(desk.investigator.asked)) == ("opened", 1)
    assert stopped_by(desk.incident) == "T/UANA"


async def test_steering_a_running_investigation_begins_it_anew():
    """New words cut the running work short; it is done once under them, and the plan says who asked for it."""
    desk = Desk()
    running = await begun(desk)
    desk.view.rows[desk.incident.id] = asked_again(desk.incident, by="T/UANA", now=101.0, steering="ignore the deploy")
    event = changed(desk.incident)
    again = asyncio.create_task(desk.triage.on_incident(event))
    await running
    twin = asyncio.create_task(desk.triage.on_incident(event))  # redelivered while it works
    await desk.investigator.began.get()
    desk.investigator.go.set()
    await asyncio.gather(again, twin)
    assert desk.investigator.asked[:2] == [[], ["ignore the deploy"]]
    assert desk.investigator.cut == 1
    assert desk.incident.state == "diagnosed"
    assert desk.incident.plan.requested_by == "T/UANA"
    assert stopped_by(desk.incident) == ""


def calm(fingerprint):
    return AlertResolved(
        id=f"r_{fingerprint}", cause="alert_1", actor="detect", at=3000.0, tenant="acme", model="flight-delay",
        fingerprint=fingerprint, group="acme/flight-delay", rows=500,
    )  # fmt: skip


async def test_trouble_that_goes_away_by_itself_is_resolved_with_that_word():
    """An alert that resolves before anybody acted closes the incident as recovered by itself."""
    desk = Desk()
    await desk.triage.on_alert(alert())
    await desk.triage.on_resolved(calm("f1"))
    assert desk.incident.state == "resolved"
    assert desk.incident.outcome.verdict == "recovered_by_itself"


async def test_an_incident_closes_when_its_last_trouble_is_calm():
    """One of two alerts resolving leaves the incident open; the other one closes it."""
    desk = Desk()
    await desk.triage.on_alert(alert(1))
    await desk.triage.on_alert(alert(2, fingerprint="f2"))
    for _ in range(2):
        await desk.triage.on_resolved(calm("f1"))
    assert desk.incident.state == "opened"
    await desk.triage.on_resolved(calm("f2"))
    assert desk.incident.state == "resolved"


async def test_an_abstaining_hypothesis_carries_no_plan():
    """Not sure means nothing to approve."""
    desk = Desk()
    desk.investigator.says = hypothesis(abstained=True, missing="the feature store")
    await desk.triage.on_alert(alert())
    await desk.deliver()
    assert desk.incident.plan is None
    assert desk.incident.timeline[-1].what == "not sure"


async def test_no_cause_is_sought_before_the_views_have_caught_up():
    """The investigator and the planner see what was published before; a view behind would pass a lack for a fact."""
    desk = Desk()
    seen = []

    async def caught_up():
        seen.append(list(desk.investigator.asked))

    desk.triage.caught_up = caught_up
    await desk.triage.on_alert(alert())
    await desk.deliver()
    assert seen == [[]]
    assert len(desk.investigator.asked) == 1


async def unsure(at: float = 100.0) -> Desk:
    """A desk whose incident was opened and diagnosed at `at`, without an answer."""
    desk = Desk()
    desk.clock, desk.investigator.says = at, hypothesis(abstained=True, missing="the feature store")
    await desk.triage.on_alert(alert())
    await desk.deliver()
    return desk


async def test_what_was_not_sure_is_looked_at_again_and_then_rests():
    """Three looks, ten minutes, an hour and three hours after the opening, each answered once; no more after that."""
    desk, looked = await unsure(), []
    for after in (60, 599, 601, 630, 3_599, 3_601, 3_700, 10_801, 20_000, 90_000):
        desk.clock = 100.0 + after
        if await look_again(desk.triage.incidents, lambda: desk.clock):
            looked.append(after)
        await desk.deliver(twice=True)
    assert looked == [601, 3_601, 10_801]
    assert len(desk.investigator.asked) == 4


async def test_a_later_look_that_is_sure_ends_the_looks():
    """What became clear is shown with its plan, and nobody looks again."""
    desk = await unsure()
    desk.clock, desk.investigator.says = 800.0, hypothesis()
    assert await look_again(desk.triage.incidents, lambda: desk.clock) == [desk.incident.id]
    await desk.deliver()
    assert desk.incident.plan is not None
    assert not due(desk.incident, 100.0 + 3_700)


async def test_looks_missed_in_a_night_off_are_one_look():
    """Everything was down for a day: the incident is looked at once, not three times."""
    desk = await unsure()
    assert due(desk.incident, 100.0 + 86_400)
    desk.clock = 100.0 + 86_400
    await look_again(desk.triage.incidents, lambda: desk.clock)
    await desk.deliver()
    assert not due(desk.incident, desk.clock + 60)


async def test_a_persons_stop_ends_the_looks():
    """Nothing new is looked at until somebody asks; two who look at one moment ask once."""
    desk = await unsure()
    await asyncio.gather(*(look_again(desk.triage.incidents, lambda: 800.0) for _ in range(2)))
    assert [e.what for e in desk.incident.timeline].count(AGAIN) == 1
    await desk.deliver()
    stop = lambda i: mark(i, now=900.0, actor="T1/UBEN", what=STOPPED)  # noqa: E731
    await desk.triage.incidents.change(desk.incident.id, stop)
    assert not due(desk.incident, 100.0 + 90_000)


async def test_the_clock_does_not_hide_who_asked():
    """A look by the clock after a person's steering leaves that person the one who asked for what is proposed."""
    desk = await unsure()
    await desk.triage.incidents.change(
        desk.incident.id, lambda i: asked_again(i, by="T1/UANA", now=200.0, steering="x")
    )
    await desk.deliver()
    await look_again(desk.triage.incidents, lambda: 800.0)
    assert desk.incident.timeline[-1].actor == "investigate"
    assert requester(desk.incident) == "T1/UANA"
