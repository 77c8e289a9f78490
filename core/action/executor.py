"""The executor: re-authorise, re-check, run once, watch recovery. The `act` process alone holds it.

Exactly once: `executing` is in the audit log before anything runs, and the deployer gets the plan's digest as its
idempotency key. A process killed anywhere in between is resumed by redelivery (or by `sweep` at the next start) with
the same key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from core.action import Tools, action
from core.approval import Plan, check_plan, counting, role_of
from core.errors import Conflict, Refused, Retry, TransitionError, Unavailable
from core.events import WindowClosed
from core.incident_log import IncidentLog
from core.incidents import Execution, Incident, IncidentChanged, Outcome, advance
from core.policy import Policy
from core.ports import Flags
from core.verification import detection_of, judge, outcome

log = logging.getLogger("middlewatch.act")

HEALTHY_HOURS = 72
"""How much of the time before the onset counts as recently healthy, in event-time hours."""


class Executor:
    """Runs approved plans and judges what came of them."""

    def __init__(
        self, incidents: IncidentLog, policy: Policy, tools: Tools, flags: Flags, now: Callable[[], float] = time.time
    ):
        self.incidents, self.policy, self.tools, self.flags, self.now = incidents, policy, tools, flags, now
        self._watching: dict[tuple[str, str], set[str]] = {}

    async def on_approved(self, event: IncidentChanged) -> None:
        """Bring an approved (or half-executed) incident to `verifying`. Raises Retry while the outside is away."""
        incident = await self.incidents.view.get(event.incident.id)
        if incident is not None:
            await self._proceed(incident)

    async def sweep(self) -> None:
        """At start and every few seconds: resume what a crash cut short, and let tests that waited too long end."""
        await self.incidents.republish()
        for incident in await self.incidents.view.all(over=False):
            try:
                if incident.state in ("approved", "executing"):
                    await self._proceed(incident)
                elif incident.state == "verifying":
                    self._watching.setdefault((incident.tenant, incident.model), set()).add(incident.id)
                    await self._judge(incident, [])
            except (Retry, Conflict) as wait:
                log.warning("incident %s waits: %s", incident.id, wait)

    async def on_window(self, window: WindowClosed) -> None:
        """Judge recovery of the incidents that wait for this model's rows."""
        for incident_id in list(self._watching.get((window.tenant, window.model), ())):
            incident = await self.incidents.view.get(incident_id)
            if incident is None or incident.state != "verifying":
                self._watching[(window.tenant, window.model)].discard(incident_id)
                continue
            await self._judge(incident, [window])

    async def _proceed(self, incident: Incident) -> None:
        try:
            if incident.state == "approved":
                incident = await self._begin(incident)
            if incident.state == "executing":
                incident = await self._run(incident)
        except Unavailable as error:
            raise Retry(str(error), after=2.0) from error
        except TransitionError:
            return  # another process got there first
        if incident.state == "verifying":
            self._watching.setdefault((incident.tenant, incident.model), set()).add(incident.id)

    async def _begin(self, incident: Incident) -> Incident:
        """Approved -> executing, or back to diagnosed with the reason; the audit entry comes before anything runs."""
        plan = incident.plan
        try:
            if plan is None:
                raise Refused("there is no plan")
            await self._authorise(incident, plan)
            await action(plan.action).precheck(plan, incident, self.tools)
            await self._rate(plan)
        except Refused as refusal:
            return await self._aborted(incident, refusal.reason)
        started = Execution(plan=plan.digest, started=self.now())
        return await self._advance(incident, "executing", what=f"running: {plan.summary}", execution=started)

    async def _authorise(self, incident: Incident, plan: Plan) -> None:
        policy = self.policy
        if await self.flags.get_flag("frozen"):
            policy = msgspec.structs.replace(policy, frozen=True)
        if policy.frozen:
            raise Refused("Actions are frozen; thaw them first.")
        rule = policy.actions.get(plan.action)
        if rule is None or not rule.enabled:
            raise Refused(f"Policy does not allow the action {plan.action!r}.")
        check_plan(incident, plan.digest, policy, self.now())
        still = [a for a in counting(incident, plan) if role_of(a.by, policy) in ("approver", "admin")]
        if len(still) < max(plan.required, rule.approvals):
            raise Refused(f"{len(still)} of {plan.required} approvals hold now; roles have changed since.")

    async def _rate(self, plan: Plan) -> None:
        """Distinct plans per model and hour; the same plan again (a retry) is not counted twice."""
        hour = int(self.now() // 3600)
        name = f"rate:{plan.action}:{plan.tenant}:{plan.model}:{hour}"
        if await self.flags.get_flag(f"{name}:{plan.digest}"):
            return
        limit = self.policy.actions[plan.action].per_hour
        if await self.flags.count(name) > limit:
            raise Refused(
                f"{plan.action} of {plan.model} ran {limit} times within the hour, the most that policy allows."
            )
        await self.flags.set_flag(f"{name}:{plan.digest}", b"1", ttl=7200)

    async def _aborted(self, incident: Incident, reason: str) -> Incident:
        log.warning("incident %s: not executed: %s", incident.id, reason)
        return await self._advance(incident, "diagnosed", what="not executed", reason=reason, approvals=[])

    async def _run(self, incident: Incident) -> Incident:
        plan, execution = incident.plan, incident.execution
        assert plan is not None
        assert execution is not None
        try:
            result = await action(plan.action).run(plan, incident, self.tools, execution.plan)
        except Refused as refusal:
            return await self._failed_to_run(incident, execution, refusal.reason)
        since = await self._event_time(incident)
        done = msgspec.structs.replace(execution, finished=self.now(), result=result, event_time=since)
        after = await self._advance(incident, "verifying", what=result, execution=done)
        if plan.success.method == "executed":
            after = await self._conclude(after, Outcome(verdict="confirmed", text=result))
        return after

    async def _failed_to_run(self, incident: Incident, execution: Execution, reason: str) -> Incident:
        done = msgspec.structs.replace(execution, finished=self.now(), error=reason)
        failed = Outcome(verdict="failed", text=f"The action could not run: {reason}")
        return await self._advance(
            incident,
            "failed",
            what="the action could not run",
            reason=reason,
            execution=done,
            outcome=failed,
            plan=None,
        )

    async def _event_time(self, incident: Incident) -> float:
        windows = await self.tools.telemetry.windows(incident.tenant, incident.model, since=incident.onset)
        return max((w.end for w in windows), default=incident.opened)

    async def _judge(self, incident: Incident, extra: list[WindowClosed]) -> None:
        plan, execution = incident.plan, incident.execution
        if plan is None or execution is None or execution.event_time is None:
            return
        found = detection_of(incident, plan.success.signal)
        since = execution.event_time
        stored = await self.tools.telemetry.windows(incident.tenant, incident.model, since=since)
        both = {w.id: w for w in [*stored, *extra] if w.start >= since and not w.segment}
        fresh = [w for w in both.values() if not plan.success.version or w.version == plan.success.version]
        before = await self._healthy_before(incident, plan)
        latest = max((w.end for w in both.values()), default=since)
        waited = max(latest - since, self.now() - (execution.finished or execution.started))
        result = outcome(plan.success, found, judge(plan.success, found, before, fresh), waited)
        if result is not None:
            await self._conclude(incident, result)

    async def _healthy_before(self, incident: Incident, plan: Plan) -> list[WindowClosed]:
        start = incident.onset - HEALTHY_HOURS * 3600
        windows = await self.tools.telemetry.windows(incident.tenant, incident.model, since=start, until=incident.onset)
        return [w for w in windows if w.version != incident.version and not w.segment]

    async def _conclude(self, incident: Incident, result: Outcome) -> Incident:
        plan = incident.plan
        assert plan is not None
        if result.verdict == "confirmed":
            return await self._advance(incident, "resolved", what=result.text, outcome=result)
        undo = action(plan.action).undo(plan, incident, self.policy, self.now())
        return await self._advance(incident, "failed", what=result.text, outcome=result, plan=undo, approvals=[])

    async def _advance(
        self, incident: Incident, state: str, *, what: str, reason: str = "", **fields: object
    ) -> Incident:
        now = self.now()
        return await self.incidents.change(
            incident.id,
            lambda i: advance(i, state, writer="act", now=now, actor="act", what=what, reason=reason, **fields),
        )
