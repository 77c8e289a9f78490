"""A state machine over incident and approval: whatever people do in whatever order, the rules hold."""

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.approval import counting, decide, expiry
from core.errors import Refused, TransitionError
from core.incidents import advance, changed, mark, opened, verify_chain
from tests.core.words import ANA, BEN, CHLOE, DEV, ROBOT, alert, diagnosed, hypothesis, plan, policy

PEOPLE = st.sampled_from([ANA, BEN, CHLOE, DEV, ROBOT])


class Desk(RuleBasedStateMachine):
    """One incident that needs two approvals, and everybody who may click."""

    @initialize(required=st.integers(1, 2))
    def open_desk(self, required):
        self.policy = policy(required)
        self.now = 100.0
        self.incident = diagnosed(self.policy, self.now)
        self.log = [opened(alert(), "inc_1", self.now), self.incident]
        self.stale = []
        self.ran = []

    def keep(self, incident):
        self.incident = incident
        self.log.append(incident)

    @rule(person=PEOPLE, verdict=st.sampled_from(["approved", "rejected"]), reason=st.sampled_from(["", "looks right"]),
          old=st.booleans())  # fmt: skip
    def click(self, person, verdict, reason, old):
        digest = self.stale[-1] if old and self.stale else self.incident.plan.digest if self.incident.plan else ""
        try:
            approval, complete = decide(self.incident, digest, person, verdict, reason, self.policy, self.now)
        except Refused:
            return
        assert person in (ANA, CHLOE)
        assert digest == self.incident.plan.digest
        assert self.now <= expiry(self.incident.plan, self.policy)
        approvals = [*self.incident.approvals, approval]
        if verdict == "rejected":
            self.keep(advance(self.incident, "dismissed", writer="converse", now=self.now, actor=person.id,
                              what="rejected", approvals=approvals))  # fmt: skip
        elif complete:
            self.keep(advance(self.incident, "approved", writer="converse", now=self.now, actor=person.id,
                              what="approved", approvals=approvals))  # fmt: skip
        else:
            self.keep(mark(self.incident, now=self.now, actor=person.id, what="approved 1/2", approvals=approvals))

    @rule(minutes=st.sampled_from([1, 20]))
    def wait(self, minutes):
        self.now += minutes * 60

    @rule()
    def new_evidence(self):
        if self.incident.state != "diagnosed":
            return
        self.stale.append(self.incident.plan.digest)
        said = hypothesis(evidence_digest=f"{self.now:064.0f}")
        fresh = plan(self.policy, self.now, evidence_digest=said.evidence_digest)
        self.keep(mark(self.incident, now=self.now, actor="investigate", what="again", hypothesis=said, plan=fresh,
                       approvals=[]))  # fmt: skip

    @rule()
    def policy_changes(self):
        self.policy = msgspec.structs.replace(self.policy, version_digest=self.policy.version_digest + "x")

    @rule()
    def act(self):
        try:
            after = advance(self.incident, "executing", writer="act", now=self.now, actor="act", what="run")
        except TransitionError:
            return
        people = {(a.by.team, a.by.id) for a in counting(self.incident, self.incident.plan)}
        assert len(people) >= self.incident.plan.required
        self.ran.append(self.incident.plan.digest)
        self.keep(after)

    @invariant()
    def one_plan_runs_at_most_once(self):
        assert len(self.ran) == len(set(self.ran))

    @invariant()
    def the_audit_log_verifies(self):
        log = [msgspec.json.encode(changed(i), order="sorted") for i in self.log]
        assert verify_chain(log) == len(self.log)


Desk.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestDesk = Desk.TestCase
