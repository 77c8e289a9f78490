"""What submitted dialogs do: approve, reject, dismiss, snooze, feedback; each spends its dialog's nonce, once."""

from __future__ import annotations

from typing import Any

from bot import modals
from bot.approvers import ask_others
from bot.clicks import Click, clicked
from bot.conversation import feedback, silence
from bot.conversation.acknowledge import actor
from bot.frame import STALE, Frame
from core.approval import decide, require
from core.errors import Refused
from core.incidents import Incident, Outcome, advance, mark


class Submissions(Frame):
    """Bolt listeners for every dialog that can be submitted, and the reject button inside the review."""

    def register(self, app: Any) -> None:
        app.action("reject")(self.on_reject)
        for callback, listener in {
            "approve": self.on_approve_submitted, "dismiss": self.on_dismiss_submitted,
            "snooze": self.on_snooze_submitted, "feedback": self.on_feedback_submitted,
        }.items():  # fmt: skip
            app.view(callback)(listener)

    async def on_approve_submitted(self, ack: Any, body: dict[str, Any]) -> None:
        click = clicked(body)
        if not click.values.get("reason", "").strip():
            await ack(response_action="errors", errors={"reason": "A reason is required: it goes into the audit log."})
            return
        await self._submitted(click, "approve", "Not approved", self._approve, ack)

    async def _approve(self, click: Click, row: dict[str, Any]) -> str:
        return await self._verdict(click, row, "approved")

    async def on_reject(self, ack: Any, body: dict[str, Any]) -> None:
        """A button inside the review dialog: one reject ends the proposal."""
        await ack()
        click = clicked(body)
        if not click.values.get("reason", "").strip():
            await self._guarded(click, lambda: self._ask_reason(click))
            return

        async def reject(click: Click, row: dict[str, Any]) -> str:
            return await self._verdict(click, row, "rejected")

        await self._submitted(click, "approve", "Not rejected", reject)

    async def _ask_reason(self, click: Click) -> None:
        row = await self.desk.nonces.look(click.nonce)
        incident = await self.desk.incidents.get(row["incident"]) if row else None
        if row is None or incident is None or incident.plan is None:
            raise Refused(STALE)
        policy, person = await self.desk.rules(), await self._person(click)
        role, problem = (
            self.desk.people.role(person),
            "Rejecting needs a reason too: it ends the proposal for everyone.",
        )
        await self._update(click, modals.review(incident, incident.plan, policy, click.nonce, role, problem))

    async def _verdict(self, click: Click, row: dict[str, Any], verdict: Any) -> str:
        """Decide on the latest revision, by compare-and-set; what to tell the person."""
        person, policy, now = await self._person(click), await self.desk.rules(), self.desk.now()
        reason = click.values["reason"].strip()
        said = ""

        def change(incident: Incident) -> Incident:
            nonlocal said
            approval, complete = decide(incident, row["digest"], person, verdict, reason, policy, now)
            approvals, who = [*incident.approvals, approval], actor(person)
            if verdict == "rejected":
                said = "Rejected. The incident stays open, with no proposal."
                return mark(incident, now=now, actor=who, what="rejected the proposal", reason=approval.reason,
                            approvals=approvals, plan=None)  # fmt: skip
            count = sum(1 for a in approvals if a.digest == approval.digest and a.verdict == "approved")
            required = incident.plan.required if incident.plan else 1
            what = f"approved {count}/{required}"
            if complete:
                said = "Approved. It is checked once more and then runs; the card shows what happens."
                return advance(incident, "approved", writer="converse", now=now, actor=who, what=what,
                               reason=approval.reason, approvals=approvals)  # fmt: skip
            said = f"Your approval counts ({count} of {required}). Somebody else must approve too."
            return mark(incident, now=now, actor=who, what=what, reason=approval.reason, approvals=approvals)

        after = await self._change(row["incident"], change)
        if after.state in ("diagnosed", "failed") and verdict == "approved":
            self.desk.later(ask_others(self.desk, after), "asking the other approvers")
        return said

    async def on_dismiss_submitted(self, ack: Any, body: dict[str, Any]) -> None:
        click = clicked(body)
        if not click.values.get("reason", "").strip():
            await ack(response_action="errors", errors={"reason": "Say why in a few words."})
            return

        async def work(click: Click, row: dict[str, Any]) -> str:
            person, now = await self._person(click), self.desk.now()
            require(person, "responder", self.desk.policy, "dismissing an incident")
            reason = click.values["reason"].strip()[:500]
            done = Outcome(verdict="dismissed", text=reason)
            await self._change(
                row["incident"],
                lambda i: advance(i, "dismissed", writer="converse", now=now, actor=actor(person), what="dismissed",
                                  reason=reason, outcome=done),
            )  # fmt: skip
            return "Closed as not an incident."

        await self._submitted(click, "dismissed", "Not dismissed", work, ack)

    async def on_snooze_submitted(self, ack: Any, body: dict[str, Any]) -> None:
        click = clicked(body)
        if not click.values.get("reason", "").strip():
            await ack(response_action="errors", errors={"reason": "Say who knows about it, or until when."})
            return

        async def work(click: Click, row: dict[str, Any]) -> str:
            incident = await self.desk.incidents.get(row["incident"])
            if incident is None:
                raise Refused(STALE)
            v = click.values
            return await silence.put(
                self.desk, await self._person(click), incident.tenant, incident.model,
                silence.signal_of(incident, v.get("scope", "")), silence.seconds_of(v.get("seconds", "")), v["reason"],
                incident.id,
            )  # fmt: skip

        await self._submitted(click, "snoozed", "Not snoozed", work, ack)

    async def on_feedback_submitted(self, ack: Any, body: dict[str, Any]) -> None:
        click = clicked(body)

        async def work(click: Click, row: dict[str, Any]) -> str:
            person, cause = await self._person(click), click.values.get("reason", "")
            await feedback.save(self.desk, row["incident"], person, row["verdict"], cause)
            return "Thank you: saved as an evaluation case."

        await self._submitted(click, "feedback", "Not saved", work, ack)
